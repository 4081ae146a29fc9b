"""One run: start, call, record."""

import logging
import traceback
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone

from django_future_celery import schedule_job
from django_future_celery.exceptions import ClaimLost, JobFailed
from django_future_celery.models import ScheduledJob
from django_future_celery.reporting import report
from django_future_celery.runner import call, complete, find_callable, finish, nobody, perform, run_job, start
from tests.factories import row_of
from tests.shop.models import Ledger, Order

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


def ledger(alias):
    return list(Ledger.objects.using(alias).order_by("pk").values_list("entry", flat=True))


def run(job):
    return run_job(job.pk, job.attempts, using=job._state.db, task_id="task")


def job_of(name, alias, **options):
    return schedule_job("0s", f"tests.shop.jobs.{name}", using=alias, **options)


def test_a_job_that_returns_is_complete_with_its_result(alias):
    job = job_of("add", alias, args=[2], kwargs={"second": 3})

    outcome = run(job)

    row = row_of(job)
    assert (row["status"], row["return_value"], row["error"]) == ("complete", "5", "")
    assert row["execution_start"] <= row["execution_end"]
    assert (row["task_id"], row["wake_at"], outcome.error) == ("task", None, None)


def test_none_is_no_result(alias):
    job = job_of("nothing", alias)
    run(job)

    assert row_of(job)["return_value"] is None


def test_a_job_that_raises_is_failed_with_its_traceback_and_rolled_back(alias):
    job = job_of("write_and_raise", alias)

    outcome = run(job)

    row = row_of(job)
    assert (row["status"], row["return_value"]) == ("failed", None)
    assert row["error"].startswith("Traceback") and row["error"].rstrip().endswith("ValueError: boom")
    assert "in write_and_raise" in row["error"]
    assert isinstance(outcome.error, ValueError)
    assert ledger(alias) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [("write_and_exit", "SystemExit: 3"), ("break_transaction", "TransactionManagementError")],
)
def test_whatever_ends_a_run_is_recorded_and_rolled_back(alias, name, reason):
    job = job_of(name, alias)
    run(job)

    assert row_of(job)["status"] == "failed"
    assert reason in row_of(job)["error"]
    assert ledger(alias) == []


def test_a_non_atomic_job_keeps_what_it_wrote_before_it_raised(alias):
    job = job_of("write_and_raise_without_transaction", alias)
    run(job)

    assert row_of(job)["status"] == "failed"
    assert ledger(alias) == ["stays"]


def test_a_hook_that_raises_after_the_commit_is_logged_and_changes_nothing(alias, caplog):
    job = job_of("hook_raises", alias)

    with caplog.at_level(logging.ERROR, "django_future_celery"):
        outcome = run(job)

    assert row_of(job)["status"] == outcome.job.status == "complete"
    assert outcome.error is None
    assert ledger(alias) == ["committed"]
    assert "a hook after its commit raised" in caplog.text


SECRET = "password=hunter2"


@pytest.mark.parametrize("redactor", ["django_future_celery.redaction.mask_secrets", "nowhere.redact"])
def test_the_log_of_a_failure_is_masked_and_the_row_is_not(alias, caplog, settings, redactor):
    settings.FUTURE_CELERY_REDACT = redactor
    job = job_of("write_and_raise", alias, args=[SECRET])
    run(job)

    assert "hunter2" not in caplog.text
    assert f"Job {job.pk} (tests.shop.jobs.write_and_raise) failed" in caplog.text
    assert SECRET in row_of(job)["error"]


def test_the_log_of_a_run_that_was_taken_over_is_masked(alias, rows, caplog):
    job = job_of("write_and_raise", alias, args=[SECRET])
    mine = start(job.pk, 0, using=alias)
    rows.fail(rows.get(pk=job.pk), "Worker lost", timezone.now())
    finish(mine)

    assert "was lost by this run, which was rolled back: ValueError: password=*" in caplog.text
    assert "hunter2" not in caplog.text


def test_what_celery_is_told_of_a_failure_is_masked_and_leads_to_nothing_else(alias):
    outcome = run(job_of("write_and_raise", alias, args=[SECRET]))
    with pytest.raises(JobFailed) as failure:
        report(outcome)

    assert repr(failure.value) == "JobFailed('ValueError: attempt 1 of 1')"
    assert "in write_and_raise" in str(failure.value) and "ValueError: password=*" in str(failure.value)
    assert "hunter2" not in "".join(traceback.format_exception(failure.value))
    assert failure.value.__cause__ is failure.value.__context__ is None


def test_async_callables_run_inside_the_jobs_transaction(alias):
    job = job_of("later", alias)
    run(job)

    assert row_of(job)["return_value"] == "awaited"
    assert ledger(alias) == ["async"]


def test_the_content_object_comes_after_the_job_and_before_the_arguments(alias):
    order = Order.objects.using(alias).create()
    job = schedule_job("0s", "tests.shop.jobs.note_object", order, args=["paid"], using=alias)
    run(job)

    assert ledger(alias) == [f"order {order.pk} paid"]


def test_a_name_without_a_dot_is_a_method_of_the_content_object(alias):
    order = Order.objects.using(alias).create()
    job = schedule_job("0s", "remind", order, kwargs={"text": "hurry"}, using=alias)
    run(job)

    assert row_of(job)["return_value"] == "hurry"
    assert ledger(alias) == [f"order {order.pk}: hurry"]


def test_a_job_whose_content_object_is_gone_fails_with_a_plain_reason(alias):
    order = Order.objects.using(alias).create()
    job = schedule_job("0s", "tests.shop.jobs.note_object", order, using=alias)
    order.delete()
    run(job)

    assert row_of(job)["status"] == "failed"
    assert f"shop.Order {job.object_id} is no longer in the database" in row_of(job)["error"]


def test_corrupt_arguments_fail_the_job(alias, rows):
    job = job_of("echo", alias)
    rows.filter(pk=job.pk).update(args_text="no json")
    run(job)

    assert "CorruptArguments" in row_of(job)["error"]


def test_a_callable_that_is_no_longer_allowed_is_not_run(alias, settings):
    job = job_of("note", alias)
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["other.*"]
    run(job)

    assert "CallableNotAllowed" in row_of(job)["error"]
    assert ledger(alias) == []


def test_a_job_with_attempts_left_is_tried_again_after_a_pause(alias, rows, settings):
    job = job_of("fail_first", alias, kwargs={"until": 3}, max_attempts=3)
    run(job)
    first = row_of(job)

    assert (first["status"], first["attempts"]) == ("scheduled", 1)
    assert "attempt 1" in first["error"]
    assert first["wake_at"] - job.due_at > 4_000_000

    run(rows.get(pk=job.pk))
    run(rows.get(pk=job.pk))
    last = row_of(job)
    assert (last["status"], last["attempts"], last["error"]) == ("complete", 3, "")
    assert ledger(alias) == ["attempt 3"]


def test_the_last_attempt_that_raises_fails_the_job(alias, rows):
    job = job_of("fail_first", alias, kwargs={"until": 9}, max_attempts=2)
    run(job)
    run(rows.get(pk=job.pk))

    assert (row_of(job)["status"], row_of(job)["attempts"]) == ("failed", 2)


def test_a_run_whose_row_was_taken_over_is_rolled_back(alias, rows):
    """The steps of a run, with a reaper between the call and its record."""
    job = job_of("note", alias)
    mine = start(job.pk, 0, using=alias)

    with pytest.raises(ClaimLost), transaction.atomic(using=alias):
        value = call(mine.job, find_callable(mine.job))
        assert ledger(alias) == ["done"]
        if connections[alias].vendor == "sqlite":  # it has one writer, so the reaper is this one
            rows.fail(rows.get(pk=job.pk), "lost", timezone.now())
        else:
            reap_elsewhere(alias, job)
        complete(mine, value)

    assert ledger(alias) == []


def reap_elsewhere(alias, job):
    from threading import Thread

    def reap():
        rows = ScheduledJob.objects.using(alias)
        rows.fail(rows.get(pk=job.pk), "lost", timezone.now())
        connections[alias].close()

    thread = Thread(target=reap)
    thread.start()
    thread.join()


def test_the_outcome_of_a_run_that_was_taken_over_is_no_error(alias, rows):
    job = job_of("write_and_raise", alias)
    mine = start(job.pk, 0, using=alias)
    rows.fail(rows.get(pk=job.pk), "Worker lost", timezone.now())

    outcome = finish(mine)

    assert outcome.error is None
    assert row_of(job)["error"] == "Worker lost"


def test_results_are_capped_and_storable(alias, settings):
    settings.FUTURE_CELERY_MAX_RESULT_SIZE = 60
    job = job_of("echo", alias, args=["\0\ud800" + "x" * 200])
    run(job)

    value = row_of(job)["return_value"]
    assert len(value) <= 60 and "characters cut" in value and "\0" not in value


def test_a_job_runs_in_one_transaction_with_its_end(alias):
    """The connection is cut before the commit: neither the writes nor the end are there."""
    job = job_of("note", alias)
    mine = start(job.pk, 0, using=alias)

    class Cut(Exception):
        pass

    with pytest.raises(Cut), transaction.atomic(using=alias):
        complete(mine, call(mine.job, find_callable(mine.job)))
        raise Cut

    assert row_of(job)["status"] == "running"
    assert ledger(alias) == []
    assert mine.job.pk == job.pk


def test_perform_refuses_an_open_transaction(alias):
    mine = start(job_of("note", alias).pk, 0, using=alias)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic(using=alias):
        perform(mine, nobody, {})


def test_connections_are_left_in_autocommit(alias):
    job = job_of("switch_autocommit", alias)
    run(job)

    connection = connections[alias]
    connection.ensure_connection()
    assert connection.get_autocommit() is True


def test_the_end_is_recorded_on_a_new_connection_when_the_old_one_broke(alias):
    job = job_of("close_connection", alias)
    run(job)

    assert row_of(job)["status"] == "failed"
    assert timezone.now() - row_of(job)["execution_end"] < timedelta(seconds=30)
