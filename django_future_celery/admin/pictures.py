"""The agenda as two charts of the same scale, and as tables that say the same in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.agenda import DUE, PLANNED, RAN, Agenda, Hour
from django_future_celery.admin.chart import Chart, Column, draw

LABELS: dict[str, Any] = {status: status.label for status in RAN} | {DUE: _("due"), PLANNED: _("planned")}
#: Hours between two labels of the axis, and how far these keep from "now".
EVERY, APART = 6, 3


@dataclass(frozen=True)
class Picture:
    """One half of the agenda."""

    name: str
    title: Any
    chart: Chart
    #: The series by name and label.
    series: list[tuple[str, Any]]
    #: The hours in words, each with its numbers.
    rows: list[tuple[str, list[int]]]


def pictures(agenda: Agenda) -> list[Picture]:
    highest = max(sum(hour.counts.values()) for hour in (*agenda.past, *agenda.ahead))
    now = agenda.ahead[0].start
    return [
        picture("past", _("What ran in the past 24 hours"), agenda.past, RAN, now, highest),
        picture("ahead", _("What will run in the next 24 hours"), agenda.ahead, (DUE, PLANNED), now, highest),
    ]


def picture(
    name: str, title: Any, hours: Sequence[Hour], series: Sequence[str], now: datetime, highest: int
) -> Picture:
    columns = [column(hour, series, now) for hour in hours]
    rows = [(span(hour), [hour.counts.get(each, 0) for each in series]) for hour in hours]
    return Picture(name, title, draw(columns, highest), [(str(each), LABELS[each]) for each in series], rows)


def column(hour: Hour, series: Sequence[str], now: datetime) -> Column:
    values = [(str(each), hour.counts.get(each, 0)) for each in series]
    told = [f"{number_format(value, force_grouping=True)} {LABELS[each]}" for each, value in values if value]
    return Column(f"{span(hour)}: {', '.join(told) or gettext('nothing')}", label(hour, now), values, hour.start == now)


def span(hour: Hour) -> str:
    start, end = on_the_clock(hour.start), on_the_clock(hour.end)
    times = {"start": date_format(start, "TIME_FORMAT"), "end": date_format(end, "TIME_FORMAT")}
    return f"{date_format(start, 'D')} " + gettext("%(start)s to %(end)s") % times


def label(hour: Hour, now: datetime) -> str:
    """What the axis says of an hour, if anything: the weekday at midnight, so that the days can be told apart."""
    start = on_the_clock(hour.start)
    if hour.start == now:
        return gettext("now")
    if start.hour % EVERY or abs(hour.start - now).total_seconds() < APART * 3600:
        return ""
    return date_format(start, "TIME_FORMAT") if start.hour else date_format(start, "D")


def on_the_clock(moment: datetime) -> datetime:
    local: datetime = timezone.template_localtime(moment)  # type: ignore[attr-defined]
    return local
