"""How many jobs each hour has: what ran in the past day, and what will run in the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db.models import Count, Q
from django.utils import timezone

from django_future_celery.admin.samples import Sample, Samples
from django_future_celery.clock import to_datetime, to_micros
from django_future_celery.states import Status

HOUR = timedelta(hours=1)
HOURS = 24
RAN = (Status.COMPLETE, Status.FAILED, Status.EXPIRED)
#: The series of jobs that wait: their time has come, or it will.
DUE, PLANNED = "due", "planned"


@dataclass(frozen=True)
class Hour:
    start: datetime
    end: datetime
    #: The number of jobs by series.
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Agenda:
    past: list[Hour]
    ahead: list[Hour]
    #: Before this instant, or from this instant on, there are more jobs than were counted.
    past_cut: datetime | None
    ahead_cut: datetime | None


def agenda(samples: Samples, now: datetime, due: Sample) -> Agenda:
    """Count the jobs by hour around ``now``; the hour of ``now`` is in both halves.

    Args:
        due: the jobs whose time has come, shown in the hour of ``now``.
    """
    this_hour = start_of_hour(now)
    past, past_cut = ran(samples, [this_hour + n * HOUR for n in range(-HOURS, 2)])
    ahead, ahead_cut = planned(samples, now, [this_hour + n * HOUR for n in range(HOURS + 2)])
    ahead[0].counts[DUE] = due.count
    return Agenda(past, ahead, past_cut, ahead_cut)


def start_of_hour(now: datetime) -> datetime:
    """The full hour on the clocks of the current time zone, as an instant to which hours can be added."""
    if timezone.is_naive(now):
        return now.replace(minute=0, second=0, microsecond=0)
    return timezone.localtime(now).replace(minute=0, second=0, microsecond=0).astimezone(UTC)


def ran(samples: Samples, edges: Sequence[datetime]) -> tuple[list[Hour], datetime | None]:
    seen = {status: samples.ended(status, edges[0]) for status in RAN}
    counts = {status: by_hour(sample, "execution_end", edges) for status, sample in seen.items()}
    hours = [
        Hour(start, end, {status: counts[status][n] for status in RAN})
        for n, (start, end) in enumerate(pairwise(edges))
    ]
    return hours, max((sample.cut for sample in seen.values() if sample.cut), default=None)


def planned(samples: Samples, now: datetime, edges: Sequence[datetime]) -> tuple[list[Hour], datetime | None]:
    wakes = [to_micros(edge) for edge in edges]
    sample = samples.waiting(to_micros(now) + 1, wakes[-1])
    counts = by_hour(sample, "wake_at", wakes)
    hours = [Hour(start, end, {PLANNED: counts[n]}) for n, (start, end) in enumerate(pairwise(edges))]
    return hours, None if sample.cut is None else to_datetime(sample.cut)


def by_hour(sample: Sample, column: str, edges: Sequence[Any]) -> list[int]:
    """Count the jobs between each two edges, in one pass."""
    counts = {
        f"hour_{n}": Count("pk", filter=Q(**{f"{column}__gte": start, f"{column}__lt": end}))
        for n, (start, end) in enumerate(pairwise(edges))
    }
    return list(sample.jobs.aggregate(**counts).values())
