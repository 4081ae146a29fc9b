from datetime import UTC, datetime, timedelta

import django
from django.utils import timezone

django.setup()

from benchmarks.project import jobs as callables  # noqa: E402
from benchmarks.project.celery import app  # noqa: E402, F401  schedules and settings are the project's
from benchmarks.project.rows import copy  # noqa: E402
from django_future_celery import schedule_job  # noqa: E402
from django_future_celery.models import ScheduledJob  # noqa: E402

NOOP = "benchmarks.project.jobs.noop"


def fill(jobs: int) -> None:
    first = schedule_job(timezone.now() - timedelta(seconds=1), NOOP, kwargs={"number": 1})
    copy(first, jobs - 1)


def at(moments: list[float]) -> None:
    for due in moments:
        schedule_job(moment(due), callables.punctual, kwargs={"due": due})


def occupy(moments: list[float], seconds: float) -> None:
    for due in moments:
        schedule_job(moment(due), callables.occupy, kwargs={"seconds": seconds})


def moment(due: float) -> datetime:
    return datetime.fromtimestamp(due, UTC)


def schedule_one(number: int) -> None:
    schedule_job("1d", NOOP, kwargs={"number": number})


def row(number: int) -> ScheduledJob:
    """The row that schedule_one() inserts, made by hand."""
    start = timezone.now() + timedelta(days=1)
    return ScheduledJob(
        time_slot_start=start,
        time_slot_end=start + timedelta(days=7),
        callable_name=NOOP,
        kwargs_text=f'{{"number": {number}}}',
    )
