"""How long to wait before trying again: longer each time, up to a cap."""

from __future__ import annotations

import random

from django_future_celery.conf import settings

#: A message that nobody started is sent again after 1, 2, 4 … leases, and at this many at most:
#: busy workers must not be buried in copies, a lost message must not be waited for too long.
MOST_LEASES = 32


def dispatch_patience(dispatches: int) -> float:
    """Seconds until a job whose message was sent ``dispatches`` times before is sent again."""
    return settings.DISPATCH_LEASE_SECONDS * min(2.0 ** min(dispatches, 16), MOST_LEASES)


def retry_pause(attempts: int) -> float:
    """Seconds until the next attempt after ``attempts`` attempts.

    The exponential pause is drawn from its upper half, so that jobs that failed together do not come back together.
    """
    pause = settings.RETRY_BACKOFF_SECONDS * 2.0 ** min(attempts - 1, 32)
    return min(pause, settings.RETRY_BACKOFF_MAX_SECONDS) * random.uniform(0.5, 1.0)
