"""Schedule and reschedule: check everything, then insert one row. The broker is never touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Unpack

from django.db.models import Model
from django.utils import timezone

from django_future_celery.durations import start_of
from django_future_celery.models import ScheduledJob
from django_future_celery.nudges import nudge
from django_future_celery.options import NAMES, Options, check_relative_to
from django_future_celery.rows import RowBuilder

#: Stands for "copy it from the job" where None has a meaning of its own.
NOT_GIVEN: Final[Any] = object()


def schedule(
    date: datetime | timedelta | str,
    callable_name: str | Callable[..., Any],
    content_object: Model | None = None,
    expires: datetime | timedelta | str | None = "7d",
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    priority: int = 0,
    check: bool = True,
    using: str | None = None,
    rescheduled_from: int | None = None,
    **options: Unpack[Options],
) -> ScheduledJob:
    """See :func:`django_future_celery.schedule_job`; the ``options`` are those of ``job_options``."""
    builder = RowBuilder(using)
    job = builder.build(date, callable_name, content_object, expires, args, kwargs, queue, priority, check, options)
    job.rescheduled_from = rescheduled_from
    job.save(using=builder.database)
    nudge(builder.database, job.due_at)
    return job


def reschedule(
    job: ScheduledJob,
    date: datetime | timedelta | str,
    callable_name: str | Callable[..., Any] = NOT_GIVEN,
    content_object: Model | None = NOT_GIVEN,
    expires: datetime | timedelta | str | None = NOT_GIVEN,
    args: Sequence[Any] = NOT_GIVEN,
    kwargs: Mapping[str, Any] | None = NOT_GIVEN,
    *,
    queue: str | None = NOT_GIVEN,
    priority: int = NOT_GIVEN,
    check: bool = True,
    using: str | None = None,
    relative_to: str = "now",
    **options: Unpack[Options],
) -> ScheduledJob:
    """Schedule a new job like ``job``; what is not given is copied, the length of the slot included.

    Args:
        date: as for ``schedule_job``; an offset counts from the moment of this call.
        relative_to: ``'scheduled'`` lets an offset count from the start of the old job's slot instead.

    Raises:
        ValueError, TypeError, ImportError: as for ``schedule_job``.
        InvalidOption: another ``relative_to``.
    """
    check_relative_to(relative_to)

    def given_or(given: Any, old: Any) -> Any:
        return old() if given is NOT_GIVEN else given

    def slot_length() -> timedelta | None:
        return job.time_slot_end - job.time_slot_start if job.time_slot_end else None

    as_before: Any = {name: getattr(job, name) for name in NAMES}
    database = using or job.database
    return schedule(
        start_of(date, now=timezone.now() if relative_to == "now" else job.time_slot_start),
        given_or(callable_name, lambda: job.callable_name),
        given_or(content_object, job.fetch_content_object),
        given_or(expires, slot_length),
        given_or(args, lambda: job.args),
        given_or(kwargs, lambda: job.kwargs),
        queue=given_or(queue, lambda: job.queue),
        priority=given_or(priority, lambda: job.priority),
        check=check,
        using=database,
        # In another database this id is another job's.
        rescheduled_from=job.pk if database == job.database else None,
        **as_before | options,
    )
