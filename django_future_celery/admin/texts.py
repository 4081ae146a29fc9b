"""Pieces of a page."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext, ngettext_lazy

from django_future_celery.exceptions import FutureCeleryError, InvalidTime

DAY = timedelta(days=1)


def describe_duration(took: timedelta) -> str:
    seconds = took.total_seconds()
    if seconds < 60:
        # Translators: a length of time in seconds, such as "1.5 s".
        return gettext("%(seconds)s s") % {"seconds": localize(round(seconds, 2))}
    days, rest = divmod(timedelta(seconds=round(seconds)), DAY)
    if not days:
        return str(rest)
    # Translators: a length of time, such as "3 days, 4:05:06".
    return ngettext("%(days)d day, %(clock)s", "%(days)d days, %(clock)s", days) % {"days": days, "clock": rest}


def in_words(error: FutureCeleryError) -> str:
    """Say what is wrong: with a time in the reader's language, with all else in the words of the error."""
    if not isinstance(error, InvalidTime) or error.params is None:
        return str(error)
    told = {name: localize(timezone.template_localtime(value)) for name, value in error.params.items()}  # type: ignore[attr-defined]
    return gettext(error.message) % told


def as_block(text: str) -> str:
    # Reachable by keyboard, as it scrolls.
    return format_html('<pre class="future-text" dir="ltr" tabindex="0">{}</pre>', text)


#: Units with the words for what is ahead and for what is past, in short; below the last one it is "now".
UNITS = (
    # Translators: in so many years, and so many years ago, both as short as can be; the others are days and so on.
    (
        timedelta(days=365),
        ngettext_lazy("in %(count)d y", "in %(count)d y", "count"),
        ngettext_lazy("%(count)d y ago", "%(count)d y ago", "count"),
    ),
    (
        DAY,
        ngettext_lazy("in %(count)d d", "in %(count)d d", "count"),
        ngettext_lazy("%(count)d d ago", "%(count)d d ago", "count"),
    ),
    (
        timedelta(hours=1),
        ngettext_lazy("in %(count)d h", "in %(count)d h", "count"),
        ngettext_lazy("%(count)d h ago", "%(count)d h ago", "count"),
    ),
    (
        timedelta(minutes=1),
        ngettext_lazy("in %(count)d min", "in %(count)d min", "count"),
        ngettext_lazy("%(count)d min ago", "%(count)d min ago", "count"),
    ),
    (
        timedelta(seconds=1),
        ngettext_lazy("in %(count)d s", "in %(count)d s", "count"),
        ngettext_lazy("%(count)d s ago", "%(count)d s ago", "count"),
    ),
)


def describe_when(instant: datetime, now: datetime) -> str:
    """Tell how far an instant is from now, in one unit: "in 5 min", "2 h ago"."""
    away = abs(instant - now)
    for unit, ahead, past in UNITS:
        if away >= unit:
            return str((ahead if instant > now else past) % {"count": away // unit})
    return gettext("now")
