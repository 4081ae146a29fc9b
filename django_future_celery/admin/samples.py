"""The jobs that the overview looks at: never more than a page can afford, however many rows the table has.

A filter may fit one row among a million, so a limit on the result would bound nothing. Instead each sample is the part
of an index that has at most so many rows, and filters choose among these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet
from django_future_celery.states import Status

#: The most rows that one sample has.
MOST = 10_000


@dataclass(frozen=True)
class Sample:
    """Some jobs, and where they end if there may be more."""

    jobs: QuerySet[ScheduledJob]
    #: Where the sample ends before all rows were seen; a datetime, or a wake-up in microseconds.
    cut: Any = None

    @cached_property
    def count(self) -> int:
        return self.jobs.count()


class Samples:
    """Samples of the jobs in a filtered queryset, each found by an index."""

    def __init__(self, jobs: QuerySet[ScheduledJob], most: int = MOST) -> None:
        self.jobs = jobs.order_by().select_related(None)
        self.every: ScheduledJobQuerySet = ScheduledJob.objects.using(jobs.db)
        self.most = most

    @cached_property
    def priorities(self) -> list[int]:
        return list(self.every.priorities())

    def ended(self, status: Status, since: datetime | None = None) -> Sample:
        """The jobs that ended so, from ``since`` on, or the latest of them."""
        rows: dict[str, Any] = {"status": status, "wake_at": None}
        when = {"execution_end__isnull": False} if since is None else {"execution_end__gte": since}
        every = self.every.filter(**rows, **when).order_by("-execution_end", "-pk")
        latest = every.values_list("execution_end", "pk")
        cut, jobs = self.after(latest, self.most), self.jobs.filter(**rows)
        if cut is None:
            return Sample(jobs.filter(**when))
        end, pk = cut
        # One bound, for of two SQLite seeks by the first.
        if latest[0][0] > end:
            return Sample(jobs.filter(execution_end__gt=end), end)
        # One statement has ended more rows than a sample has, all at the same instant.
        return Sample(jobs.filter(execution_end=end, pk__gt=pk), end)

    def waiting(self, start: int, end: int) -> Sample:
        """The jobs that wait to be looked at in ``start <= wake_at < end``, or the first of them."""
        ends = [cut for priority in self.priorities if (cut := self.end_of(priority, start, end)) is not None]
        cut = min(ends, default=None)
        jobs = self.jobs.filter(
            status=Status.SCHEDULED,
            priority__in=self.priorities,
            wake_at__gte=start,
            wake_at__lt=end if cut is None else cut,
        )
        return Sample(jobs, cut)

    def end_of(self, priority: int, start: int, end: int) -> int | None:
        """The wake-up at which the share of one priority is used up."""
        rows = self.every.level(priority).filter(wake_at__gte=start, wake_at__lt=end)
        share = max(self.most // len(self.priorities), 1)
        return self.after(rows.values_list("wake_at", flat=True), share)  # type: ignore[no-any-return]

    def sent(self) -> Sample:
        """The jobs that have a message out: no more than the window has room for."""
        return Sample(self.jobs.filter(status=Status.SCHEDULED, dispatched_at__isnull=False))

    def running(self) -> Sample:
        """The running jobs: no more than there are places in the workers."""
        return Sample(
            self.jobs.filter(status=Status.RUNNING, execution_start__isnull=False, execution_end__isnull=True)
        )

    @staticmethod
    def after(values: Any, count: int) -> Any:
        """The value that comes after so many."""
        found: Iterator[Any] = iter(values[count : count + 1])
        return next(found, None)
