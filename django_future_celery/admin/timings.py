"""How late the jobs of each callable start, and how long they take: of the latest runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from django_future_celery.admin.samples import Samples
from django_future_celery.admin.texts import describe_duration
from django_future_celery.states import Status

#: So many of the latest complete runs are looked at, and as many of the failed ones.
RUNS = 1000
#: So many callables are shown, those with the most runs.
CALLABLES = 20


@dataclass
class Timing:
    """The runs of one callable."""

    callable_name: str
    durations: list[timedelta] = field(default_factory=list)
    #: From the begin of the slot to the start; of first attempts only, since others start later by design.
    latenesses: list[timedelta] = field(default_factory=list)

    @property
    def runs(self) -> int:
        return len(self.durations)

    @property
    def percentiles(self) -> list[str]:
        """The median and the 95th percentile of lateness, and of duration."""
        return [describe(percentile(values, p)) for values in (self.latenesses, self.durations) for p in (50, 95)]


Run = tuple[str, int, datetime, datetime, datetime]


def timings(samples: Samples) -> list[Timing]:
    """Give the callables of the latest runs, the most frequent first."""
    found: dict[str, Timing] = {}
    for name, attempts, slot_start, started, ended in latest_runs(samples):
        timing = found.setdefault(name, Timing(name))
        # What was measured on different clocks may be below zero.
        timing.durations.append(max(ended - started, timedelta()))
        if attempts == 1:
            timing.latenesses.append(max(started - slot_start, timedelta()))
    return sorted(found.values(), key=lambda timing: -timing.runs)[:CALLABLES]


def latest_runs(samples: Samples) -> Iterable[Run]:
    columns = ("callable_name", "attempts", "time_slot_start", "execution_start", "execution_end")
    for status in (Status.COMPLETE, Status.FAILED):
        runs = samples.ended(status).jobs.filter(execution_start__isnull=False).order_by("-execution_end")
        yield from runs.values_list(*columns)[:RUNS]


def percentile(values: Sequence[timedelta], percent: int) -> timedelta | None:
    """Give the least value that so many percent of the values do not exceed; None if there are none."""
    if not values:
        return None
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


def describe(value: timedelta | None) -> str:
    return "-" if value is None else describe_duration(value)
