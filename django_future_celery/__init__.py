"""Run a Python callable later, from a row in your Django database.

The names below can be imported anywhere, also in a settings file: models are imported when they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack

from django_future_celery.backoff import Retry
from django_future_celery.callables import job_as_parameter, non_atomic_job, sticky_job
from django_future_celery.calls import Job
from django_future_celery.exceptions import JobCancelled
from django_future_celery.options import Options, job_options

if TYPE_CHECKING:
    from django.db.models import Model

    from django_future_celery.models import ScheduledJob

__all__ = [
    "Job",
    "JobCancelled",
    "Retry",
    "ScheduledJob",
    "job_as_parameter",
    "job_options",
    "non_atomic_job",
    "run_jobs",
    "schedule_job",
    "schedule_jobs",
    "sticky_job",
]


def schedule_job(
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
    **options: Unpack[Options],
) -> ScheduledJob:
    """Insert a job that is run once, not before ``date`` and not after ``expires``; the broker is not touched.

    The row is part of the caller's transaction: rolled back, there is no job.

    Args:
        date: when the job becomes due: a datetime (a naive one is in the current time zone), or an offset from now as
            a timedelta, as ``'5d'`` or ``'1d12h'`` (s, m, h, d, w; m is minutes), or in ISO 8601.
        callable_name: a dotted path, a module-level function, or the name of a method of ``content_object``.
        content_object: a saved model instance; fetched when the job runs and given as the first argument.
        expires: the end of the slot, an offset from its start or a datetime; None: never.
        args: positional arguments, a list or a tuple. Anything picklable can be among the arguments.
        kwargs: keyword arguments.
        queue: the Celery queue; None: the default one.
        priority: -100 to 100, the higher ones are dispatched first.
        check: whether to refuse a callable that cannot be imported here, or does not take the arguments.
        using: the alias of the database that keeps the row.
        options: those below; one that is not given is as ``job_options`` says at the callable, or else the default.
            Times are seconds, a timedelta, or text such as ``'5m'``.
        max_attempts: how many times the job may be started at most, if it raises or its process dies;
            else ``FUTURE_CELERY_MAX_ATTEMPTS``.
        retry_backoff: the pause before the second attempt, doubled at each further one;
            else ``FUTURE_CELERY_RETRY_BACKOFF_SECONDS``.
        retry_backoff_max: the longest pause; else ``FUTURE_CELERY_RETRY_BACKOFF_MAX_SECONDS``.
        soft_time_limit: after this time SoftTimeLimitExceeded is raised in the job. Celery's prefork workers alone can
            do that; else Celery's own settings hold.
        time_limit: after this time its process is killed, in the same workers.

    Raises:
        ValueError, TypeError, ImportError: the call cannot work; nothing was written. The exact errors are in
            :mod:`django_future_celery.exceptions`.
    """
    from django_future_celery.scheduling import schedule

    return schedule(
        date,
        callable_name,
        content_object,
        expires,
        args,
        kwargs,
        queue=queue,
        priority=priority,
        check=check,
        using=using,
        **options,
    )


def schedule_jobs(jobs: Iterable[Job], *, using: str | None = None) -> list[ScheduledJob]:
    """Insert many jobs, in few statements and one transaction: all of them, or none.

    Args:
        jobs: each a ``Job``, which takes what ``schedule_job`` takes, except ``using``. Offsets count from one instant.
        using: the alias of the database that keeps the rows.

    Returns:
        The rows in the order of the jobs, each with its id. ``pre_save`` and ``post_save`` are not sent.

    Raises:
        ValueError, TypeError, ImportError: a job cannot work, as for ``schedule_job``; nothing was written. The message
            begins with the job's position, as in ``jobs[3]``.
    """
    from django_future_celery.bulk import schedule_jobs

    return schedule_jobs(jobs, using)


def run_jobs(
    delete_completed: bool = False,
    ignore_errors: bool = False,
    now: datetime | None = None,
    using: str | None = None,
) -> None:
    """Run what is due in this process, with no broker, in the order of priority and of the time due.

    Args:
        delete_completed: delete the rows of the jobs that complete.
        ignore_errors: go on after a job that raised. Its error is on its row in any case.
        now: run what is due by then, instead of by the database's clock.
        using: the alias of the one database to look into; None: ``FUTURE_CELERY_DATABASES``.

    Raises:
        InsideTransaction: called inside ``transaction.atomic()``; a TestCase is fine.
        BaseException: whatever a job raised, as it is, unless ``ignore_errors``.
    """
    from django_future_celery.processing import run_jobs

    run_jobs(delete_completed, ignore_errors, now, using)


def __getattr__(name: str) -> Any:
    if name == "ScheduledJob":
        from django_future_celery.models import ScheduledJob

        return ScheduledJob
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
