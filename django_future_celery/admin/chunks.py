"""An action over any number of jobs, so many at a request: how far it has come goes with the form to the next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from django.core import signing
from django.db import router
from django.db.models import QuerySet

from django_future_celery.admin.operations import Operation
from django_future_celery.models import ScheduledJob

#: So many jobs are changed at a time.
CHUNK = 100
#: So many rows are looked at for them.
SCANNED = 10_000
#: No other chunk is begun in a request that is so old.
SECONDS = 2.0
#: So many errors are told one by one, and of the others only the number.
MOST_ERRORS = 10

SALT = "django_future_celery.admin.chunks"


@dataclass
class Progress:
    #: All up to this id is done; nothing above ``until`` is touched, such as jobs that the action itself schedules.
    after: int
    first: int
    until: int
    #: Whether the jobs must be looked for among all; else they are the few that were selected.
    across: bool
    options: dict[str, Any]
    counts: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, rows: QuerySet[ScheduledJob], across: bool, options: dict[str, Any]) -> Progress:
        """Begin with what is there now: ``rows`` are all jobs, or those that were selected."""
        first, last = (rows.order_by(order).values_list("pk", flat=True).first() for order in ("pk", "-pk"))
        return cls((first or 1) - 1, (first or 1) - 1, last or 0, across, options)

    @classmethod
    def load(cls, text: str) -> Progress:
        """Read what ``dump`` wrote; raises BadSignature."""
        return cls(**signing.loads(text, salt=SALT))

    def dump(self) -> str:
        return signing.dumps(asdict(self), salt=SALT)

    @property
    def is_over(self) -> bool:
        return self.after >= self.until

    @property
    def percent(self) -> int:
        return 100 * (self.after - self.first) // max(self.until - self.first, 1)

    @property
    def done(self) -> int:
        return sum(self.counts.values())

    def advance(self, rows: QuerySet[ScheduledJob], operation: Operation, clock: Any = time.monotonic) -> None:
        """Let the operation act on the next chunks of ``rows``, for as long as a request may take."""
        end = clock() + SECONDS
        table = rows.model.objects.using(rows._db or router.db_for_write(rows.model))  # type: ignore[attr-defined]
        for chunk in self.chunks(rows):
            operation.apply(table.filter(pk__in=chunk))
            if clock() >= end:
                break
        self.counts = {
            name: self.counts.get(name, 0) + operation.counts[name] for name in {*self.counts, *operation.counts}
        }
        self.errors = (self.errors + operation.errors)[:MOST_ERRORS]

    def chunks(self, rows: QuerySet[ScheduledJob]) -> Iterator[list[int]]:
        """Give the ids of the next jobs, a chunk at a time; before the next one is read, the last one is done."""
        while not self.is_over:
            edge = self.edge(rows)
            ahead = rows.filter(pk__gt=self.after, pk__lte=edge).order_by("pk").values_list("pk", flat=True)
            chunk = list(ahead[:CHUNK])
            self.after = chunk[-1] if len(chunk) == CHUNK else edge
            yield chunk

    def edge(self, rows: QuerySet[ScheduledJob]) -> int:
        """Where to stop looking: few of many rows may match."""
        if not self.across:
            return self.until
        table = rows.model.objects.using(rows.db).filter(pk__gt=self.after, pk__lte=self.until)
        keys = table.order_by("pk").values_list("pk", flat=True)
        return next(iter(keys[SCANNED - 1 : SCANNED]), self.until)
