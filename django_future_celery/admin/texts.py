"""Pieces of a page."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_noop


def describe_duration(took: timedelta) -> str:
    seconds = took.total_seconds()
    if seconds < 60:
        return gettext("%(seconds)s s") % {"seconds": localize(round(seconds, 2))}
    return str(timedelta(seconds=round(seconds)))


def as_block(text: str) -> str:
    # Reachable by keyboard, as it scrolls.
    return format_html('<pre class="future-text" dir="ltr" tabindex="0">{}</pre>', text)


#: The largest first; below the last one it is "now".
LENGTHS = (
    (timedelta(days=365), gettext_noop("%(count)d y")),
    (timedelta(days=1), gettext_noop("%(count)d d")),
    (timedelta(hours=1), gettext_noop("%(count)d h")),
    (timedelta(minutes=1), gettext_noop("%(count)d min")),
    (timedelta(seconds=1), gettext_noop("%(count)d s")),
)


def describe_when(instant: datetime, now: datetime) -> str:
    """Tell how far an instant is from now, in one unit: "in 5 min", "2 h ago"."""
    away = abs(instant - now)
    for unit, text in LENGTHS:
        if away >= unit:
            length = gettext(text) % {"count": away // unit}
            return (gettext("in %(time)s") if instant > now else gettext("%(time)s ago")) % {"time": length}
    return gettext("now")
