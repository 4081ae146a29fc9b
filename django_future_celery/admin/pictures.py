"""The agenda as two charts of the same scale, and as tables that say the same in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext, ngettext_lazy, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.agenda import DUE, PLANNED, RAN, Agenda, Hour
from django_future_celery.admin.chart import Chart, Column, draw
from django_future_celery.admin.tabs import TABS
from django_future_celery.states import Status

LABELS: dict[str, Any] = {name: TABS[name].label for name in (*RAN, DUE)} | {PLANNED: pgettext_lazy("jobs", "planned")}
COUNTS: dict[str, Any] = {
    Status.COMPLETE: ngettext_lazy("%(count)s complete", "%(count)s complete", "number"),
    Status.FAILED: ngettext_lazy("%(count)s failed", "%(count)s failed", "number"),
    Status.EXPIRED: ngettext_lazy("%(count)s expired", "%(count)s expired", "number"),
    DUE: ngettext_lazy("%(count)s due", "%(count)s due", "number"),
    PLANNED: ngettext_lazy("%(count)s planned", "%(count)s planned", "number"),
}
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
    counts = [count(each, value) for each, value in values if value]
    told = {"hour": span(hour), "counts": ", ".join(counts) or gettext("nothing")}
    # Translators: an hour and what is in it, such as "Mon 9 a.m. to 10 a.m.: 3 complete, 1 failed".
    title = gettext("%(hour)s: %(counts)s") % told
    return Column(title, label(hour, now), values, hour.start == now)


def count(series: str, number: int) -> str:
    return str(COUNTS[series] % {"number": number, "count": number_format(number, force_grouping=True)})


def span(hour: Hour) -> str:
    start, end = on_the_clock(hour.start), on_the_clock(hour.end)
    times = {
        "day": date_format(start, "D"),
        "start": date_format(start, "TIME_FORMAT"),
        "end": date_format(end, "TIME_FORMAT"),
    }
    # Translators: an hour of a day of the week, such as "Mon 9 a.m. to 10 a.m."
    return gettext("%(day)s %(start)s to %(end)s") % times


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
