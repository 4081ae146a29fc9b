"""What the tests schedule. Each callable leaves an entry in the ledger, in the database of its job."""

import asyncio
import logging
import os
import sys
import time

from django.db import connections, transaction

from django_future_celery import JobCancelled, Retry, job_as_parameter, job_options, non_atomic_job, schedule_job

from .models import Ledger


def write(job, entry):
    Ledger.objects.using(job._state.db).create(entry=entry)


def nothing(**kwargs):
    return None


def echo(*args, **kwargs):
    return args, kwargs


def add(first, second=1):
    return first + second


@job_as_parameter
def note(job, entry="done"):
    write(job, entry)
    return f"noted {entry}"


@job_as_parameter
def note_object(job, thing, entry="seen"):
    write(job, f"{thing._meta.model_name} {thing.pk} {entry}")
    return str(thing.pk)


@job_as_parameter
def write_and_raise(job, message="boom"):
    write(job, "must be rolled back")
    raise ValueError(message)


@non_atomic_job
@job_as_parameter
def write_and_raise_without_transaction(job):
    write(job, "stays")
    raise ValueError("boom")


@job_as_parameter
def write_and_exit(job):
    write(job, "must be rolled back")
    sys.exit(3)


@job_as_parameter
def break_transaction(job):
    """Swallow a database error, as careless code does."""
    write(job, "must be rolled back")
    try:
        with transaction.atomic(using=job._state.db, savepoint=False):
            raise RuntimeError
    except RuntimeError:
        pass


@job_as_parameter
def hook_raises(job):
    write(job, "committed")
    transaction.on_commit(lambda: 1 / 0, using=job._state.db)


@job_as_parameter
async def later(job, entry="async"):
    await Ledger.objects.using(job._state.db).acreate(entry=entry)
    return "awaited"


@job_as_parameter
def again(job, n=5):
    """django-future's own example of a job that repeats itself."""
    write(job, f"n={n}")
    job.reschedule("3d", kwargs={"n": n + 1})


@job_as_parameter
def fail_first(job, until=2):
    """Raise until the attempt ``until``."""
    if job.attempts < until:
        raise ValueError(f"attempt {job.attempts}")
    write(job, f"attempt {job.attempts}")
    return job.attempts


@job_as_parameter
def sleep(job, seconds):
    write(job, "slept")
    time.sleep(seconds)


def die():
    os._exit(7)


@non_atomic_job
@job_as_parameter
def switch_autocommit(job):
    transaction.set_autocommit(False, using=job._state.db)
    raise ValueError


@job_as_parameter
def close_connection(job):
    connections[job._state.db].close()
    Ledger.objects.using(job._state.db).count()


@job_as_parameter
def write_and_try_later(job, delay=None):
    write(job, "must be rolled back")
    raise Retry(delay, "the shop is closed")


@job_as_parameter
def give_up(job):
    write(job, "must be rolled back")
    raise JobCancelled("nothing to do any more")


@job_options(max_attempts=4, retry_backoff="30s", retry_backoff_max=120, soft_time_limit="1m", time_limit=90)
def patient():
    raise ValueError("not yet")


@non_atomic_job
@job_as_parameter
def work_until_told_to_stop(job, then="return"):
    """Look at the flag, as a long job does."""
    while not job.cancel_requested():
        time.sleep(0.1)
    if then == "raise":
        raise JobCancelled("as you wish")
    return "stopped in good order"


def spin():
    """Never end, and never notice anything either."""
    while True:
        pass


def schedule_nowhere():
    schedule_job("1h", "tests.shop.jobs.nowhere")


@job_as_parameter
def die_first(job):
    """Take the process along at the first attempt."""
    if job.attempts == 1:
        os._exit(7)
    write(job, "second")


def log_something():
    logging.getLogger("tests.shop.a").warning("one")
    logging.getLogger("tests.shop.b").warning("two")


async def log_something_later():
    logging.getLogger("tests.shop.a").warning("one")
    await asyncio.to_thread(logging.getLogger("tests.shop.b").warning, "two")


@job_as_parameter
def schedule_another(job):
    schedule_job("1h", nothing, using=job._state.db)
