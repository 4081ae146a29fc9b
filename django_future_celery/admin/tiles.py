"""The numbers at the top of the overview, each with the filter of the list that shows its jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.samples import Sample, Samples
from django_future_celery.admin.texts import describe_duration
from django_future_celery.clock import to_datetime, to_micros
from django_future_celery.states import Status

DAY = timedelta(days=1)
#: A job that waits for so long beyond its time is late.
LATE = timedelta(minutes=1)


@dataclass(frozen=True)
class Tile:
    label: Any
    value: str
    #: The parameters of the list that shows what is counted.
    query: dict[str, str]
    #: Whether somebody should have a look.
    alert: bool = False


def tiles(samples: Samples, now: datetime, due: Sample) -> list[Tile]:
    """Count what is due, late, sent, running and failed.

    Args:
        due: the jobs that wait to be sent, or to be sent again.
    """
    sent = samples.sent()
    under_way = Sample(sent.jobs.filter(wake_at__gt=to_micros(now), attempts=0))
    late = samples.waiting(0, to_micros(now - LATE))
    late_under_way = Sample(under_way.jobs.filter(time_slot_start__lt=now - LATE))
    failed = samples.ended(Status.FAILED, now - DAY)
    failed_lately = {"state": "failed", "execution_end__gte": (now - DAY).isoformat()}
    any_late = bool(late.count or late_under_way.count)
    return [
        Tile(_("Due now"), describe_count(due), {"state": "due"}),
        Tile(_("Oldest due"), describe_oldest(due, under_way, now), {"state": "due"}),
        Tile(_("Late by more than a minute"), describe_count(late, late_under_way), {"timing": "late"}, any_late),
        # Translators: jobs whose message waits at the broker, or is with a worker that has not started it.
        Tile(_("With the broker"), describe_count(sent), {"state": "sent"}),
        Tile(_("Running"), describe_count(samples.running()), {"state": "running"}),
        Tile(_("Failed in 24 hours"), describe_count(failed), failed_lately, failed.count > 0),
    ]


def due_by(samples: Samples, now: datetime) -> Sample:
    return samples.waiting(0, to_micros(now) + 1)


def describe_count(*samples: Sample) -> str:
    """Give the number of jobs in the samples, with a plus sign if there may be more."""
    more = any(sample.cut is not None for sample in samples)
    return number_format(sum(sample.count for sample in samples), force_grouping=True) + ("+" if more else "")


def describe_oldest(due: Sample, under_way: Sample, now: datetime) -> str:
    """Tell for how long the oldest due job has waited."""
    wake_at: int | None = due.jobs.aggregate(first=Min("wake_at"))["first"]
    start: datetime | None = under_way.jobs.aggregate(first=Min("time_slot_start"))["first"]
    since = [each for each in (wake_at and to_datetime(wake_at), start) if each]
    return describe_duration(max(now - min(since), timedelta())) if since else "-"
