"""The database's clock, in microseconds since 1970 UTC, and the way to datetimes and back.

One clock for all processes: the clocks of their hosts may differ. Leases are kept as these numbers because a number
knows no time zone and no summer time. Django's own ``Now()`` would not do: under MySQL it follows the session's time
zone, and in SQLite it is UTC even where ``USE_TZ`` is off.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings as django_settings
from django.db import NotSupportedError, connections
from django.db.models import BigIntegerField, Func
from django.utils import timezone

SECOND = 1_000_000
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DatabaseClock(Func):
    """Microseconds since 1970 UTC, told by the database; on SQLite by the host, which is the only one there."""

    output_field = BigIntegerField()

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:  # type: ignore[override]
        raise NotSupportedError(
            f"django_future_celery knows no clock of {connection.vendor}: use PostgreSQL, MySQL, MariaDB or SQLite."
        )

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, list[Any]]:
        return "(extract(epoch from clock_timestamp()) * 1000000)::bigint", []

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, list[Any]]:
        return "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))", []

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return "%s", [time.time_ns() // 1000]


class Micros(Func):
    """A stored datetime as microseconds since 1970 UTC, computed by the database: never too many.

    Where ``USE_TZ`` is off, MySQL and SQLite keep local times and do not know the zone; then the hour of summer time
    is taken off all year.
    """

    output_field = BigIntegerField()
    arity = 1

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:  # type: ignore[override]
        return DatabaseClock().as_sql(compiler, connection)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        sql, params = compiler.compile(self.source_expressions[0])
        return f"(extract(epoch from {sql}) * 1000000)::bigint", params

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        sql, params = compiler.compile(self.source_expressions[0])
        return f"(timestampdiff(microsecond, '1970-01-01', {sql}) - {largest_utc_offset()})", params

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        sql, params = compiler.compile(self.source_expressions[0])
        return f"(django_timestamp_diff({sql}, '1970-01-01 00:00:00') - {largest_utc_offset()})", params


def largest_utc_offset() -> int:
    """Microseconds by which stored local times are ahead of UTC at most; 0 where UTC is stored."""
    if django_settings.USE_TZ:
        return 0
    zone, year = timezone.get_default_timezone(), datetime.now().year
    offsets = [datetime(year, month, 1, tzinfo=zone).utcoffset() or timedelta() for month in range(1, 13)]
    return max(offsets) // MICROSECOND


@dataclass(frozen=True)
class Watch:
    """The database's clock as it was read once, told on by this process's stopwatch."""

    clock: int
    stopwatch: int = field(default_factory=time.monotonic_ns)

    def now(self) -> int:
        return self.clock + (time.monotonic_ns() - self.stopwatch) // 1000


def database_now(using: str) -> int:
    """Ask the database ``using`` for the time."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        return time.time_ns() // 1000
    write = getattr(DatabaseClock(), f"as_{connection.vendor}", DatabaseClock().as_sql)
    sql, params = write(None, connection)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", params)
        return int(cursor.fetchone()[0])


def to_datetime(micros: int) -> datetime:
    """Give the instant as Django stores it: aware in UTC, or naive in the default zone if ``USE_TZ`` is off."""
    instant = EPOCH + timedelta(microseconds=micros)
    return instant if django_settings.USE_TZ else timezone.make_naive(instant, timezone.get_default_timezone())


def to_micros(instant: datetime) -> int:
    """Turn a datetime as Django stores it into microseconds since 1970 UTC."""
    if timezone.is_naive(instant):
        instant = timezone.make_aware(instant, timezone.get_default_timezone())
    return (instant - EPOCH) // MICROSECOND
