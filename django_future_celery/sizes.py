"""How much a tick hands over at a time: while jobs are short, more, so that each costs less of a claim and a message.

A claim under backlog is divided into the same number of messages, however large it is. Of long jobs a large one would
only come back: a process starts no further job of a message after ``FUTURE_CELERY_BATCH_SECONDS``. And nothing
overtakes what is with the broker: many long jobs there would keep an urgent one waiting.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from django_future_celery.clock import MICROSECOND
from django_future_celery.conf import settings

if TYPE_CHECKING:
    from django_future_celery.querysets import ScheduledJobQuerySet

#: So many jobs that completed last tell how long jobs take.
LATEST = 32
#: Jobs are short if they take less than this, on average.
SHORT = timedelta(milliseconds=10)
#: Of the shortest ones, so many times as many are handed over.
MOST_TIMES = 4


class Sizes(NamedTuple):
    """Rows that a claim takes at most, rows that may be with the broker, and those that are, as far as it matters."""

    claim: int
    window: int
    sent: int


def sizes(rows: ScheduledJobQuerySet) -> Sizes:
    """Give the sizes that the settings name, or up to four times as much while the jobs of the database are short.

    How long they are is asked only while some are with the broker: most ticks find none there, and have few to send.
    """
    sent = rows.sent()[: settings.WINDOW * MOST_TIMES].count()
    lengths = rows.last_lengths(LATEST) if sent else []
    mean = max(sum(lengths, timedelta()) / len(lengths), MICROSECOND) if lengths else SHORT
    times = min(max(SHORT / mean, 1), MOST_TIMES)
    return Sizes(int(settings.CLAIM_SIZE * times), int(settings.WINDOW * times), sent)
