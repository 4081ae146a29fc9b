"""What the present version leaves in a database: rows in every status and shape, and what is to become of each."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from unittest import mock
from uuid import UUID
from zoneinfo import ZoneInfo

from django_future_celery import schedule_job, sticky, sticky_job
from django_future_celery.clock import SECOND, database_now, to_micros
from django_future_celery.models import BeatLease, Process, ScheduledJob
from django_future_celery.runner import run_job, start
from django_future_celery.states import Kind
from tests.shop.models import Coupon, Order, Parcel
from tests.upgrade import jobs

PATH = "tests.upgrade.jobs."
#: A slot that no test reaches, a lease that none sees end.
FAR = datetime(2100, 1, 1, tzinfo=UTC)
PAST = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600 * SECOND

#: A value for each way in which arguments are written.
VALUES = {
    "plain values": [None, True, 1, 2.5, "text"],
    "text": "ü \0 \U0001f600",
    "half characters": "\ud83d\ude00",
    "a float that JSON lacks": float("inf"),
    "bytes": b"\xff\0",
    "a tuple": (1, (2,)),
    "a set": {1},
    "a frozenset": frozenset({"x"}),
    "a dict with any keys": {1: "one", ("x", None): "two", "$tag": "three"},
    "a date": date(2026, 2, 28),
    "a naive datetime": datetime(2026, 10, 25, 2, 30, fold=1),
    "a datetime in UTC": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    "a datetime in a zone": datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    "a time": time(23, 59, 59, 999999),
    "a timedelta": timedelta(days=-1, seconds=2, microseconds=3),
    "a decimal": Decimal("1.10"),
    "a UUID": UUID(int=1),
    "an enum member": jobs.Colour.RED,
    "a pickle": jobs.Point(1, 2),
    "a pickle among others": {"where": [jobs.Point(3, 4)]},
}


class Left(NamedTuple):
    """A row, and what is to become of it: columns, the number of ``failures``, a part of the ``error``."""

    name: str
    job: ScheduledJob
    #: None: it stays as it is.
    end: dict[str, Any] | None


def complete(value, attempts=1, **more):
    return {"status": "complete", "return_value": value, "attempts": attempts, "error": "", **more}


def due(name, alias, *args, **options):
    return schedule_job("0s", f"{PATH}{name}", *args, using=alias, **{"expires": None} | options)


def run(job):
    """Run the next attempt, in this process."""
    attempts = ScheduledJob.objects.using(job._state.db).get(pk=job.pk).attempts
    run_job(job.pk, attempts, using=job._state.db, task_id=f"task-{attempts + 1}")
    return job


def running(job):
    start(job.pk, 0, using=job._state.db, task_id="task-1")
    job.refresh_from_db()
    return job


def write_objects(alias):
    return {
        "order": Order.objects.using(alias).create(pk=1),
        "parcel": Parcel.objects.using(alias).create(pk=UUID(int=7)),
        "coupon": Coupon.objects.using(alias).create(pk="SPRING 10%"),
    }


def write_processes(alias):
    now = database_now(alias)
    for kind, name in [(Kind.BEAT, "beat.example:7"), (Kind.WORKER, "celery@worker.example"), (Kind.COMMAND, "cron")]:
        Process.objects.using(alias).create(name=name, kind=kind, host="app.example", pid=7, since=now, seen=now)
    BeatLease.objects.using(alias).create(name="mysite", holder="beat.example:7", until=now, last_runs='{"a": 1.5}')


def write_rows(alias, objects):
    """Write the rows that have no message out."""
    left = [
        *with_arguments(alias, objects),
        *waiting(alias),
        *tried_before(alias),
        *with_runs(alias),
        *ended(alias),
    ]
    # As if an hour had gone by: each lease and pause is over.
    rows = ScheduledJob.objects.using(alias)
    rows.filter(wake_at__lt=database_now(alias) + HOUR).update(wake_at=database_now(alias))
    return left


def with_arguments(alias, objects):
    for name, value in VALUES.items():
        job = due("echo", alias, args=[value], kwargs={"again": value})
        yield Left(f"arguments: {name}", job, complete(jobs.echo(value, again=value)))
    order = objects["order"]
    job = due("echo", alias, args=(order,))
    yield Left("arguments: a model instance", job, complete("((<Order: Order object (1)>,), {})"))
    for name, thing in objects.items():
        job = due("tell", alias, thing, args=["remind"])
        yield Left(f"content object: {name}", job, complete(f"remind {name} {thing.pk}"))
    job = due("tell", alias, order, args=[jobs.Point(5, 6)])
    yield Left("content object: with a pickle", job, complete("Point(x=5, y=6) order 1"))
    method = schedule_job("0s", "remind", order, None, ["pay"], using=alias)
    yield Left("method call", method, complete("pay"))


def waiting(alias):
    yield Left("in the far future", schedule_job(FAR, f"{PATH}nothing", expires="1d", using=alias), None)
    yield Left("returns nothing", due("nothing", alias), complete(None))
    yield Left("raises", due("boom", alias), {"status": "failed", "attempts": 1, "error": "ValueError: boom"})
    yield Left("slot over", late(alias), {"status": "expired", "attempts": 0, "error": "Expired"})
    yield Left("time limits", due("tidy", alias, soft_time_limit="1m", time_limit="2m"), complete("tidy"))
    yield Left("priority", due("tidy", alias, priority=-50), complete("tidy"))
    context = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with mock.patch("django_future_celery.rows.trace_context", return_value=context):
        yield Left("traced", due("tidy", alias), complete("tidy", trace_context=context))
    copy = run(due("tidy", alias)).reschedule("0s", expires=None)
    yield Left("rescheduled", copy, complete("tidy", rescheduled_from=copy.rescheduled_from))
    yield Left("unknown code that came", unknown(alias), complete("here", unknown_since=None))
    yield Left("sticky", sticky_row(alias), complete("tidy", unique_key=None))


def late(alias):
    return schedule_job(PAST, f"{PATH}boom", expires="1m", using=alias)


def unknown(alias):
    """A job that no process had the code of so far."""
    job = due("newcomer", alias)
    with mock.patch.dict(vars(jobs)):
        del jobs.newcomer
        return run(job)


def sticky_row(alias):
    sticky_job(jobs.tidy)
    sticky.ensure(alias, database_now(alias) - HOUR)
    row = ScheduledJob.objects.using(alias).filter(unique_key=f"{PATH}tidy")
    row.update(time_slot_end=None)
    return row.get()


def tried_before(alias):
    retried = {"max_attempts": 3, "retry_backoff": 0.1}
    job = run(due("succeed_at", alias, args=[2], **retried))
    yield Left("tried once", job, complete("attempt 2 of 3", 2, failures=1))
    job = due("boom", alias, expires="1m", **retried)
    run(job)
    ScheduledJob.objects.using(alias).filter(pk=job.pk).update(time_slot_start=PAST, time_slot_end=PAST)
    yield Left("tried once, slot over", job, {"status": "failed", "attempts": 1, "error": "Not tried again"})


def with_runs(alias):
    job = running(due("nothing", alias))
    yield Left("lost", job, {"status": "failed", "attempts": 1, "error": "Worker lost"})
    job = running(due("succeed_at", alias, args=[2], max_attempts=2, retry_backoff=0.1))
    yield Left("lost, with an attempt left", job, complete("attempt 2 of 2", 2, failures=1))
    job = running(due("nothing", alias))
    job.cancel()
    yield Left("lost, asked to stop", job, {"status": "cancelled", "attempts": 1, "error": "Worker lost"})
    job = running(due("nothing", alias))
    ScheduledJob.objects.using(alias).filter(pk=job.pk).update(wake_at=to_micros(FAR))
    yield Left("runs in another process", job, None)


def ended(alias):
    yield Left("complete", run(due("echo", alias, kwargs={"a": 1})), None)
    yield Left("failed", run(due("boom", alias)), None)
    yield Left("failed twice", run(run(due("boom", alias, max_attempts=2, retry_backoff=0.1))), None)
    yield Left("expired", run(late(alias)), None)
    job = due("nothing", alias)
    job.cancel()
    yield Left("cancelled while it waited", job, None)
    yield Left("cancelled by itself", run(due("give_up", alias)), None)


def write_sent(alias, objects):
    """Write rows that are due and sent: give the groups that share a message."""
    order, point = objects["order"], jobs.Point(1, 2)
    again = run(due("succeed_at", alias, args=[2], max_attempts=2, retry_backoff=0.1))
    groups = [
        [Left("sent", due("echo", alias, args=(order,)), complete("((<Order: Order object (1)>,), {})"))],
        [Left("sent to a queue", due("tidy", alias, queue="slow", priority=50), complete("tidy"))],
        [Left("sent with limits", due("tidy", alias, soft_time_limit=30, time_limit=60), complete("tidy"))],
        [Left("sent again", again, complete("attempt 2 of 2", 2, failures=1))],
        [
            Left("sent together, with an object", due("tell", alias, order, args=["see"]), complete("see order 1")),
            Left("sent together, raises", due("boom", alias), {"status": "failed", "error": "ValueError: boom"}),
            Left("sent together, with a pickle", due("echo", alias, args=[point]), complete(jobs.echo(point))),
        ],
    ]
    rows, now = ScheduledJob.objects.using(alias), database_now(alias)
    rows.filter(pk=again.pk).update(wake_at=now)
    for group in groups:
        sent = list(rows.filter(pk__in=[left.job.pk for left in group]))
        assert rows.lease(sent, now) == sent
    rows.sent().update(wake_at=now)
    return groups
