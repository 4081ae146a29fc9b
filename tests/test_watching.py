"""What others learn of a job: signals after the commit, log records, and that nobody who watches can break it."""

import asyncio
import logging
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone

from django_future_celery import run_jobs, schedule_job, signals, watching
from django_future_celery.clock import SECOND
from django_future_celery.dispatcher import tick
from django_future_celery.logs import JobFilter, current_job
from django_future_celery.models import ScheduledJob
from django_future_celery.recovery import recover
from django_future_celery.redaction import ErrorFilter
from django_future_celery.runner import run_job
from tests.factories import due_job, started_job

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

NAMES = ("job_started", "job_completed", "job_failed", "job_expired", "job_cancelled")


@pytest.fixture
def heard():
    """What was sent: the name of the signal, the stored status at that moment, and the other arguments."""
    found = []

    def receiver_of(name):
        def receive(sender, job, signal, **arguments):
            assert sender is ScheduledJob
            assert not connections[job._state.db].in_atomic_block
            stored = ScheduledJob.objects.using(job._state.db).get(pk=job.pk)
            assert stored.status == job.status
            found.append((name, str(job.status), arguments))

        return receive

    receivers = {name: receiver_of(name) for name in NAMES}
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver)
    yield found
    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver)


def names(heard):
    return [name for name, _, _ in heard]


def run(name, alias, **options):
    job = schedule_job("0s", f"tests.shop.jobs.{name}", using=alias, **options)
    return run_job(job.pk, 0, using=alias)


def over(alias, **columns):
    start = timezone.now() - timedelta(hours=2)
    return due_job(alias, time_slot_start=start, time_slot_end=start + timedelta(hours=1), **columns)


def test_a_job_that_completes_is_started_and_completed(alias, heard):
    run("note", alias)

    assert heard == [("job_started", "running", {}), ("job_completed", "complete", {})]


def test_a_job_that_raises_is_failed_with_its_error(alias, heard):
    run("write_and_raise", alias)

    [_, (name, status, arguments)] = heard
    assert (name, status, arguments["again"]) == ("job_failed", "failed", False)
    assert isinstance(arguments["error"], ValueError)


def test_a_job_that_raises_and_is_tried_again_says_so(alias, heard):
    run("write_and_raise", alias, max_attempts=2)

    assert heard[-1][:2] == ("job_failed", "scheduled")
    assert heard[-1][2]["again"] is True


def test_a_hook_that_raises_after_the_commit_leaves_the_job_completed(alias, heard):
    run("hook_raises", alias)

    assert names(heard) == ["job_started", "job_completed"]


def test_a_lost_run_is_failed_without_an_error(alias, heard, now):
    started_job(alias)
    recover(alias, now + 3600 * SECOND)

    assert heard == [("job_failed", "failed", {"error": None, "again": False})]


def test_a_run_that_lost_its_row_says_nothing(alias, heard, now, monkeypatch):
    job = schedule_job("0s", "tests.shop.jobs.note", using=alias)
    monkeypatch.setattr(
        "django_future_celery.runner.perform", lambda run: recover(alias, now + 3600 * SECOND) and 1 / 0
    )
    run_job(job.pk, 0, using=alias)

    assert names(heard) == ["job_started", "job_failed"]


@pytest.mark.parametrize("who", ["beat", "worker", "command"])
def test_a_job_whose_slot_is_over_is_expired_once(alias, heard, who):
    job = over(alias)
    if who == "beat":
        tick(lambda job: None, alias)
    elif who == "worker":
        run_job(job.pk, 0, using=alias)
    else:
        run_jobs(using=alias)

    assert heard == [("job_expired", "expired", {})]


def test_a_job_whose_slot_is_over_before_the_next_attempt_is_failed(alias, heard, rows):
    job = started_job(alias, max_attempts=2)
    rows.try_again(job, "Traceback", timezone.now(), 0)
    rows.filter(pk=job.pk).update(time_slot_end=timezone.now() - timedelta(seconds=1))
    tick(lambda job: None, alias)

    assert heard == [("job_failed", "failed", {"error": None, "again": False})]


def test_a_job_that_is_cancelled_while_it_waits_is_cancelled_at_the_commit(alias, heard):
    job = due_job(alias)
    with transaction.atomic(using=alias):
        job.cancel()
        assert heard == []

    assert heard == [("job_cancelled", "cancelled", {"error": None})]


def test_a_job_that_cannot_be_cancelled_any_more_says_nothing(alias, heard):
    job = due_job(alias)
    job.cancel()
    assert job.cancel() is False
    started_job(alias).cancel()

    assert names(heard) == ["job_cancelled"]


def test_a_job_that_cancels_itself_is_cancelled_with_its_error(alias, heard):
    run("give_up", alias)

    assert heard[-1][:2] == ("job_cancelled", "cancelled")
    assert type(heard[-1][2]["error"]).__name__ == "JobCancelled"


@pytest.mark.parametrize("name", ["job_started", "job_completed"])
def test_a_receiver_that_raises_breaks_nothing_and_is_logged(alias, caplog, name):
    def broken(**options):
        raise RuntimeError("a receiver's error")

    getattr(signals, name).connect(broken)
    try:
        outcome = run("note", alias)
    finally:
        getattr(signals, name).disconnect(broken)

    assert (outcome.job.status, outcome.error) == ("complete", None)
    assert "a receiver's error" in caplog.text


@pytest.mark.parametrize("setting", ["FUTURE_CELERY_PROMETHEUS", "FUTURE_CELERY_OPENTELEMETRY"])
def test_a_package_that_is_missing_breaks_no_job(alias, settings, monkeypatch, caplog, setting):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    setattr(settings, setting, True)
    monkeypatch.setattr(watching, "import_module", missing)

    assert run("note", alias).job.status == "complete"
    assert "could not be told" in caplog.text


def test_nobody_who_watches_costs_no_query(alias, django_assert_num_queries):
    with django_assert_num_queries(0, using=alias):
        watching.all_ended(ScheduledJob.objects.using(alias).all())


# -- log records ------------------------------------------------------------------------------------------------------


@contextmanager
def recorded(logger, *filters):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    for each in filters:
        handler.addFilter(each)
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)


def fields(record):
    return record.job_id, record.callable, record.attempt


@pytest.mark.parametrize("name", ["log_something", "log_something_later"])
def test_what_a_job_logs_has_the_job(alias, name):
    with recorded(logging.getLogger("tests.shop"), JobFilter()) as records:
        outcome = run(name, alias)

    assert outcome.error is None
    assert {fields(record) for record in records} == {(outcome.job.pk, f"tests.shop.jobs.{name}", 1)}
    assert len(records) == 2


def test_what_is_logged_outside_of_jobs_has_none(alias):
    run("note", alias)
    with recorded(logging.getLogger("tests.shop"), JobFilter()) as records:
        logging.getLogger("tests.shop").error("something else")

    assert fields(records[0]) == (None, "", None)


def test_a_job_inside_a_job_has_its_own_records(alias):
    outer, inner = due_job(alias), due_job(alias)
    with watching.watched(outer):
        with watching.watched(inner):
            assert current_job.get() is inner
        assert current_job.get() is outer
    assert current_job.get() is None


def test_tasks_of_one_loop_do_not_mix_their_jobs(alias):
    jobs = [due_job(alias), due_job(alias)]
    barrier = []

    async def one(job):
        with watching.watched(job):
            barrier.append(job)
            while len(barrier) < 2:
                await asyncio.sleep(0)
            return current_job.get() is job and await asyncio.to_thread(current_job.get) is job

    async def both():
        return await asyncio.gather(*map(one, jobs))

    assert asyncio.run(both()) == [True, True]


def test_our_own_records_of_a_failure_have_the_job(alias):
    with recorded(logging.getLogger("django_future_celery")) as records:
        outcome = run("write_and_raise", alias)

    assert {fields(record) for record in records} == {(outcome.job.pk, "tests.shop.jobs.write_and_raise", 1)}


def test_a_record_about_a_job_is_not_said_to_be_about_the_one_that_runs(alias):
    about, running = due_job(alias), due_job(alias)
    record = logging.makeLogRecord({"job": about})
    with watching.watched(running):
        ErrorFilter().filter(record)
        JobFilter().filter(record)

    assert record.job_id == about.pk
