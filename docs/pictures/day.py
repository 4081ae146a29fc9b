"""The jobs of an imagined shop: a day that has passed, one that is to come, and some of each status just now."""

import random
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from django.utils import timezone
from reminders.models import Reminder

from django_future_celery.clock import database_now, to_micros
from django_future_celery.models import Process, ScheduledJob
from django_future_celery.states import Kind, Status

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/jobs.py", line 41, in send_invoice
    with smtplib.SMTP(settings.EMAIL_HOST) as server:
ConnectionRefusedError: [Errno 111] Connection refused
"""


@dataclass(frozen=True)
class Callable:
    name: str
    #: So many of its jobs an hour has at most.
    often: int
    #: Seconds that a run takes, about.
    takes: float
    queue: str = ""
    #: Whether each of its jobs has a content object.
    about_one: bool = False


REMINDER = Callable("reminders.jobs.deliver", 24, 0.4, about_one=True)
INVOICE = Callable("shop.jobs.send_invoice", 10, 1.1)
TRIAL = Callable("accounts.jobs.end_trial", 4, 0.2)
REPORT = Callable("reports.jobs.daily_sales", 1, 42, queue="reports")
ALL = (REMINDER, INVOICE, TRIAL, REPORT)

chance = random.Random(7)


def fill():
    now = timezone.now()
    Reminder.objects.bulk_create(Reminder(text="Water the plants", recipient="ada@example.com") for _ in range(80))
    ScheduledJob.objects.bulk_create([*past(now), *to_come(now), *just_now(now)])
    look_alive(now)


def past(now):
    starts = [(now - chance.random() * HOUR - hour * HOUR, called) for hour in range(24) for called in some()]
    for start, called in sorted(starts, key=lambda each: each[0]):
        failed = called is INVOICE and chance.random() < 0.07
        yield ended(called, start, Status.FAILED if failed else Status.COMPLETE)


def to_come(now):
    for hour in range(24):
        for called in some():
            yield job(called, now + chance.random() * HOUR + hour * HOUR + timedelta(minutes=2))


def some():
    """The callables of one hour, each as often as chance has it."""
    return [called for called in ALL for _ in range(chance.randint(0, called.often))]


def just_now(now):
    """The newest rows; the list shows the last of them first."""

    def ago(seconds):
        return now - timedelta(seconds=seconds)

    yield job(REPORT, now + 9 * HOUR)
    yield ended(TRIAL, ago(3000), Status.EXPIRED)
    yield job(TRIAL, now + 20 * HOUR, status=Status.CANCELLED, wake_at=None, cancel_requested_at=ago(900))
    yield ended(REMINDER, ago(400), Status.COMPLETE)
    yield ended(INVOICE, ago(300), Status.FAILED, attempts=3, max_attempts=3)
    yield ended(REMINDER, ago(120), Status.COMPLETE)
    again = to_micros(now + timedelta(minutes=4))
    yield job(
        INVOICE, ago(60), attempts=1, max_attempts=3, wake_at=again, execution_start=ago(59), execution_end=ago(58)
    )
    running = {"status": Status.RUNNING, "attempts": 1, "wake_at": to_micros(now + HOUR)}
    yield job(REPORT, ago(40), execution_start=ago(39.7), worker="celery@worker-2", **running)
    yield job(REMINDER, ago(3), execution_start=ago(2), worker="celery@worker-1", **running)
    yield job(INVOICE, ago(2), dispatched_at=ago(1), dispatches=1, wake_at=to_micros(now + HOUR))
    yield job(REMINDER, ago(1))
    yield job(INVOICE, now + timedelta(minutes=20), priority=5)
    yield job(REMINDER, now + timedelta(days=5, hours=1))


@cache
def reminders():
    return list(Reminder.objects.all())


def job(called, start, **columns):
    columns = {"time_slot_end": start + WEEK, "queue": called.queue} | columns
    about = chance.choice(reminders()) if called.about_one else None
    return ScheduledJob(callable_name=called.name, time_slot_start=start, content_object=about, **columns)


def ended(called, start, status, **columns):
    begun = start + timedelta(seconds=chance.lognormvariate(-1, 0.8))
    over = begun + timedelta(seconds=called.takes * chance.lognormvariate(0, 0.4))
    if status == Status.EXPIRED:
        return job(called, start, status=status, wake_at=None, execution_end=over, time_slot_end=over)
    columns = {"attempts": 1, "error": TRACEBACK if status == Status.FAILED else ""} | columns
    return job(
        called,
        start,
        status=status,
        wake_at=None,
        execution_start=begun,
        execution_end=over,
        worker=f"celery@worker-{chance.randint(1, 2)}",
        **columns,
    )


def look_alive(now):
    seen = database_now("default")
    since = to_micros(now - 50 * HOUR)
    for kind, name, host in ((Kind.BEAT, "beat", "web-1"), *((Kind.WORKER, "celery", f"worker-{n}") for n in "12")):
        Process.objects.create(name=f"{name}@{host}", kind=kind, host=host, pid=311, since=since, seen=seen)
