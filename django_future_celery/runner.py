"""One run of one job: start, call, record.

``start`` wins the row, and commits that before the callable is touched. ``call`` makes the call. ``complete`` is the
last statement of the transaction that the call ran in: the job's writes and its status are there together, or not.
The same commit may start the job that this process runs next. Whatever raised is recorded by ``record_error``, after
the rollback.
"""

from __future__ import annotations

import inspect
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from asgiref.sync import async_to_sync
from django.db import DatabaseError, InterfaceError, OperationalError, connections

from django_future_celery import content_objects, watching
from django_future_celery.attempts import end_attempt
from django_future_celery.backoff import Retry
from django_future_celery.callables import (
    check_allowed,
    check_home,
    check_known,
    find_method,
    is_atomic,
    method_path,
    resolve,
    takes_job,
)
from django_future_celery.clock import SECOND, Watch, database_now, to_datetime
from django_future_celery.conf import settings
from django_future_celery.exceptions import (
    ClaimLost,
    CodeMissing,
    JobCancelled,
    NotYet,
    UnknownCallable,
    UnknownModel,
)
from django_future_celery.heartbeat import beating
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet, is_ahead, is_open
from django_future_celery.redaction import get_logger, in_short
from django_future_celery.signals import job_completed
from django_future_celery.states import Status
from django_future_celery.text import describe_error, describe_value
from django_future_celery.transactions import (
    has_begun,
    leave_clean,
    may_start_another,
    open_blocks,
    transaction_around,
    unbroken,
)

logger = get_logger(__name__)

#: Seconds between the tries to record an error while the database does not answer: some ten seconds in all.
PATIENCE = (0.1, 0.3, 1.0, 3.0, 6.0)

#: Microseconds before its instant at which a job that has come ahead is started: the commit takes no time after it.
#: Nothing is called before the instant.
HEAD_START = SECOND // 200

#: What the log says of an attempt, by the status after it.
BAD_ENDS: dict[str, str] = {
    Status.SCHEDULED: "Job %s (%s) raised at attempt %s of %s, it will be tried again.",
    Status.CANCELLED: "Job %s (%s) was cancelled at attempt %s of %s.",
}


@dataclass(frozen=True)
class Run:
    """A job that this process has started."""

    job: ScheduledJob
    #: Tells the database's time without asking it again.
    watch: Watch
    #: The Celery message of several jobs that this is one of, or ''.
    message_id: str = ""

    @property
    def rows(self) -> ScheduledJobQuerySet:
        return rows_in(self.job._state.db or "")

    def now(self) -> int:
        return self.watch.now()


@cache
def rows_in(using: str) -> ScheduledJobQuerySet:
    """All rows of a database: what each job asks for several times, and what is never read itself."""
    rows: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    return rows


#: Names the job that this process would run next, at an instant in microseconds; None: none just now.
Following = Callable[[int], ScheduledJob | None]
#: Looks whether a commit has started the following job, although it raised; None: it has not.
LookAgain = Callable[[], Run | None]


def nobody(now: int = 0) -> None:
    """Name no job, and find none."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run; ``error`` is what the callable raised, if it did."""

    job: ScheduledJob
    error: BaseException | None = None

    @property
    def failure(self) -> BaseException | None:
        """The error, unless it only said what the job itself asked for."""
        return None if self.error is None or was_wished(self.job, self.error) else self.error


def start(
    pk: int, attempts: int, *, using: str, task_id: str = "", message_id: str = "", now: datetime | None = None
) -> Run | None:
    """Start a job if its row can be won; None says that it was somebody else's, is not due, or is over.

    Args:
        attempts: the starts of the job so far, as whoever found it due saw them.
        task_id: of the Celery message that is this job's alone.
        message_id: of the Celery message of several jobs that this is one of.
        now: replaces the database's clock where the slot is checked.
    """
    how: dict[str, Any] = {"task_id": task_id or task_id_of(message_id, pk), "message_id": message_id, "now": now}
    if connections[using].vendor != "postgresql":
        return start_locked(pk, attempts, using=using, **how)
    job = rows_in(using).waiting(pk, attempts).to_run().with_clock().first()
    return None if job is None else start_read(job, Watch(job.clock), **how)  # type: ignore[attr-defined]


def start_read(
    job: ScheduledJob, watch: Watch, *, message_id: str, task_id: str = "", now: datetime | None = None
) -> Run | None:
    """As ``start``, for a job that has been read: by one statement, if its row is still that and nobody holds it."""
    wait_if_ahead(job, watch, now, HEAD_START)
    clock, using, task_id = watch.now(), job._state.db or "", task_id or task_id_of(message_id, job.pk)
    if now is None and is_ahead(job, clock):
        clock = job.due_at
    may_start = is_open(job, now or to_datetime(clock)) and not missing_code(job)
    if may_start and rows_in(using).start_free(job, clock, worker_name(), task_id):
        return when_due(Run(job, watch, message_id), now)
    return start_locked(job.pk, job.attempts, using=using, task_id=task_id, message_id=message_id, now=now)


def start_locked(
    pk: int, attempts: int, *, using: str, task_id: str, message_id: str, now: datetime | None
) -> Run | None:
    """As ``start``, with a look at the row once it is locked: what keeps it from being started is noted on it."""
    rows, worker = rows_in(using), worker_name()
    try:
        job = rows.start(pk, attempts, worker=worker, task_id=task_id, now=now, missing=tell_missing_code)
    except NotYet as early:
        wait_if_ahead(early.job, Watch(early.job.clock), now)  # type: ignore[attr-defined]
        return start_locked(pk, attempts, using=using, task_id=task_id, message_id=message_id, now=now)
    return None if job is None else Run(job, Watch(job.clock), message_id)  # type: ignore[attr-defined]


def when_due(run: Run, now: datetime | None) -> Run:
    """Give a run that had a head start at the instant of its job. If anything ends the wait, the job waits again."""
    try:
        wait_if_ahead(run.job, run.watch, now)
    except BaseException:
        take_back(run)
        raise
    return run


def wait_if_ahead(job: ScheduledJob, watch: Watch, now: datetime | None, head_start: int = 0) -> None:
    """Wait for the instant at which a job is due, by the database's clock, if it has come a little before that."""
    while now is None and is_ahead(job, clock := watch.now() + head_start):
        time.sleep((job.due_at - clock) / SECOND)


def task_id_of(message_id: str, pk: int) -> str:
    """Give the task id of a job that shares its message."""
    return f"{message_id}.{pk}" if message_id else ""


def tell_missing_code(job: ScheduledJob) -> str:
    if reason := missing_code(job):
        logger.warning("Job %s waits for a process that has its code: %s", job.pk, reason, extra={"job": job})
    return reason


def missing_code(job: ScheduledJob) -> str:
    """Tell why this process cannot have the code of a job, before anything of it is imported; '' if it may."""
    try:
        look_for_code(job)
    except (UnknownCallable, UnknownModel) as error:
        return f"{worker_name()} does not have the code: {error}"
    except DatabaseError:
        raise
    except Exception as error:
        logger.debug("Whether the code of job %s is here, its run will tell: %r", job.pk, error)
    return ""


def look_for_code(job: ScheduledJob) -> None:
    if job.content_type_id is not None:
        model = content_objects.model_of(job.content_type_id, using=job._state.db)
        if job.is_method_call:
            find_method(model, job.callable_name)
    if not job.is_method_call:
        check_known(job.callable_name)


def run_job(pk: int, attempts: int, *, using: str, task_id: str = "", now: datetime | None = None) -> Outcome | None:
    """Run a job if its row can be won; None as for ``start``."""
    run = start(pk, attempts, using=using, task_id=task_id, now=now)
    return None if run is None else finish(run)


def finish(run: Run) -> Outcome:
    """Take a started job to the end of its run, whatever the callable does."""
    return finish_and_start(run)[0]


def finish_and_start(
    run: Run, following: Following = nobody, look_again: LookAgain = nobody
) -> tuple[Outcome, Run | None]:
    """As ``finish``; give the run of the following job, too, if the commit that completes this one began it."""
    before = open_blocks()
    with beating(run.job), watching.watched(run.job):
        try:
            watching.started(run.job)
            following_run = perform(run, following, before)
        except BaseException as error:
            leave_clean(before)
            outcome = record_error(run, error)
            leave_clean(before)
            return outcome, look_again()
        leave_clean(before)
        watching.ended(run.job)
    return Outcome(run.job), following_run


def perform(run: Run, following: Following, before: Mapping[str, int]) -> Run | None:
    function, connection = find_code(run.job), connections[run.job._state.db or ""]
    with transaction_around(connection.alias, is_atomic(function)):
        with unbroken(connection, before):
            value = call(run.job, function)
        # What waits for the hooks of a commit or for receivers of the signal would count as running all the while.
        following = following if may_start_another(connection) and not job_completed.receivers else nobody
        if has_begun(connection):
            return complete(run, value, following)
    # There is nothing that must be committed together with the record.
    return complete(run, value, following)


def find_code(job: ScheduledJob) -> Callable[..., Any]:
    """Find the callable. Raises CodeMissing where its module, once imported, turns out not to have it."""
    try:
        return find_callable(job)
    except UnknownCallable as error:
        raise CodeMissing(f"{worker_name()} does not have the code: {error}") from error


def find_callable(job: ScheduledJob) -> Callable[..., Any]:
    if not job.is_method_call:
        check_allowed(job.callable_name)
        function = resolve(job.callable_name)
        check_home(job.callable_name, function)
        return function
    model = content_objects.model_of(job.content_type_id or 0, using=job._state.db)
    check_allowed(method_path(model, job.callable_name))
    return find_method(model, job.callable_name)


def call(job: ScheduledJob, function: Callable[..., Any]) -> Any:
    """Call ``function([job], [content_object], *args, **kwargs)``, or the content object's method of its name."""
    leading: list[Any] = [job] if takes_job(function) else []
    if job.is_method_call:
        function = getattr(job.fetch_content_object(), job.callable_name)
    elif job.content_type_id is not None:
        leading.append(job.fetch_content_object())
    result = function(*leading, *job.args, **job.kwargs)
    return async_to_sync(_wait)(result) if inspect.isawaitable(result) else result


async def _wait(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def complete(run: Run, value: Any, following: Following = nobody) -> Run | None:
    """Record the good end, and start the following job if its row can be won.

    Raises:
        ClaimLost: the row is no longer this run's, so what the callable wrote must be rolled back.
    """
    text = None if value is None else describe_value(value, settings.MAX_RESULT_SIZE)
    now = run.now()
    job, started = following(now), False
    if job is None:
        done = run.rows.complete(run.job, text, to_datetime(now))
    else:
        task_id = task_id_of(run.message_id, job.pk)
        done, started = run.rows.complete_and_start(run.job, text, now, job, task_id=task_id)
    if not done:
        raise ClaimLost(f"Job {run.job.pk} was taken from {run.job.worker} while it ran: its lease was over.")
    return Run(job, run.watch, run.message_id) if job is not None and started else None


def record_error(run: Run, error: BaseException) -> Outcome:
    """Record the bad end of an attempt, on a new connection if need be."""
    recorded = persist(lambda: write_error(run, error), run)
    if recorded is None:
        message = "Job %s failed, and the database does not answer to record it."
        logger.error(message, run.job.pk, exc_info=error, extra={"job": run.job})
    elif not recorded:
        return explain_miss(run, error)
    else:
        log_failure(run.job, error)
        watching.ended(run.job, error)
    return Outcome(run.job, error)


def write_error(run: Run, error: BaseException) -> bool:
    if isinstance(error, CodeMissing) and run.rows.give_back(run.job, str(error), run.now()):
        return True
    return end_attempt(run.rows, run.job, describe_error(error, settings.MAX_ERROR_SIZE), run.now(), error)


def adopt(pk: int, attempts: int, clock: int, *, using: str, message_id: str) -> Run | None:
    """Give the run that was started at ``clock`` without this process knowing: the answer to the commit was lost.

    Nothing of it was called yet, and nobody else will. By the instant it is told from the run of another thread that
    was given a copy of the message.
    """
    mine = {"worker": worker_name(), "task_id": task_id_of(message_id, pk), "execution_start": to_datetime(clock)}
    try:
        job = rows_in(using).in_progress().filter(pk=pk, attempts=attempts, **mine).to_run().first()
        return None if job is None else Run(job, Watch(database_now(using)), message_id)
    except (OperationalError, InterfaceError):
        return None  # As if the process had died: the end of its lease tells of it.


def take_back(run: Run) -> None:
    """Let a job wait again that was started and not called."""
    persist(lambda: run.rows.take_back(run.job, run.now()), run)


def persist(write: Callable[[], bool], run: Run) -> bool | None:
    """Give what ``write`` returns; None if the database did not answer for some ten seconds."""
    for pause in (*PATIENCE, None):
        try:
            return write()
        except (OperationalError, InterfaceError):
            connections[run.job._state.db or ""].close()
            if pause is not None:
                time.sleep(pause)
    return None


def explain_miss(run: Run, error: BaseException) -> Outcome:
    """An error of a run that no longer owns its row: raised after the commit, or by the fence."""
    stored = run.rows.filter(pk=run.job.pk).first()
    if stored is not None and stored.status == Status.COMPLETE and stored.attempts == run.job.attempts:
        message = "Job %s is complete, but a hook after its commit raised."
        logger.error(message, run.job.pk, exc_info=error, extra={"job": run.job})
        watching.ended(run.job)
    else:
        message = "Job %s was lost by this run, which was rolled back: %s"
        logger.warning(message, run.job.pk, in_short(error, run.job), extra={"job": run.job})
    # What is to end this process, Ctrl-C say, still does.
    return Outcome(stored or run.job, None if isinstance(error, Exception) else error)


def log_failure(job: ScheduledJob, error: BaseException) -> None:
    """Log an attempt that ended badly; quietly what the job itself asked for."""
    level = logging.INFO if was_wished(job, error) else logging.ERROR
    message = BAD_ENDS.get(job.status, "Job %s (%s) failed at attempt %s of %s.")
    where = (job.pk, job.callable_name, job.attempts, job.max_attempts)
    logger.log(level, message, *where, exc_info=error, extra={"job": job})


def was_wished(job: ScheduledJob, error: BaseException) -> bool:
    return isinstance(error, Retry | JobCancelled | CodeMissing) and job.status != Status.FAILED


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
