"""A bounded look into a table of any size: so many rows are read, so many are found, and it is said where it ended."""

from __future__ import annotations

from dataclasses import dataclass

from django_future_celery.admin.tabs import Read, Rows

#: So many jobs of a list are found at most; "1,000+" stands for more.
MOST_FOUND = 1_000
#: So many jobs are looked at for a condition that has no index.
MOST_SEARCHED = 10_000


@dataclass(frozen=True)
class Found:
    #: In the order of the list.
    ids: list[int]
    #: Whether there are more than these.
    capped: bool
    #: Whether there are rows that were not looked at.
    unfinished: bool
    #: The last row that was looked at; a list by id goes on from there.
    last: int | None


def find(read: Read, rows: Rows, now: int, wanted: Rows | None = None, *, by_id: bool = False) -> Found:
    """Give the first rows of a tab; where ``wanted`` is given those of the first rows that it has, too.

    Args:
        wanted: rows of the same tab.
        by_id: whether the order of the tab is by id, so that those that are looked at are all in a range.
    """
    limit = MOST_FOUND if wanted is None else MOST_SEARCHED
    ids = read(rows, now, limit + 1)
    looked_at = ids[:limit]
    hits = looked_at if wanted is None else _among(wanted, looked_at, by_id)
    capped = len(hits) > MOST_FOUND or (wanted is None and len(ids) > limit)
    shown = hits[:MOST_FOUND]
    last = shown[-1] if capped else looked_at[-1] if len(ids) > limit else None
    return Found(shown, capped, wanted is not None and len(ids) > limit, last)


def _among(wanted: Rows, ids: list[int], by_id: bool) -> list[int]:
    some = wanted.filter(pk__range=(ids[-1], ids[0])) if by_id and ids else wanted.filter(pk__in=ids)
    hits = set(some.order_by().values_list("pk", flat=True))
    return [pk for pk in ids if pk in hits]
