"""Every read by status and every change of status.

Each change is one UPDATE that checks the status it comes from, and where a run or a claim is involved its ``attempts``
as well; the number of rows says who won, and whoever loses does nothing. That is all that protects a job: messages may
be lost, doubled, late or forged, leases may end too early, clocks may be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.db.models import BigIntegerField, Case, DateTimeField, F, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Coalesce, Concat

from django_future_celery.backoff import dispatch_patience, unknown_pause
from django_future_celery.clock import SECOND, DatabaseClock, database_now, to_datetime, to_micros
from django_future_celery.conf import settings
from django_future_celery.states import END_STATES, Status

if TYPE_CHECKING:
    from datetime import datetime

    from django_future_celery.models import ScheduledJob

#: What every end state has in common: nobody waits for the row any more, and its unique key is free again.
ENDED: Mapping[str, Any] = {"wake_at": None, "dispatched_at": None, "unique_key": None}

#: So many failed attempts of a job are kept, the last ones.
MOST_FAILURES = 100

EXPIRED = "Expired: its slot was over before a worker could start it."
NOT_TRIED_AGAIN = "Not tried again: its slot is over before the next attempt."
CANCELLED = "Cancelled while it waited."


def slot_open(moment: datetime) -> Q:
    return Q(time_slot_start__lte=moment) & (Q(time_slot_end=None) | Q(time_slot_end__gte=moment))


def slot_over(moment: datetime) -> Q:
    return Q(time_slot_end__lt=moment)


class ScheduledJobQuerySet(QuerySet["ScheduledJob"]):
    # -- reads ------------------------------------------------------------------------------------------------------

    def scheduled(self) -> ScheduledJobQuerySet:
        return self.filter(status=Status.SCHEDULED)

    def running(self) -> ScheduledJobQuerySet:
        return self.filter(status=Status.RUNNING)

    def ended(self) -> ScheduledJobQuerySet:
        return self.filter(status__in=END_STATES)

    def ended_as(self, status: str) -> ScheduledJobQuerySet:
        """The rows in one end state, by the condition of their index."""
        return self.filter(status=status, wake_at=None)

    def woken(self, now: int) -> ScheduledJobQuerySet:
        """The rows that a tick must look at by ``now``: due, or their dispatch lease, pause or run lease is over."""
        return self.filter(wake_at__lte=now)

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
        """The priorities in use, the highest first: one index seek for each, whatever the number of rows."""
        waiting = self.filter(wake_at__isnull=False).order_by("-priority").values_list("priority", flat=True)
        priority = waiting.first()
        while priority is not None:
            yield priority
            priority = waiting.filter(priority__lt=priority).first()

    def level(self, priority: int) -> ScheduledJobQuerySet:
        """The rows of one priority in the order of their wake-up, as the index has them: nothing to sort."""
        return self.filter(priority=priority, wake_at__isnull=False).order_by("wake_at", "id")

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
        """Mark due rows as sent and keep other ticks from them until their dispatch lease is over.

        Give the jobs whose row took the lease; a part of a group that did not is left for the next tick.
        """
        leased: list[ScheduledJob] = []
        for dispatches, group in _grouped(jobs, "dispatches"):
            rows = self.scheduled().woken(now).filter(pk__in=_keys(group), dispatches=dispatches)
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
        """
        with transaction.atomic(using=self.db):
            # The clock is read once nothing is left to wait for: not before a lock that somebody holds for long.
            row = self.scheduled().filter(pk=pk, attempts=attempts)
            job = row.locked().annotate(clock=DatabaseClock()).first()
            if job is None:
                return None
            if reason := missing(job):
                row.wait_for_code(job, reason, now)
                return None
            return job if row.win(job, worker, task_id, now) else None

    def win(self, job: ScheduledJob, worker: str, task_id: str, now: datetime | None) -> bool:
        """Start the locked ``job``, or end it if its slot is over."""
        clock: int = job.clock  # type: ignore[attr-defined]
        moment = now or to_datetime(clock)
        won = _move(
            self.filter(slot_open(moment)),
            job,
            status=Status.RUNNING,
            attempts=job.attempts + 1,
            wake_at=clock + int(settings.RUN_LEASE_SECONDS * SECOND),
            dispatched_at=None,
            dispatches=0,
            execution_start=to_datetime(clock),
            execution_end=None,
            unknown_since=None,
            worker=worker,
            task_id=task_id,
        )
        if not won:
            self.expire(moment)
        return won

    # -- scheduled → scheduled, failed --------------------------------------------------------------------------------

    def wait_for_code(self, job: ScheduledJob, reason: str, now: datetime | None) -> None:
        """Let the locked ``job`` wait for a process that has its code; at the end of its grace fail it."""
        clock: int = job.clock  # type: ignore[attr-defined]
        due = self.filter(slot_open(now or to_datetime(clock)))
        if patience := code_patience(job, clock):
            _move(due, job, error=reason, **patience)
        else:
            _move(due, job, status=Status.FAILED, execution_end=to_datetime(clock), error=reason, **ENDED)
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
        changes = {"execution_end": ended, "return_value": return_value, "error": ""}
        return _move(self.run_of(job), job, status=Status.COMPLETE, **changes, **ENDED)

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
        """Take the start back of a run that found its code missing, before anything was called.

        The number of the start stays, since it is the fence; so the job may have one attempt more.
        """
        patience = code_patience(job, now)
        if not patience:
            return self.fail(job, reason, to_datetime(now))
        more = {"max_attempts": job.max_attempts + 1, "execution_end": to_datetime(now), "error": reason}
        return _move(self.run_of(job).wanted(), job, status=Status.SCHEDULED, **more, **patience)

    # -- scheduled → expired, failed, cancelled ----------------------------------------------------------------------

    def expire(self, moment: datetime) -> int:
        """End the waiting rows whose slot is over: never started is expired, started before is failed."""
        over = self.scheduled().filter(slot_over(moment))
        # A row that was never started has an error if it has waited for its code.
        expired = _after("error", EXPIRED)
        not_again = Concat(F("error"), Value("\n" + NOT_TRIED_AGAIN))
        ended = to_datetime(database_now(self.db))
        return over.filter(attempts=0).update(
            status=Status.EXPIRED, execution_end=ended, error=expired, **ENDED
        ) + over.filter(attempts__gt=0).update(status=Status.FAILED, error=not_again, **ENDED)

    def cancel(self, *, terminate: bool = False) -> int:
        """End the rows that wait, and ask the runs to stop; give the number of both together.

        Args:
            terminate: also have the processes of the runs killed, by Celery and at the next tick.
        """
        asked = to_datetime(database_now(self.db))
        ended = {"error": CANCELLED, **ENDED, "status": Status.CANCELLED}
        # One statement, so that no row slips through between two; the status last: MySQL assigns in this order.
        return self.filter(status__in=[Status.SCHEDULED, Status.RUNNING]).update(
            cancel_requested_at=Coalesce("cancel_requested_at", Value(asked, DateTimeField())),
            terminate=Q(status=Status.RUNNING) if terminate else F("terminate"),
            **{column: self.if_waiting(column, value) for column, value in ended.items()},
        )

    def if_waiting(self, column: str, value: Any) -> Case:
        field: Any = self.model._meta.get_field(column)
        return Case(When(status=Status.SCHEDULED, then=Value(value, field)), default=F(column), output_field=field)


def code_patience(job: ScheduledJob, now: int) -> dict[str, Any]:
    """Give what lets ``job`` wait for a process that has its code; nothing if it has waited for too long."""
    since = to_micros(job.unknown_since) if job.unknown_since else now
    waited = (now - since) / SECOND
    if waited > settings.UNKNOWN_CALLABLE_GRACE:
        return {}
    wake_at = now + int(unknown_pause(waited) * SECOND)
    return {"wake_at": wake_at, "dispatched_at": None, "dispatches": 0, "unknown_since": to_datetime(since)}


def _move(row: ScheduledJobQuerySet, job: ScheduledJob, **changes: Any) -> bool:
    """Write ``changes`` to the row if it is still there; only then does ``job`` show them, too."""
    won = row.update(**changes) == 1
    if won:
        vars(job).update(changes)
    return won


def _after(column: str, text: str) -> Case:
    """``text``, and below it what the column has, if anything."""
    both = Concat(Value(f"{text}\n"), F(column), output_field=TextField())
    return Case(When(**{column: ""}, then=Value(text)), default=both, output_field=TextField())


def _micros(value: int) -> Value:
    # Its type must be said: a driver that binds parameters on the server would take it to have 32 bits.
    return Value(value, output_field=BigIntegerField())


def _grouped(jobs: Iterable[ScheduledJob], column: str) -> Iterator[tuple[int, list[ScheduledJob]]]:
    def value(job: ScheduledJob) -> int:
        return int(getattr(job, column))

    return ((key, list(group)) for key, group in groupby(sorted(jobs, key=value), value))


def _keys(jobs: Iterable[ScheduledJob]) -> list[int]:
    return [job.pk for job in jobs]
