"""Delete the rows of jobs that ended long ago: a chunk at a time, each in a short transaction of its own.

An index leads to the oldest ended rows of each status, so that no statement gets slower with the rows that are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.db import transaction

from django_future_celery.clock import MICROSECOND, SECOND, to_datetime
from django_future_celery.conf import settings
from django_future_celery.durations import length_of
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet
from django_future_celery.states import END_STATES

logger = logging.getLogger(__name__)

#: Rows of one transaction.
CHUNK = 1000
#: Seconds until the next chunk while there is more to delete, and until the next look once there is not.
SOON, LATER = 1, 60

#: By alias: when ticks look for old rows next, in microseconds.
_next_look: dict[str, int] = {}


def cutoff(now: int, retention: timedelta | str) -> datetime:
    """Give the instant before which a job must have ended to be deleted.

    Raises InvalidTime, InvalidTimeType for what says no length of time.
    """
    return to_datetime(max(0, now - length_of(retention) // MICROSECOND))


def prune(using: str, before: datetime, statuses: Iterable[str] = END_STATES) -> Iterator[int]:
    """Delete the jobs that ended before an instant; give the number of rows of each chunk, once it is committed."""
    for status in sorted(statuses):
        while deleted := prune_chunk(using, before, status):
            yield deleted


def prune_chunk(using: str, before: datetime, status: str) -> int:
    """Delete the oldest rows of one status, except of those that somebody holds just now; give their number."""
    objects: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    with transaction.atomic(using=using):
        keys = [job.pk for job in objects.ended_before(status, before).only("pk").locked()[:CHUNK]]
        _all, deleted = objects.filter(pk__in=keys, status=status).delete()
    return deleted.get(ScheduledJob._meta.label, 0)


def prune_in_tick(using: str, now: int) -> int | None:
    """Delete one chunk, if it is time to; give when the next one is wanted, in microseconds, or None.

    What goes wrong is told in the log: old rows must keep no due job waiting.
    """
    if settings.RETENTION is None or now < _next_look.get(using, 0):
        return None
    _next_look[using] = now + LATER * SECOND
    try:
        deleted = next(prune(using, cutoff(now, settings.RETENTION)), 0)
    except Exception:
        logger.exception("Old jobs in the database %r cannot be deleted; it is tried again.", using)
        return None
    if not deleted:
        return None
    logger.info("Deleted %s jobs from the database %r, older than %s.", deleted, using, settings.RETENTION)
    _next_look[using] = now + SOON * SECOND
    return _next_look[using]
