"""Pieces of a page."""

from __future__ import annotations

from datetime import timedelta

from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.translation import gettext

from django_future_celery.models import ScheduledJob


def describe_duration(took: timedelta) -> str:
    seconds = took.total_seconds()
    if seconds < 60:
        return gettext("%(seconds)s s") % {"seconds": localize(round(seconds, 2))}
    return str(timedelta(seconds=round(seconds)))


def describe_target(job: ScheduledJob) -> str:
    """Name the content object by its type and key, without fetching it; nothing if there is none."""
    if job.content_type_id is None:
        return ""
    return f"{job.content_type.name if job.content_type else '?'} {job.object_id}"


def as_block(text: str) -> str:
    # Reachable by keyboard, as it scrolls.
    return format_html('<pre class="future-text" dir="ltr" tabindex="0">{}</pre>', text)
