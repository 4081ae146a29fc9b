"""The tabs of the list: which jobs each shows, and how an index gives them in the order in which they are shown."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.utils.translation import pgettext_lazy

from django_future_celery.querysets import ScheduledJobQuerySet
from django_future_celery.states import Status

Rows = ScheduledJobQuerySet
#: Gives the ids of at most so many rows, at that instant.
Read = Callable[[Rows, int, int], list[int]]


@dataclass(frozen=True)
class Tab:
    name: str
    label: Any
    #: The rows of the tab, by any way to them.
    rows: Callable[[Rows, int], Rows]
    #: The ids of the first ones. Reads no more rows than it gives, but for the few that run or are sent.
    read: Read
    #: Whether the order is by id, the newest first, so that a list can go on where another one ended.
    by_id: bool = True


def newest(rows: Rows, limit: int) -> list[int]:
    return list(rows.order_by("-pk").values_list("pk", flat=True)[:limit])


def latest(rows: Rows, limit: int) -> list[int]:
    return list(rows.order_by("-execution_end", "-pk").values_list("pk", flat=True)[:limit])


def few(rows: Rows, limit: int) -> list[int]:
    """The rows of a small index: sorted here, as a database that is asked to sort may choose a larger index."""
    return sorted(rows.order_by().values_list("pk", flat=True)[:limit], reverse=True)


def read_due(rows: Rows, now: int, limit: int) -> list[int]:
    """The due rows in the order in which a tick takes them."""
    return list(islice(_due(rows, now, limit), limit))


def _due(rows: Rows, now: int, limit: int) -> Iterator[int]:
    for priority in rows.priorities():
        yield from rows.level(priority).scheduled().woken(now).values_list("pk", flat=True)[:limit]


def read_scheduled(rows: Rows, now: int, limit: int) -> list[int]:
    """The waiting rows, the next ones first."""
    levels = [
        rows.level(priority).scheduled().values_list("wake_at", "pk")[:limit] for priority in list(rows.priorities())
    ]
    return [pk for _wake_at, pk in islice(heapq.merge(*levels), limit)]


def short(name: str, label: Any, rows_of: Callable[[Rows], Rows]) -> Tab:
    """A tab of rows that are always few."""
    return Tab(name, label, lambda rows, now: rows_of(rows), lambda rows, now, limit: few(rows_of(rows), limit), False)


def ended(status: Status, label: Any) -> Tab:
    def rows_of(rows: Rows, now: int) -> Rows:
        return rows.ended_as(status)

    return Tab(status.value, label, rows_of, lambda rows, now, limit: latest(rows.ended_as(status), limit), False)


#: The labels are of several jobs, where the statuses are of one.
TABS = {
    tab.name: tab
    for tab in (
        Tab("all", pgettext_lazy("jobs", "all"), lambda rows, now: rows, lambda rows, now, limit: newest(rows, limit)),
        Tab("due", pgettext_lazy("jobs", "due"), lambda rows, now: rows.scheduled().woken(now), read_due, by_id=False),
        Tab(
            "scheduled",
            pgettext_lazy("jobs", "scheduled"),
            lambda rows, now: rows.scheduled(),
            read_scheduled,
            by_id=False,
        ),
        short("sent", pgettext_lazy("jobs", "sent"), lambda rows: rows.sent()),
        short("running", pgettext_lazy("jobs", "running"), lambda rows: rows.in_progress()),
        ended(Status.COMPLETE, pgettext_lazy("jobs", "complete")),
        ended(Status.FAILED, pgettext_lazy("jobs", "failed")),
        ended(Status.EXPIRED, pgettext_lazy("jobs", "expired")),
        ended(Status.CANCELLED, pgettext_lazy("jobs", "cancelled")),
    )
}


def of_object(content_type_id: Any, object_id: str) -> Read:
    """The jobs of one object, which has an index of its own."""
    return lambda rows, now, limit: few(rows.filter(content_type_id=content_type_id, object_id=object_id), limit)
