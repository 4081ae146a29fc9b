"""The Celery tasks: one job, several jobs, and the tick. Thin: the work is done by functions without Celery."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Task, shared_task
from celery.exceptions import TimeLimitExceeded, WorkerLostError
from celery.signals import task_failure, task_revoked, worker_init, worker_ready, worker_shutdown
from celery.worker import state
from django.db import connections, router

from django_future_celery import sticky
from django_future_celery.batch import Batch, read, release
from django_future_celery.conf import settings
from django_future_celery.dispatcher import tick_all
from django_future_celery.exceptions import JobFailed
from django_future_celery.heartbeat import holding
from django_future_celery.models import ScheduledJob
from django_future_celery.presence import Presence
from django_future_celery.publishing import RUN, RUN_BATCH, SENT_WITH, Publisher
from django_future_celery.recovery import cancel_message, record_death
from django_future_celery.reporting import Told, raise_to_end, report, told_of_jobs
from django_future_celery.runner import run_job
from django_future_celery.states import Kind
from django_future_celery.transactions import close_if_broken

logger = logging.getLogger(__name__)

#: Celery must not do what the row does: acknowledge late, redeliver, retry, keep results. A redelivered message could
#: not tell whether the first run is alive; the lease can. After ``os._exit`` in a job it would come back for ever.
ROW_DECIDES = {"acks_late": False, "reject_on_worker_lost": False, "max_retries": 0} | SENT_WITH


@shared_task(name=RUN, bind=True, throws=(JobFailed,), **ROW_DECIDES)
def run(self: Task, job_id: int, attempts: int, using: str | None = None) -> str:
    """Run one job. Raises JobFailed, with the job's own traceback, so that Flower shows it."""
    alias = alias_of({"using": using})
    close_if_broken(alias)
    outcome = run_job(job_id, attempts, using=alias, task_id=self.request.id or "")
    return "nothing to do" if outcome is None else report(outcome)


@shared_task(name=RUN_BATCH, bind=True, send_events=False, **ROW_DECIDES)
def run_batch(self: Task, pairs: list[tuple[int, int]], using: str | None = None) -> str:
    """Run several jobs, one after another; what is not started in time is left to others.

    Under a time limit only the first is run: the limit is of the message, and was meant for each.
    """
    alias, message_id = alias_of({"using": using}), self.request.id or ""
    seconds = 0.0 if is_limited(self) else settings.BATCH_SECONDS
    close_if_broken(alias)
    with told_of_jobs(self, _sends_events) as told:
        jobs = read(alias, pairs)
        batch = Batch(alias, *jobs, message_id, seconds, stop=is_stopping, started=told.started)
        with holding(batch):
            return f"{tell_and_count(batch, told)} of {len(pairs)} jobs"


def tell_and_count(batch: Batch, told: Told) -> int:
    count = 0
    for outcome in batch:
        count += 1
        told.ended(outcome)
        raise_to_end(outcome.error)
    return count


def is_limited(task: Task) -> bool:
    """Whether Celery may interrupt or kill what this message runs, by whatever limit."""
    own = (task.time_limit, task.soft_time_limit, *(task.request.timelimit or ()))
    return any(own) or any(_limits)


def is_stopping() -> bool:
    """Whether the worker is about to end. A prefork child does not know; it is waited for, but not for long."""
    return state.should_stop not in (None, False) or state.should_terminate not in (None, False)


#: The worker's own time limits, and whether it sends events: its processes are forked with them.
_limits: tuple[float | None, ...] = ()
_sends_events = False


@worker_init.connect(dispatch_uid="django_future_celery.worker")
def on_worker(sender: Any, **options: Any) -> None:
    """Note how the worker was started, and import what jobs are likely to call: it must know what it does not have."""
    global _limits, _sends_events
    _limits, _sends_events = (sender.time_limit, sender.soft_time_limit), bool(sender.task_events)
    sticky.discover()


#: The workers of this process by their names: one, unless tests start more.
_present: dict[str, Presence] = {}


@worker_ready.connect(dispatch_uid="django_future_celery.ready")
def on_ready(sender: Any, **options: Any) -> None:
    """In the worker's main process, or its only one: be seen at work, also while there is none."""
    _present[sender.hostname] = Presence(Kind.WORKER, sender.hostname)
    _present[sender.hostname].stay()


@worker_shutdown.connect(dispatch_uid="django_future_celery.shutdown")
def on_shutdown(sender: Any, **options: Any) -> None:
    if presence := _present.pop(sender.hostname, None):
        presence.leave()


@task_failure.connect(dispatch_uid="django_future_celery.death")
def on_death(sender: Any, task_id: str, exception: BaseException, args: Any, kwargs: Any, **options: Any) -> None:
    """In the worker's main process: a process that ran jobs died, or was killed because of its time limit."""
    if sender.name not in (RUN, RUN_BATCH):
        return
    if isinstance(exception, TimeLimitExceeded):
        tell_death(kwargs, task_id, f"Time limit exceeded: its process was killed after {exception.args[0]:g} s.")
    elif isinstance(exception, WorkerLostError):
        tell_death(kwargs, task_id, f"Worker lost: {exception}.")
    else:
        return
    release_rest(sender, args, kwargs)


@task_revoked.connect(dispatch_uid="django_future_celery.revoked")
def on_revoked(sender: Any, request: Any, terminated: bool, **options: Any) -> None:
    """In the worker's main process: somebody revoked a message, or had the process killed that runs it."""
    if sender.name not in (RUN, RUN_BATCH):
        return
    if sender.name == RUN:
        with calmly(alias_of(request.kwargs)) as using:
            cancel_message(using, request.id, *request.args)
    if terminated:
        tell_death(request.kwargs, request.id, "Terminated: its process was killed on request.", terminated=True)
    release_rest(sender, request.args, request.kwargs)


def tell_death(kwargs: Any, task_id: str, reason: str, *, terminated: bool = False) -> None:
    with calmly(alias_of(kwargs)) as using:
        record_death(using, task_id, reason, terminated=terminated)


def release_rest(task: Any, args: Any, kwargs: Any) -> None:
    """Have the jobs of a message run elsewhere that nobody will start any more."""
    if task.name == RUN_BATCH:
        with calmly(alias_of(kwargs)) as using:
            release(using, read(using, *args)[0])


def alias_of(kwargs: Any) -> str:
    """Give the database that a message is about."""
    return (kwargs or {}).get("using") or router.db_for_write(ScheduledJob)


@contextmanager
def calmly(using: str) -> Iterator[str]:
    """Use a database from a worker's main process: what fails here, the end of the lease does later."""
    try:
        yield using
    except Exception as error:
        logger.warning("Could not record the end of a run in %r, its lease will: %s", using, error)
    finally:
        connections[using].close()


# Ticks that waited long, behind busy or stopped workers, are dropped: one does the work of all.
@shared_task(name="django_future_celery.tick", bind=True, send_events=False, expires=60, **ROW_DECIDES)
def tick(self: Task) -> list[str]:
    """Hand over what is due, for beat schedulers other than ours; any number of them may run at once."""
    with Publisher(self.app) as publish:
        ticks = tick_all(publish, publish.terminate)
    for using in ticks:
        ticking.show(using)
    return [f"{using}: {tick}" for using, tick in ticks.items()]


#: Whichever process runs the tick as a task, it is the same beat that has it run.
ticking = Presence(Kind.BEAT, tick.name)
