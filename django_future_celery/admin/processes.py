"""Who looks after the jobs: beats, workers and commands, and when they were last seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.texts import describe_duration
from django_future_celery.admin.tiles import Tile
from django_future_celery.clock import to_micros
from django_future_celery.models import Process
from django_future_celery.presence import FORGOTTEN, SEEN_SECONDS
from django_future_celery.states import TICKING

#: So many processes are shown.
PROCESSES = 100
#: Not seen for so long, a process is silent.
SILENT = timedelta(seconds=3 * SEEN_SECONDS)


@dataclass(frozen=True)
class Seen:
    process: Process
    age: timedelta

    @property
    def since(self) -> datetime:
        return self.process.since_at

    @property
    def text(self) -> str:
        return describe_duration(self.age)

    @property
    def silent(self) -> bool:
        return self.age > SILENT


def processes(using: str, now: datetime) -> list[Seen]:
    """Give the processes of the last day, those that tick first."""
    rows = Process.objects.using(using).filter(seen__gt=to_micros(now) - FORGOTTEN).order_by("kind", "name")
    # One that wrote after the clock was read is ahead of it.
    return [Seen(row, max(now - row.seen_at, timedelta())) for row in rows[:PROCESSES]]


def last_tick(seen: Sequence[Seen]) -> Tile:
    """Tell when a process last looked for due jobs."""
    age = min((each.age for each in seen if each.process.kind in TICKING), default=None)
    value = "-" if age is None else describe_duration(age)
    # Translators: a tick is one look of a beat, or of runscheduledjobs, for jobs that are due.
    return Tile(_("Since the last tick"), value, {}, alert=age is None or age > SILENT)
