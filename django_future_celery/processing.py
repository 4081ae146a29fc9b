"""Run what is due in this process, with no broker: ``run_jobs`` and the command ``runscheduledjobs``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import Max, Q

from django_future_celery import sticky
from django_future_celery.batch import Batch
from django_future_celery.clock import database_now, to_datetime, to_micros
from django_future_celery.dispatcher import databases
from django_future_celery.durations import start_of
from django_future_celery.exceptions import InsideTransaction
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet
from django_future_celery.recovery import Recovered, recover
from django_future_celery.runner import Outcome
from django_future_celery.states import Status
from django_future_celery.watching import all_ended

PAGE = 100


class Pass:
    """One pass over what is due in one database: the outcomes of the jobs, in order, each run at most once.

    ``now`` and the highest id are fixed when the pass begins, so jobs that schedule others do not keep it going. There
    is no dispatch lease: the start of a job is its claim, and a crash leaves the rest as it was.
    """

    def __init__(self, using: str, now: datetime | None = None) -> None:
        refuse_transaction(using)
        self.using = using
        self.clock = database_now(using)
        self.now = now
        self.moment = now or to_datetime(self.clock)
        self.objects: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
        self.expired = 0
        sticky.ensure(using, self.clock)
        self.recovered: Recovered = recover(using, self.clock)
        self.last_id: int = self.objects.aggregate(last=Max("pk"))["last"] or 0

    def __iter__(self) -> Iterator[Outcome]:
        for page in self.pages():
            self.expire(page)
            yield from Batch(self.using, page, now=self.now)
        sticky.ensure(self.using, database_now(self.using))

    def due(self) -> ScheduledJobQuerySet:
        """The rows that are due, except those that a dispatcher has sent or that pause before their next attempt."""
        horizon = max(self.clock, to_micros(self.moment))
        free = Q(dispatched_at=None, attempts=0) | Q(wake_at__lte=self.clock)
        rows = self.objects.woken(horizon).not_running()
        return rows.filter(free, time_slot_start__lte=self.moment, pk__lte=self.last_id)

    def pages(self) -> Iterator[list[ScheduledJob]]:
        for priority in self.objects.priorities():
            level = self.due().level(priority).to_run()
            page = level.first_rows(PAGE)
            while page:
                # Noted first: a job that runs has another wake-up.
                wake_at, pk = page[-1].wake_at, page[-1].pk
                yield page
                later = Q(wake_at__gt=wake_at) | Q(wake_at=wake_at, pk__gt=pk)
                page = level.filter(later, wake_at__gte=wake_at).first_rows(PAGE)

    def expire(self, page: list[ScheduledJob]) -> None:
        over = [due.pk for due in page if due.time_slot_end is not None and due.time_slot_end < self.moment]
        if not over:
            return
        with transaction.atomic(using=self.using):
            held = [job.pk for job in self.objects.scheduled().filter(pk__in=over).only("pk").locked()]
            self.expired += self.objects.filter(pk__in=held).expire(self.moment)
        all_ended(self.objects.ended().filter(pk__in=held))


def run_jobs(
    delete_completed: bool = False,
    ignore_errors: bool = False,
    now: datetime | None = None,
    using: str | None = None,
) -> None:
    """See :func:`django_future_celery.run_jobs`."""
    now = None if now is None else start_of(now, now=now)
    aliases = (using,) if using else databases()
    for alias in aliases:
        refuse_transaction(alias)
    for alias in aliases:
        for outcome in Pass(alias, now):
            if delete_completed:
                delete_complete(outcome.job)
            error = outcome.failure
            if error is not None and not (ignore_errors and isinstance(error, Exception | SystemExit)):
                raise error


def delete_complete(job: ScheduledJob) -> None:
    """Delete the row if it is complete."""
    if job.status == Status.COMPLETE:
        ScheduledJob.objects.using(job._state.db).filter(pk=job.pk, status=Status.COMPLETE).delete()


def refuse_transaction(using: str) -> None:
    """Refuse to run jobs inside somebody's transaction: none of their ends would be committed.

    Raises:
        InsideTransaction
    """
    try:
        with transaction.atomic(using=using, durable=True):
            pass
    except RuntimeError as error:
        raise InsideTransaction(
            "Jobs are run in transactions of their own, and this is inside atomic(): call run_jobs() outside of it."
        ) from error
