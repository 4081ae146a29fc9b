"""Schedule many jobs at once: all are checked, then all are inserted, in few statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connections, transaction

from django_future_celery import arrays
from django_future_celery.calls import Job
from django_future_celery.exceptions import FutureCeleryError, InvalidArguments
from django_future_celery.models import ScheduledJob
from django_future_celery.nudges import nudge
from django_future_celery.options import NAMES
from django_future_celery.rows import RowBuilder

#: Rows of one INSERT.
CHUNK = 1000


def schedule_jobs(jobs: Iterable[Job], using: str | None = None) -> list[ScheduledJob]:
    """See :func:`django_future_celery.schedule_jobs`."""
    builder = RowBuilder(using)
    rows = list(build(builder, jobs))
    insert(rows, builder.database)
    if rows:
        nudge(builder.database, min(row.due_at for row in rows))
    return rows


def build(builder: RowBuilder, jobs: Iterable[Job]) -> Iterator[ScheduledJob]:
    for position, job in enumerate(jobs):
        try:
            yield builder.build(*arguments(job))
        except FutureCeleryError as error:
            raise type(error)(f"jobs[{position}]: {error}") from error


def arguments(job: Any) -> tuple[Any, ...]:
    """Give the arguments of RowBuilder.build()."""
    if not isinstance(job, Job):
        raise InvalidArguments(f"{job!r} is a {type(job).__name__}: use Job('5d', 'shop.jobs.remind').")
    options = {name: value for name in NAMES if (value := getattr(job, name)) is not None}
    return (
        job.date,
        job.callable_name,
        job.content_object,
        job.expires,
        job.args,
        job.kwargs,
        job.queue,
        job.priority,
        job.check,
        options,
    )


def insert(rows: list[ScheduledJob], database: str) -> None:
    connection = connections[database]
    with transaction.atomic(using=database):
        if connection.vendor == "postgresql":
            for first in range(0, len(rows), CHUNK):
                arrays.insert(rows[first : first + CHUNK], database)
        elif connection.features.can_return_rows_from_bulk_insert:
            ScheduledJob.objects.using(database).bulk_create(rows, batch_size=CHUNK)
        else:
            # MySQL, other than MariaDB, tells no ids of rows that were inserted together, and a job without its id is
            # lost to its caller.
            for row in rows:
                row.save(using=database)
