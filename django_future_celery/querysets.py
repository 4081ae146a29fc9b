"""Every read by status and every change of status.

Each change is one UPDATE that checks the status it comes from, and where a run or a claim is involved its ``attempts``
as well; the number of rows says who won, and whoever loses does nothing. That is all that protects a job: messages may
be lost, doubled, late or forged, leases may end too early, clocks may be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.db.models import BigIntegerField, Case, DateTimeField, F, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Coalesce, Concat
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone

from django_future_celery.backoff import dispatch_patience, unknown_pause
from django_future_celery.clock import (
    SECOND,
    DatabaseClock,
    Micros,
    database_now,
    to_datetime,
    to_micros,
)
from django_future_celery.conf import settings
from django_future_celery.durations import offset_of, start_of
from django_future_celery.exceptions import NotYet
from django_future_celery.options import check_relative_to
from django_future_celery.statements import SQL, Given, Statement, update_sql
from django_future_celery.states import END_STATES, Status
from django_future_celery.watching import all_ended

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from django_future_celery.models import ScheduledJob

#: Microseconds that a message may leave before its job is due. On the way, and then in the worker, it waits for that
#: instant, and the claim and the way take none of the time after it.
AHEAD = SECOND // 20

#: What every end state has in common: nobody waits for the row any more, and its unique key is free again.
ENDED: Mapping[str, Any] = {"wake_at": None, "dispatched_at": None, "unique_key": None}

#: What is the same at each start, and at each good end.
STARTED: dict[str, Any] = {
    "status": Status.RUNNING,
    "dispatched_at": None,
    "dispatches": 0,
    "execution_end": None,
    "unknown_since": None,
}
COMPLETED: dict[str, Any] = {"status": Status.COMPLETE, "error": "", **ENDED}

#: Columns that no run needs: whoever asks for them reads them then.
UNREAD = ("error", "return_value")

#: So many failed attempts of a job are kept, the last ones.
MOST_FAILURES = 100

EXPIRED = "Expired: its slot was over before a worker could start it."
NOT_TRIED_AGAIN = "Not tried again: its slot is over before the next attempt."
CANCELLED = "Cancelled while it waited."


def slot_open(moment: datetime) -> Q:
    return Q(time_slot_start__lte=moment) & (Q(time_slot_end=None) | Q(time_slot_end__gte=moment))


def is_open(job: ScheduledJob, moment: datetime) -> bool:
    return job.time_slot_start <= moment and (job.time_slot_end is None or job.time_slot_end >= moment)


def is_ahead(job: ScheduledJob, clock: int) -> bool:
    """Whether a job is worth waiting for: its message may have left before it is due."""
    return 0 < job.due_at - clock <= AHEAD


def slot_over(moment: datetime) -> Q:
    return Q(time_slot_end__lt=moment)


class ScheduledJobQuerySet(QuerySet["ScheduledJob"]):
    # -- reads ------------------------------------------------------------------------------------------------------

    def scheduled(self) -> ScheduledJobQuerySet:
        return self.filter(status=Status.SCHEDULED)

    def waiting(self, pk: int, attempts: int) -> ScheduledJobQuerySet:
        """The row of a job that waits for its start after so many."""
        return self.scheduled().filter(pk=pk, attempts=attempts)

    def running(self) -> ScheduledJobQuerySet:
        return self.filter(status=Status.RUNNING)

    def ended(self) -> ScheduledJobQuerySet:
        return self.filter(status__in=END_STATES)

    def ended_before(self, status: str, moment: datetime) -> ScheduledJobQuerySet:
        """The rows of one end state whose last run, or their wait if they never ran, ended before ``moment``.

        The oldest first, as their index has them: nothing is read of the rows that are kept, and nothing is sorted.
        """
        ended = self.filter(status=status, wake_at=None, execution_end__lt=moment)
        return ended.order_by("execution_end")

    def ended_as(self, status: str) -> ScheduledJobQuerySet:
        """The rows in one end state, by the condition of their index."""
        return self.filter(status=status, wake_at=None)

    def woken(self, now: int) -> ScheduledJobQuerySet:
        """The rows that a tick must look at by ``now``: due, or their dispatch lease, pause or run lease is over."""
        return self.filter(wake_at__lte=now)

    def to_run(self) -> ScheduledJobQuerySet:
        """The rows with what a run needs of them."""
        return self.defer(*UNREAD)

    def with_clock(self) -> ScheduledJobQuerySet:
        """Give each job the database's time as ``clock``."""
        return self.annotate(clock=DatabaseClock())

    def sent(self) -> ScheduledJobQuerySet:
        """The rows that have a message out."""
        return self.scheduled().filter(dispatched_at__isnull=False)

    def lost(self, now: int) -> ScheduledJobQuerySet:
        """The runs whose lease is over."""
        return self.in_progress().woken(now)

    def in_progress(self) -> ScheduledJobQuerySet:
        """The running rows, by the condition of their index."""
        return self.running().filter(execution_start__isnull=False, execution_end=None)

    def runs_of_message(self, task_id: str) -> ScheduledJobQuerySet:
        """The runs that a Celery message has started: of its one job, or of one among several."""
        return self.in_progress().filter(Q(task_id=task_id) | Q(task_id__startswith=f"{task_id}."))

    def to_terminate(self) -> ScheduledJobQuerySet:
        """The runs that somebody wants to have killed."""
        return self.in_progress().filter(terminate=True)

    def priorities(self) -> Iterator[int]:
        """The priorities in use, the highest first: one index seek for each, whatever the number of rows.

        Where the index has all rows, those that only ended rows have are among them: to seek the next row that waits
        would be to read past all that have ended.
        """
        partial = connections[self.db].features.supports_partial_indexes
        indexed = self.filter(wake_at__isnull=False) if partial else self
        levels = indexed.order_by("-priority").values_list("priority", flat=True)
        priority = levels.first()
        while priority is not None:
            yield priority
            priority = levels.filter(priority__lt=priority).first()

    def level(self, priority: int) -> ScheduledJobQuerySet:
        """The rows of one priority in the order of their wake-up, as the index has them: nothing to sort."""
        return self.filter(priority=priority, wake_at__isnull=False).order_by("wake_at", "id")

    def not_running(self) -> ScheduledJobQuerySet:
        """The scheduled rows among those that have a wake-up.

        Said so because few rows run: hearing of a status that few rows have, a planner takes the rows of a level for a
        few, and reads and sorts all of them.
        """
        return self.exclude(status=Status.RUNNING)

    def first_rows(self, limit: int) -> list[ScheduledJob]:
        """Fetch the first rows of a level, reading no more than these, whatever the planner knows of the table."""
        if connections[self.db].vendor != "postgresql":
            return list(self[:limit])
        with transaction.atomic(using=self.db, savepoint=False), connections[self.db].cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off")
            return list(self[:limit])

    def last_lengths(self, count: int) -> list[timedelta]:
        """How long the last ones of the jobs took that completed."""
        last = self.ended_as(Status.COMPLETE).order_by("-execution_end").only("execution_start", "execution_end")
        return [
            job.execution_end - job.execution_start
            for job in last.first_rows(count)
            if job.execution_start is not None and job.execution_end is not None
        ]

    def next_wake(self, after: int) -> int | None:
        """The next instant after ``after`` at which a row wants to be looked at."""
        ahead = self.filter(wake_at__gt=after)
        firsts = (ahead.level(each).values_list("wake_at", flat=True).first() for each in self.priorities())
        return min((wake for wake in firsts if wake is not None), default=None)

    def locked(self) -> ScheduledJobQuerySet:
        """Lock the rows and pass over those that somebody else holds.

        SQLite has no row locks; its one write lock does the same. A transaction that does not begin with it takes it
        here, by an UPDATE of no row, which waits: asked for after a read, it may be refused.
        """
        if getattr(connections[self.db], "transaction_mode", "IMMEDIATE") not in ("IMMEDIATE", "EXCLUSIVE"):
            self.model.objects.using(self.db).filter(pk=-1).update(priority=0)
        return self.select_for_update(skip_locked=True)

    # -- scheduled → scheduled --------------------------------------------------------------------------------------

    def lease(self, jobs: Iterable[ScheduledJob], now: int) -> list[ScheduledJob]:
        """Mark rows that are due, or about to be, as sent, and keep other ticks from them until their lease is over.

        Give the jobs whose row took the lease; a part of a group that did not is left for the next tick.
        """
        leased: list[ScheduledJob] = []
        for dispatches, group in _grouped(jobs, "dispatches"):
            rows = self.scheduled().woken(now + AHEAD).filter(pk__in=_keys(group), dispatches=dispatches)
            won = rows.update(
                wake_at=now + int(dispatch_patience(dispatches) * SECOND),
                dispatched_at=to_datetime(now),
                dispatches=dispatches + 1,
            )
            leased += group if won == len(group) else []
        return leased

    def release(self, jobs: Sequence[ScheduledJob]) -> int:
        """Take back the lease of rows whose message was never tried: they are due as they were before."""
        as_before = Case(*(When(pk=job.pk, then=_micros(job.wake_at)) for job in jobs))
        freed = 0
        for attempts, group in _grouped(jobs, "attempts"):
            rows = self.sent().filter(pk__in=_keys(group), attempts=attempts)
            freed += rows.update(wake_at=as_before, dispatched_at=None, dispatches=F("dispatches") - 1)
        return freed

    def put_off(self, jobs: Iterable[ScheduledJob], now: int) -> None:
        """Let rows sleep until their slot begins: it was moved after they were told when to wake."""
        # Without time zones an hour comes twice in autumn, and then a slot may begin later than its time says.
        later = now + int(settings.TICK_SECONDS * SECOND)
        for job in jobs:
            row = self.scheduled().woken(now).filter(pk=job.pk, time_slot_start=job.time_slot_start)
            row.update(wake_at=job.due_at if job.due_at > now else later, dispatched_at=None, dispatches=0)

    def edit(self, job: ScheduledJob, due_at: int) -> bool:
        """Write the slot, priority and queue of a job that waits; a new start sets a new wake-up."""
        moved = ~Q(time_slot_start=job.time_slot_start)
        row = self.scheduled().filter(pk=job.pk)
        written = row.update(
            # First: MySQL assigns from left to right, and these still compare with the old start.
            wake_at=Case(When(moved, then=_micros(due_at)), default=F("wake_at"), output_field=BigIntegerField()),
            dispatched_at=Case(When(moved, then=None), default=F("dispatched_at")),
            time_slot_start=job.time_slot_start,
            time_slot_end=job.time_slot_end,
            priority=job.priority,
            queue=job.queue,
        )
        return written == 1

    def reschedule(self, date: datetime | timedelta | str, *, relative_to: str = "now") -> int:
        """Move the slots of the rows that wait, in one statement; each slot keeps its length. Give their number.

        This is not ``job.reschedule``, which schedules a copy: running and ended rows stay as they are.

        Args:
            date: as for ``schedule_job``; an offset counts from now, so that all slots then begin at one instant.
            relative_to: ``'scheduled'`` lets an offset count from the start of each row's own slot instead.

        Raises:
            InvalidTime, InvalidTimeType: the date says no time.
            InvalidOption: another ``relative_to``.
        """
        check_relative_to(relative_to)
        start: Any = start_of(date, now=timezone.now())
        due_at: Any = _micros(to_micros(start))
        end: Any = F("time_slot_end") + (Value(start, DateTimeField()) - F("time_slot_start"))
        if relative_to == "scheduled" and (offset := offset_of(date)) is not None:
            start, end = F("time_slot_start") + offset, F("time_slot_end") + offset
            due_at = Micros(start)
        # The start last: MySQL assigns from left to right, and the others still compute with the old one.
        return self.scheduled().update(time_slot_end=end, wake_at=due_at, dispatched_at=None, time_slot_start=start)

    # -- scheduled → running ----------------------------------------------------------------------------------------

    def start(
        self,
        pk: int,
        attempts: int,
        *,
        worker: str,
        task_id: str,
        now: datetime | None = None,
        missing: Callable[[ScheduledJob], str] = lambda job: "",
    ) -> ScheduledJob | None:
        """Win the row for one run: give the running job, or None if it is somebody else's, not due, or over.

        Args:
            now: replaces the database's clock where the slot is checked, and nowhere else.
            missing: tells why this process cannot have the job's code; the job then waits for another process.

        Raises:
            NotYet: the message was sent ahead, and the slot of the job that it has is about to begin.
        """
        with transaction.atomic(using=self.db):
            # The clock is read once nothing is left to wait for: not before a lock that somebody holds for long.
            row = self.waiting(pk, attempts)
            job = row.to_run().locked().with_clock().first()
            if job is None:
                return None
            if reason := missing(job):
                row.wait_for_code(job, reason, now)
            else:
                clock: int = job.clock  # type: ignore[attr-defined]
                moment = now or to_datetime(clock)
                if now is None and is_ahead(job, clock):
                    raise NotYet(job)
                if not is_open(job, moment):
                    row.expire(moment)
                elif self.win(job, clock, worker, task_id):
                    return job
            ends = self.filter(status__in=[Status.EXPIRED, Status.FAILED], pk=pk, attempts=attempts)
            transaction.on_commit(partial(all_ended, ends), using=self.db, robust=True)
            return None

    def win(self, job: ScheduledJob, clock: int, worker: str, task_id: str) -> bool:
        """Start ``job``, whose row nobody else has locked, if it is still as it was read."""
        changes = _start_at(job, clock, worker, task_id)
        cursor = START.execute(self, job.time_slot_end is None, **_as_read(job, clock), **changes)
        return _moved(job, STARTED | changes, cursor.rowcount == 1)

    # -- scheduled → scheduled, failed --------------------------------------------------------------------------------

    def wait_for_code(self, job: ScheduledJob, reason: str, now: datetime | None) -> None:
        """Let the locked ``job`` wait for a process that has its code; at the end of its grace fail it."""
        clock: int = job.clock  # type: ignore[attr-defined]
        due = self.filter(slot_open(now or to_datetime(clock)))
        if patience := code_patience(job, clock):
            _move(due, job, error=reason, **patience)
        else:
            ended = job.execution_end or to_datetime(clock)
            _move(due, job, status=Status.FAILED, error=reason, execution_end=ended, **ENDED)
        self.expire(now or to_datetime(clock))

    # -- running → running ------------------------------------------------------------------------------------------

    def renew(self, runs: Iterable[tuple[int, int]]) -> int:
        """Renew the leases of the runs ``(id, attempts)``, except of rows that somebody holds locked just now."""
        mine = set(runs)
        with transaction.atomic(using=self.db):
            rows = self.running().filter(pk__in={pk for pk, _ in mine}).only("attempts").locked()
            jobs = [job for job in rows if (job.pk, job.attempts) in mine]
            lease_end = DatabaseClock() + _micros(int(settings.RUN_LEASE_SECONDS * SECOND))
            return sum(
                self.running().filter(pk__in=_keys(group), attempts=attempts).update(wake_at=lease_end)
                for attempts, group in _grouped(jobs, "attempts")
            )

    def terminated(self, job: ScheduledJob) -> None:
        """Note that Celery was told to kill the run; of a row that somebody holds, at the next tick."""
        with transaction.atomic(using=self.db):
            told = self.run_of(job).filter(terminate=True).only("pk").locked()
            self.filter(pk__in=_keys(told)).update(terminate=False)

    # -- running → complete, failed, scheduled, cancelled ------------------------------------------------------------

    def run_of(self, job: ScheduledJob) -> ScheduledJobQuerySet:
        """The row of ``job``, if the run that it describes still owns it."""
        return self.running().filter(pk=job.pk, attempts=job.attempts)

    def complete(self, job: ScheduledJob, return_value: str | None, ended: datetime) -> bool:
        changes = {"return_value": return_value, "execution_end": ended}
        cursor = COMPLETE.execute(self, done_id=job.pk, done_attempts=job.attempts, **changes)
        return _moved(job, COMPLETED | changes, cursor.rowcount == 1)

    def complete_and_start(
        self, job: ScheduledJob, return_value: str | None, clock: int, following: ScheduledJob, *, task_id: str
    ) -> tuple[bool, bool]:
        """End a run, and in the same transaction start the next job of the same process; give what of both was won.

        Without the first there is no second. The next one is not waited for, and not taken unless its row is as
        ``following`` was read.
        """
        if connections[self.db].vendor != "postgresql":
            done = self.complete(job, return_value, to_datetime(clock))
            return done, done and self.start_unheld(following, clock, job.worker, task_id)
        changes = _start_at(following, clock, job.worker, task_id)
        completed = {"return_value": return_value, "execution_end": changes["execution_start"]}
        mine = {"done_id": job.pk, "done_attempts": job.attempts}
        ends = following.time_slot_end is None
        cursor = COMPLETE_AND_START.execute(self, ends, **mine, **completed, **_as_read(following, clock), **changes)
        done, started = cursor.fetchone()
        return _moved(job, COMPLETED | completed, done), _moved(following, STARTED | changes, started)

    def start_free(self, job: ScheduledJob, clock: int, worker: str, task_id: str) -> bool:
        """Start ``job`` by one statement; not if somebody holds its row, or that is not as it was read.

        Only PostgreSQL finds that out without waiting for whoever holds it.
        """
        if connections[self.db].vendor != "postgresql":
            return False
        changes = _start_at(job, clock, worker, task_id)
        cursor = START_FREE.execute(self, job.time_slot_end is None, **_as_read(job, clock), **changes)
        return _moved(job, STARTED | changes, cursor.rowcount == 1)

    def start_unheld(self, job: ScheduledJob, clock: int, worker: str, task_id: str) -> bool:
        """Start ``job`` in the transaction that is open; not if somebody holds its row, or it is not as it was read."""
        if connections[self.db].vendor == "mysql" and not self.filter(pk=job.pk).only("pk").locked():
            return False
        return self.win(job, clock, worker, task_id)

    def fail(self, job: ScheduledJob, error: str, ended: datetime) -> bool:
        changes = {"execution_end": ended, "error": error}
        return _move(self.run_of(job).wanted(), job, status=Status.FAILED, **changes, **ENDED)

    def try_again(self, job: ScheduledJob, error: str, ended: datetime, wake_at: int) -> bool:
        """Let the job wait for its next attempt; this one is kept."""
        attempt = {
            "number": job.attempts,
            "execution_start": job.execution_start and job.execution_start.isoformat(),
            "execution_end": ended.isoformat(),
            "worker": job.worker,
            "task_id": job.task_id,
            "error": error,
        }
        failures = [*(job.failures or ()), attempt][-MOST_FAILURES:]
        changes = {"execution_end": ended, "error": error, "failures": failures, "wake_at": wake_at}
        return _move(self.run_of(job).wanted(), job, status=Status.SCHEDULED, **changes)

    def stop(self, job: ScheduledJob, error: str, ended: datetime) -> bool:
        """End a run that was asked to stop, or stopped by itself, and did not complete."""
        return _move(self.run_of(job), job, status=Status.CANCELLED, execution_end=ended, error=error, **ENDED)

    def wanted(self) -> ScheduledJobQuerySet:
        """The runs that nobody asked to stop."""
        return self.filter(cancel_requested_at=None)

    def give_back(self, job: ScheduledJob, reason: str, now: int) -> bool:
        """Take the start back of a run that found its code missing, before anything was called."""
        patience = code_patience(job, now)
        if not patience:
            return self.fail(job, reason, to_datetime(now))
        return self.take_back(job, now, error=reason, **patience)

    def take_back(self, job: ScheduledJob, now: int, **changes: Any) -> bool:
        """Let a job wait again whose run has called nothing; it is due at once, if ``changes`` say nothing else.

        The number of the start stays, since it is the fence; so the job may have one attempt more.
        """
        more = {"max_attempts": job.max_attempts + 1, "execution_end": to_datetime(now), "wake_at": now}
        return _move(self.run_of(job).wanted(), job, status=Status.SCHEDULED, **more | changes)

    # -- scheduled → expired, failed, cancelled ----------------------------------------------------------------------

    def expire(self, moment: datetime) -> int:
        """End the waiting rows whose slot is over: never started is expired, started before is failed."""
        over = self.scheduled().filter(slot_over(moment))
        # A row that was never started has an error if it has waited for its code.
        expired = _after("error", EXPIRED)
        not_again = Concat(F("error"), Value("\n" + NOT_TRIED_AGAIN))
        ended = {"execution_end": _unless_it_ran(moment), **ENDED}
        return over.filter(attempts=0).update(status=Status.EXPIRED, error=expired, **ended) + over.filter(
            attempts__gt=0
        ).update(status=Status.FAILED, error=not_again, **ended)

    def cancel(self, *, terminate: bool = False) -> int:
        """End the rows that wait, and ask the runs to stop; give the number of both together.

        Args:
            terminate: also have the processes of the runs killed, by Celery and at the next tick.
        """
        asked = to_datetime(database_now(self.db))
        ended = {"error": CANCELLED, "execution_end": _unless_it_ran(asked), **ENDED, "status": Status.CANCELLED}
        # One statement, so that no row slips through between two; the status last: MySQL assigns in this order.
        return self.filter(status__in=[Status.SCHEDULED, Status.RUNNING]).update(
            cancel_requested_at=Coalesce("cancel_requested_at", Value(asked, DateTimeField())),
            terminate=Q(status=Status.RUNNING) if terminate else F("terminate"),
            **{column: self.if_waiting(column, value) for column, value in ended.items()},
        )

    def if_waiting(self, column: str, value: Any) -> Case:
        field: Any = self.model._meta.get_field(column)
        waiting = value if hasattr(value, "resolve_expression") else Value(value, field)
        return Case(When(status=Status.SCHEDULED, then=waiting), default=F(column), output_field=field)


def code_patience(job: ScheduledJob, now: int) -> dict[str, Any]:
    """Give what lets ``job`` wait for a process that has its code; nothing if it has waited for too long."""
    since = to_micros(job.unknown_since) if job.unknown_since else now
    waited = (now - since) / SECOND
    if waited > settings.UNKNOWN_CALLABLE_GRACE:
        return {}
    wake_at = now + int(unknown_pause(waited) * SECOND)
    return {"wake_at": wake_at, "dispatched_at": None, "dispatches": 0, "unknown_since": to_datetime(since)}


def _move(row: ScheduledJobQuerySet, job: ScheduledJob, **changes: Any) -> bool:
    """Write ``changes`` to the row if it is still there."""
    return _moved(job, changes, row.update(**changes) == 1)


def _moved(job: ScheduledJob, changes: Mapping[str, Any], won: bool) -> bool:
    """Only if the row was written does ``job`` show it, too."""
    if won:
        vars(job).update(changes)
    return won


# -- what runs for each job --------------------------------------------------------------------------------------------


def _start_at(job: ScheduledJob, clock: int, worker: str, task_id: str) -> dict[str, Any]:
    """What differs from start to start."""
    return {
        "attempts": job.attempts + 1,
        "wake_at": clock + int(settings.RUN_LEASE_SECONDS * SECOND),
        "execution_start": to_datetime(clock),
        "worker": worker,
        "task_id": task_id,
    }


def _as_read(job: ScheduledJob, clock: int) -> dict[str, Any]:
    """What a row must be to be started: as ``job`` was read, and ``clock`` may not be long past."""
    return {
        "id": job.pk,
        "read_attempts": job.attempts,
        "read_slot_start": job.time_slot_start,
        "read_slot_end": job.time_slot_end,
        "latest": clock + SECOND,
    }


def _given(rows: ScheduledJobQuerySet, column: str, name: str = "") -> Any:
    return Given(name or column, rows.model._meta.get_field(column))


def _given_all(rows: ScheduledJobQuerySet, *columns: str) -> dict[str, Any]:
    return {column: _given(rows, column) for column in columns}


def _waiting(rows: ScheduledJobQuerySet, endless: bool) -> ScheduledJobQuerySet:
    row = rows.scheduled().filter(
        pk=_given(rows, "id"),
        attempts=_given(rows, "attempts", "read_attempts"),
        time_slot_start=_given(rows, "time_slot_start", "read_slot_start"),
        time_slot_end=None if endless else _given(rows, "time_slot_end", "read_slot_end"),
    )
    if connections[rows.db].vendor == "sqlite":
        return row  # Its clock is this process's own, and would be composed as a constant.
    return row.filter(LessThanOrEqual(DatabaseClock(), _given(rows, "wake_at", "latest")))


def _free(rows: ScheduledJobQuerySet, endless: bool) -> ScheduledJobQuerySet:
    """The waiting row, unless somebody holds it."""
    free = _waiting(rows, endless).select_for_update(skip_locked=True).values("pk")
    return _waiting(rows, endless).filter(pk=free[:1])


def _start(rows: ScheduledJobQuerySet, endless: bool) -> SQL:
    return _started(rows, _waiting(rows, endless))


def _start_free(rows: ScheduledJobQuerySet, endless: bool) -> SQL:
    return _started(rows, _free(rows, endless))


def _started(rows: ScheduledJobQuerySet, row: QuerySet[Any]) -> SQL:
    varies = _given_all(rows, "attempts", "wake_at", "execution_start", "worker", "task_id")
    return update_sql(row, STARTED | varies)


def _complete(rows: ScheduledJobQuerySet) -> SQL:
    mine = rows.running().filter(pk=_given(rows, "id", "done_id"), attempts=_given(rows, "attempts", "done_attempts"))
    return update_sql(mine, COMPLETED | _given_all(rows, "return_value", "execution_end"))


def _complete_and_start(rows: ScheduledJobQuerySet, endless: bool) -> SQL:
    """Both in one round trip to PostgreSQL."""
    both = _free(rows, endless).extra(where=["EXISTS (SELECT 1 FROM done)"])
    (first, its_params), (second, more_params) = _complete(rows), _started(rows, both)
    won = "SELECT EXISTS (SELECT 1 FROM done), EXISTS (SELECT 1 FROM started)"
    sql = f"WITH done AS ({first} RETURNING 1), started AS ({second} RETURNING 1) {won}"
    return sql, [*its_params, *more_params]


START, START_FREE = Statement(_start), Statement(_start_free)
COMPLETE, COMPLETE_AND_START = Statement(_complete), Statement(_complete_and_start)


def _after(column: str, text: str) -> Case:
    """``text``, and below it what the column has, if anything."""
    both = Concat(Value(f"{text}\n"), F(column), output_field=TextField())
    return Case(When(**{column: ""}, then=Value(text)), default=both, output_field=TextField())


def _unless_it_ran(moment: datetime) -> Coalesce:
    """The end of a job that ends while it waits: an earlier attempt keeps its own."""
    return Coalesce("execution_end", Value(moment, DateTimeField()))


def _micros(value: int) -> Value:
    # Its type must be said: a driver that binds parameters on the server would take it to have 32 bits.
    return Value(value, output_field=BigIntegerField())


def _grouped(jobs: Iterable[ScheduledJob], column: str) -> Iterator[tuple[int, list[ScheduledJob]]]:
    def value(job: ScheduledJob) -> int:
        return int(getattr(job, column))

    return ((key, list(group)) for key, group in groupby(sorted(jobs, key=value), value))


def _keys(jobs: Iterable[ScheduledJob]) -> list[int]:
    return [job.pk for job in jobs]
