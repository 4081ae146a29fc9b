"""The lease that only one of several beats holds, so that periodic tasks are sent once.

As with jobs, each change is one UPDATE that checks whose the lease is, by the database's clock, and the number of rows
says who won.
"""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, F, Q, QuerySet, Value

from django_future_celery.clock import SECOND, DatabaseClock
from django_future_celery.conf import settings


class BeatLeaseQuerySet(QuerySet[Any]):
    def take(self, name: str, holder: str) -> bool:
        """Win the lease if it is free, or over, or the holder's own."""
        self.bulk_create([self.model(name=name)], ignore_conflicts=True)
        row = self.filter(Q(holder=holder) | Q(until__lt=DatabaseClock()), name=name)
        return row.update(holder=holder, until=lease_end()) == 1

    def renew(self, name: str, holder: str, last_runs: str | None = None) -> bool:
        """Keep the lease, unless it is somebody else's by now; write down ``last_runs`` with it."""
        row = self.filter(name=name, holder=holder)
        return row.update(until=lease_end(), last_runs=F("last_runs") if last_runs is None else last_runs) == 1

    def release(self, name: str, holder: str) -> bool:
        """Free the lease if it is the holder's."""
        return self.filter(name=name, holder=holder).update(holder="", until=0) == 1


def lease_end() -> Any:
    # The type must be said: a driver that binds parameters on the server would take it to have 32 bits.
    return DatabaseClock() + Value(int(settings.BEAT_LEASE_SECONDS * SECOND), output_field=BigIntegerField())
