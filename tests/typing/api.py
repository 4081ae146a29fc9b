"""The public names as a typed project uses them: it is read by mypy and by pyright, both strict, and never run.

Each line that says "ignore" is a mistake that a checker must find: an ignore that is not needed is an error, too.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, assert_type

from django_future_celery import (
    Job,
    JobCancelled,
    Retry,
    ScheduledJob,
    job_as_parameter,
    job_options,
    non_atomic_job,
    run_jobs,
    schedule_job,
    schedule_jobs,
    sticky_job,
)

if TYPE_CHECKING:
    from django.db.models import Model


def add(first: int, second: int) -> int:
    return first + second


def charge(order: Model, amount: int) -> str:
    if amount < 0:
        raise Retry("8h", reason="the shop is closed")
    if amount > 100:
        raise Retry(timedelta(hours=1))
    raise JobCancelled


# -- scheduling -------------------------------------------------------------------------------------------------------


def schedules(order: Model) -> None:
    assert_type(schedule_job("5d", "shop.jobs.send_reminder", order), ScheduledJob)
    schedule_job(timedelta(hours=2), add, args=[2, 3], expires=timedelta(days=1))
    schedule_job(datetime(2030, 1, 1, tzinfo=UTC), add, args=(2,), kwargs={"second": 3}, expires=None)
    schedule_job(
        "1h", "cancel_unless_paid", content_object=order, queue="slow", priority=50, check=False, using="archive"
    )
    schedule_job("1h", add, max_attempts=3, retry_backoff="1m", retry_backoff_max=timedelta(hours=1), time_limit=600)

    schedule_job(5, add)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    schedule_job("5d", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    schedule_job("5d", add, kwargs={2: 3})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    schedule_job("5d", add, priority="high")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    schedule_job("5d", add, max_attempt=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    schedule_job("5d")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def schedules_many(orders: list[Model]) -> None:
    jobs = schedule_jobs(
        (Job("5d", "shop.jobs.send_reminder", order, queue="slow") for order in orders), using="archive"
    )
    assert_type(jobs, list[ScheduledJob])

    Job("5d", add, retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    schedule_jobs(["shop.jobs.add"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


# -- callables --------------------------------------------------------------------------------------------------------


@job_as_parameter
def nag(job: ScheduledJob, order: Model, n: int = 1) -> None:
    assert_type(job.reschedule("3d", kwargs={"n": n + 1}), ScheduledJob)
    if job.cancel_requested():
        raise JobCancelled("the shop was closed")


@job_options(max_attempts=5, retry_backoff="1m", soft_time_limit=30, time_limit=timedelta(minutes=10))
def send(address: str) -> bytes:
    return address.encode()


@non_atomic_job
def export() -> int:
    return 1


@sticky_job
def poll() -> str:
    return "polled"


def decorated_functions_are_what_they_were(job: ScheduledJob, order: Model) -> None:
    nag(job, order, n=2)
    assert_type(send("ada@example.com"), bytes)
    assert_type(export(), int)
    assert_type(poll(), str)

    nag(job)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    job_options(max_attempts="five")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    job_options(attempts=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# -- rows -------------------------------------------------------------------------------------------------------------


def rows(job: ScheduledJob) -> None:
    assert_type(job.cancel(terminate=True), bool)
    assert_type(job.kwargs, dict[str, Any])
    assert_type(job.database, str)
    assert_type(job.why_not_yet(), str)
    assert_type([attempt.error for attempt in job.failed_attempts], list[str])
    # The managers are known by django-stubs' plugin of mypy only.
    assert_type(ScheduledJob.objects.scheduled().reschedule("3h", relative_to="scheduled"), int)  # pyright: ignore[reportAssertTypeFailure]
    assert_type(ScheduledJob.objects.filter(callable_name="shop.jobs.add").cancel(), int)  # pyright: ignore[reportAssertTypeFailure]

    job.cancel(True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    job.kwargs = {}  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def runs() -> None:
    run_jobs(delete_completed=True, ignore_errors=True, now=datetime.now(UTC), using="archive")
    run_jobs(now="now")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
