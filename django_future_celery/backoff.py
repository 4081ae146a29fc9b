"""How long to wait before trying again: longer each time, up to a cap."""

from __future__ import annotations

import random
from datetime import timedelta

from django_future_celery.conf import settings
from django_future_celery.durations import length_of
from django_future_celery.exceptions import FutureCeleryError

#: A message that nobody started is sent again after 1, 2, 4 … leases, and at this many at most:
#: busy workers must not be buried in copies, a lost message must not be waited for too long.
MOST_LEASES = 32

#: Shortest and longest pause, in seconds, before another process is asked whether it has a job's code.
UNKNOWN_PAUSES = (5.0, 300.0)


class Retry(FutureCeleryError):
    """Raised by a job that wants another attempt, after a time of its own choice.

    What it wrote is rolled back. The attempt counts: one that was the last fails the job.

    Args:
        delay: ``'5m'``, ``'PT30M'`` or a timedelta; None: the usual growing pause.
        reason: kept with the traceback.
    """

    def __init__(self, delay: timedelta | str | None = None, reason: str = "") -> None:
        self.delay = None if delay is None else length_of(delay)
        super().__init__(reason or ("try again" if delay is None else f"try again in {self.delay}"))


def dispatch_patience(dispatches: int) -> float:
    """Seconds until a job whose message was sent ``dispatches`` times before is sent again."""
    return settings.DISPATCH_LEASE_SECONDS * min(2.0 ** min(dispatches, 16), MOST_LEASES)


def unknown_pause(waited: float) -> float:
    """Seconds until a job that has waited for its code so long is sent again: about twice as long each time."""
    shortest, longest = UNKNOWN_PAUSES
    return min(max(waited, shortest), longest)


def retry_pause(attempts: int, first: float | None = None, longest: float | None = None) -> float:
    """Seconds until the next attempt after ``attempts`` attempts.

    The exponential pause is drawn from its upper half, so that jobs that failed together do not come back together.

    Args:
        first: seconds before the second attempt; None: ``FUTURE_CELERY_RETRY_BACKOFF_SECONDS``.
        longest: the cap, in seconds; None: ``FUTURE_CELERY_RETRY_BACKOFF_MAX_SECONDS``, or ``first`` if that is longer.
    """
    longest = max(settings.RETRY_BACKOFF_MAX_SECONDS, first or 0) if longest is None else longest
    first = settings.RETRY_BACKOFF_SECONDS if first is None else first
    return min(first * 2.0 ** min(attempts - 1, 32), longest) * random.uniform(0.5, 1.0)
