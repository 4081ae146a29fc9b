"""How much a tick hands over at a time: while jobs are short, more, so that each costs less of a claim and a message.

A claim under backlog is divided into the same number of messages, however large it is. Of long jobs a large one would
only come back: a process starts no further job of a message after ``FUTURE_CELERY_BATCH_SECONDS``. And what is with the
broker cannot be overtaken, which long jobs make long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django_future_celery.clock import MICROSECOND, SECOND
from django_future_celery.conf import settings

if TYPE_CHECKING:
    from django_future_celery.querysets import ScheduledJobQuerySet

#: So many jobs that completed last tell how long jobs take.
LATEST = 32
#: Jobs are short if they take fewer microseconds than this, on average.
SHORT = SECOND // 100
#: Of the shortest ones, so many times as many are handed over.
MOST_TIMES = 4


class Sizes(NamedTuple):
    """Rows that a claim takes at most, and rows that may be with the broker."""

    claim: int
    window: int


def sizes(rows: ScheduledJobQuerySet) -> Sizes:
    """Give the sizes that the settings name, or up to four times as much while the jobs of the database are short."""
    lengths = [length / MICROSECOND for length in rows.last_lengths(LATEST)]
    if not lengths:
        return Sizes(settings.CLAIM_SIZE, settings.WINDOW)
    mean = max(sum(lengths) / len(lengths), 1)
    times = min(max(SHORT / mean, 1), MOST_TIMES)
    return Sizes(int(settings.CLAIM_SIZE * times), int(settings.WINDOW * times))
