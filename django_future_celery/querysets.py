"""Every read by status and every change of status.

Each change is one UPDATE that checks the status it comes from, and where a run or a claim is involved its ``attempts``
as well; the number of rows says who won, and whoever loses does nothing. That is all that protects a job: messages may
be lost, doubled, late or forged, leases may end too early, clocks may be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.db.models import BigIntegerField, Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Concat

from django_future_celery.backoff import dispatch_patience
from django_future_celery.clock import SECOND, DatabaseClock, to_datetime
from django_future_celery.conf import settings
from django_future_celery.states import END_STATES, Status

if TYPE_CHECKING:
    from datetime import datetime

    from django_future_celery.models import ScheduledJob

#: What every end state has in common: nobody waits for the row any more, and its unique key is free again.
ENDED: Mapping[str, Any] = {"wake_at": None, "dispatched_at": None, "unique_key": None}

EXPIRED = "Expired: its slot was over before a worker could start it."
NOT_TRIED_AGAIN = "Not tried again: its slot was over before the next attempt."
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

    def woken(self, now: int) -> ScheduledJobQuerySet:
        """The rows that a tick must look at by ``now``: due, or their dispatch lease, pause or run lease is over."""
        return self.filter(wake_at__lte=now)

    def sent(self) -> ScheduledJobQuerySet:
        """The rows that have a message out."""
        return self.scheduled().filter(dispatched_at__isnull=False)

    def lost(self, now: int) -> ScheduledJobQuerySet:
        """The runs whose lease is over; the first two conditions are those of their index."""
        return self.running().woken(now).filter(execution_start__isnull=False, execution_end=None)

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
        self, pk: int, attempts: int, *, worker: str, task_id: str, now: datetime | None = None
    ) -> ScheduledJob | None:
        """Win the row for one run: give the running job, or None if it is somebody else's, not due, or over.

        ``now`` replaces the database's clock where the slot is checked, and nowhere else.
        """
        with transaction.atomic(using=self.db):
            # The clock is read once nothing is left to wait for: not before a lock that somebody holds for long.
            row = self.scheduled().filter(pk=pk, attempts=attempts)
            job = row.locked().annotate(clock=DatabaseClock()).first()
            return job if job is not None and row.win(job, worker, task_id, now) else None

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
            worker=worker,
            task_id=task_id,
        )
        if not won:
            self.expire(moment)
        return won

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

    # -- running → complete, failed, scheduled -----------------------------------------------------------------------

    def run_of(self, job: ScheduledJob) -> ScheduledJobQuerySet:
        """The row of ``job``, if the run that it describes still owns it."""
        return self.running().filter(pk=job.pk, attempts=job.attempts)

    def complete(self, job: ScheduledJob, return_value: str | None, ended: datetime) -> bool:
        changes = {"execution_end": ended, "return_value": return_value, "error": ""}
        return _move(self.run_of(job), job, status=Status.COMPLETE, **changes, **ENDED)

    def fail(self, job: ScheduledJob, error: str, ended: datetime) -> bool:
        return _move(self.run_of(job), job, status=Status.FAILED, execution_end=ended, error=error, **ENDED)

    def try_again(self, job: ScheduledJob, error: str, ended: datetime, wake_at: int) -> bool:
        changes = {"execution_end": ended, "error": error, "wake_at": wake_at}
        return _move(self.run_of(job), job, status=Status.SCHEDULED, **changes)

    # -- scheduled → expired, failed, cancelled ----------------------------------------------------------------------

    def expire(self, moment: datetime) -> int:
        """End the waiting rows whose slot is over: never started is expired, started before is failed."""
        over = self.scheduled().filter(slot_over(moment))
        reason = Concat(F("error"), Value("\n" + NOT_TRIED_AGAIN))
        return over.filter(attempts=0).update(status=Status.EXPIRED, error=EXPIRED, **ENDED) + over.filter(
            attempts__gt=0
        ).update(status=Status.FAILED, error=reason, **ENDED)

    def cancel(self) -> int:
        """End the rows that wait; those that run or have ended stay as they are."""
        return self.scheduled().update(status=Status.CANCELLED, error=CANCELLED, **ENDED)


def _move(row: ScheduledJobQuerySet, job: ScheduledJob, **changes: Any) -> bool:
    """Write ``changes`` to the row if it is still there; only then does ``job`` show them, too."""
    won = row.update(**changes) == 1
    if won:
        vars(job).update(changes)
    return won


def _micros(value: int) -> Value:
    # Its type must be said: a driver that binds parameters on the server would take it to have 32 bits.
    return Value(value, output_field=BigIntegerField())


def _grouped(jobs: Iterable[ScheduledJob], column: str) -> Iterator[tuple[int, list[ScheduledJob]]]:
    def value(job: ScheduledJob) -> int:
        return int(getattr(job, column))

    return ((key, list(group)) for key, group in groupby(sorted(jobs, key=value), value))


def _keys(jobs: Iterable[ScheduledJob]) -> list[int]:
    return [job.pk for job in jobs]
