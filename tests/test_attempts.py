"""Attempts: how many, after which pause, what is kept of those that failed, and what a job may choose itself."""

from datetime import timedelta

import pytest
from django.utils import timezone

from django_future_celery import Retry, job_options, run_jobs, schedule_job
from django_future_celery.backoff import retry_pause
from django_future_celery.clock import SECOND
from django_future_celery.exceptions import InvalidOption, InvalidTime, InvalidTimeType
from django_future_celery.querysets import MOST_FAILURES, NOT_TRIED_AGAIN
from django_future_celery.recovery import recover
from django_future_celery.runner import finish, run_job, start
from tests.factories import row_of
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

PATH = "tests.shop.jobs."
OPTIONS = ("max_attempts", "retry_backoff", "retry_backoff_max", "soft_time_limit", "time_limit")
HOUR = 3600 * SECOND


def run(job):
    job.refresh_from_db()
    return run_job(job.pk, job.attempts, using=job._state.db, task_id=f"task {job.attempts}")


def options_of(job):
    return tuple(row_of(job)[name] for name in OPTIONS)


def pause_of(job, before):
    """Seconds from ``before`` until the row wakes."""
    return (row_of(job)["wake_at"] - before) / SECOND


class TestOptions:
    def test_are_those_of_the_settings_where_nobody_says_anything(self, alias, settings):
        assert options_of(schedule_job("1h", f"{PATH}nothing", using=alias)) == (1, None, None, None, None)
        settings.FUTURE_CELERY_MAX_ATTEMPTS = 7
        assert options_of(schedule_job("1h", f"{PATH}nothing", using=alias))[0] == 7

    def test_are_those_of_the_callable_where_the_call_says_nothing(self, alias, settings):
        settings.FUTURE_CELERY_MAX_ATTEMPTS = 7
        assert options_of(schedule_job("1h", f"{PATH}patient", using=alias)) == (4, 30, 120, 60, 90)

    def test_are_those_of_the_call_before_all_others(self, alias):
        job = schedule_job("1h", f"{PATH}patient", max_attempts=2, retry_backoff=timedelta(seconds=1), using=alias)

        assert options_of(job) == (2, 1, 120, 60, 90)

    def test_are_copied_by_reschedule_unless_it_says_otherwise(self, alias):
        job = schedule_job("1h", f"{PATH}nothing", max_attempts=3, time_limit="2m", using=alias)

        assert options_of(job.reschedule("2h")) == (3, None, None, None, 120)
        assert options_of(job.reschedule("2h", max_attempts=5, retry_backoff=9)) == (5, 9, None, None, 120)

    def test_are_not_looked_for_where_the_code_may_not_be_here(self, alias):
        assert options_of(schedule_job("1h", f"{PATH}patient", check=False, using=alias))[0] == 1

    @pytest.mark.parametrize("name", OPTIONS[1:])
    @pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "0s", "soon", "2030-01-01T09:00", True, [5]])
    def test_refuse_what_is_no_time_above_zero(self, name, value):
        with pytest.raises(InvalidOption, match=f"^{name}="):
            schedule_job("1h", f"{PATH}nothing", **{name: value})
        with pytest.raises(InvalidOption, match=f"^{name}="):
            job_options(**{name: value})

    def test_refuse_a_soft_limit_that_comes_too_late(self):
        with pytest.raises(InvalidOption, match="soft_time_limit=60 s is not below time_limit=60 s"):
            schedule_job("1h", f"{PATH}nothing", soft_time_limit="1m", time_limit=60)

    def test_refuse_a_name_that_is_none(self, alias):
        job = schedule_job("1h", f"{PATH}nothing", using=alias)
        for call in (lambda: schedule_job("1h", job.callable_name, retries=3), lambda: job.reschedule("1h", retries=3)):
            with pytest.raises(TypeError, match="retries"):
                call()


class TestThePause:
    def test_doubles_up_to_its_cap_and_is_drawn_from_the_upper_half(self, settings):
        settings.FUTURE_CELERY_RETRY_BACKOFF_SECONDS = 10
        settings.FUTURE_CELERY_RETRY_BACKOFF_MAX_SECONDS = 60

        for attempts, longest in [(1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (32_000, 60)]:
            drawn = [retry_pause(attempts) for _ in range(200)]
            assert longest / 2 <= min(drawn) < longest * 0.6
            assert longest * 0.9 < max(drawn) <= longest

    def test_is_that_of_the_job_where_it_has_one(self, alias, now):
        job = schedule_job(
            "0s", f"{PATH}fail_first", kwargs={"until": 9}, max_attempts=9, retry_backoff=100, using=alias
        )
        run(job)
        assert 50 <= pause_of(job, now) <= 110
        run(job)
        assert 100 <= pause_of(job, now) <= 210

        capped = schedule_job(
            "0s", f"{PATH}fail_first", max_attempts=9, retry_backoff="1h", retry_backoff_max="1m", using=alias
        )
        run(capped)
        assert 30 <= pause_of(capped, now) <= 70

    def test_is_the_same_for_a_run_that_was_lost(self, alias, now):
        job = schedule_job("0s", f"{PATH}nothing", max_attempts=2, retry_backoff="1d", using=alias)
        start(job.pk, 0, using=alias)

        assert recover(alias, now + HOUR).again == 1
        assert 43_200 <= pause_of(job, now + HOUR) <= 86_410

    def test_that_would_end_after_the_slot_ends_the_job_at_once(self, alias):
        job = schedule_job(
            "0s", f"{PATH}write_and_raise", max_attempts=9, retry_backoff="2h", expires="1h", using=alias
        )
        run(job)

        row = row_of(job)
        assert (row["status"], row["attempts"], row["wake_at"]) == ("failed", 1, None)
        assert "ValueError: boom" in row["error"] and row["error"].endswith(NOT_TRIED_AGAIN)


class TestRetry:
    @pytest.mark.parametrize("delay", ["3h", "PT3H", timedelta(hours=3)])
    def test_chooses_its_own_delay(self, alias, now, delay):
        job = schedule_job("0s", f"{PATH}write_and_try_later", args=[delay], max_attempts=2, using=alias)
        run(job)

        row = row_of(job)
        assert (row["status"], row["attempts"]) == ("scheduled", 1)
        assert abs(pause_of(job, now) - 10_800) < 60
        assert "the shop is closed" in row["error"]
        assert not Ledger.objects.using(alias).exists()

    def test_without_a_delay_waits_for_the_usual_pause(self, alias, now):
        job = schedule_job("0s", f"{PATH}write_and_try_later", max_attempts=2, retry_backoff=100, using=alias)
        run(job)

        assert 50 <= pause_of(job, now) <= 110

    def test_that_was_the_last_attempt_fails_the_job(self, alias):
        job = schedule_job("0s", f"{PATH}write_and_try_later", args=["1m"], using=alias)
        run(job)

        assert row_of(job)["status"] == "failed"

    def test_is_logged_as_no_error(self, alias, caplog):
        job = schedule_job("0s", f"{PATH}write_and_try_later", args=["1m"], max_attempts=2, using=alias)
        with caplog.at_level("INFO", "django_future_celery"):
            run(job)

        assert [record.levelname for record in caplog.records] == ["INFO"]
        assert "it will be tried again" in caplog.text

    @pytest.mark.parametrize(("delay", "error"), [("soon", InvalidTime), (5, InvalidTimeType), ("-1m", InvalidTime)])
    def test_refuses_what_is_no_length_of_time(self, delay, error):
        with pytest.raises(error):
            Retry(delay)


class TestJobCancelled:
    def test_ends_the_job_as_cancelled_and_rolls_it_back(self, alias):
        job = schedule_job("0s", f"{PATH}give_up", max_attempts=5, using=alias)
        outcome = run(job)

        row = row_of(job)
        assert (row["status"], row["attempts"], row["wake_at"]) == ("cancelled", 1, None)
        assert "nothing to do any more" in row["error"]
        assert outcome.job.status == "cancelled"
        assert not Ledger.objects.using(alias).exists()

    def test_ends_no_processing(self, alias):
        schedule_job("0s", f"{PATH}give_up", using=alias)
        later = schedule_job("0s", f"{PATH}note", using=alias)
        run_jobs(using=alias)

        assert row_of(later)["status"] == "complete"


class TestHistory:
    def test_has_each_failed_attempt_with_its_times_worker_and_traceback(self, alias):
        job = schedule_job("0s", f"{PATH}fail_first", kwargs={"until": 3}, max_attempts=3, using=alias)
        for _ in range(3):
            run(job)

        row = row_of(job)
        job.refresh_from_db()
        first, second = job.failed_attempts
        assert (row["status"], row["error"]) == ("complete", "")
        assert (first.number, second.number) == (1, 2)
        assert "ValueError: attempt 1" in first.error and "ValueError: attempt 2" in second.error
        assert first.execution_start <= first.execution_end <= second.execution_start <= row["execution_start"]
        assert (first.task_id, first.worker) == ("task 0", row["worker"])

    def test_has_lost_runs_too(self, alias, now):
        job = schedule_job("0s", f"{PATH}nothing", max_attempts=2, using=alias)
        start(job.pk, 0, using=alias)
        recover(alias, now + HOUR)

        job.refresh_from_db()
        [attempt] = job.failed_attempts
        assert attempt.error.startswith("Worker lost")

    def test_of_a_job_that_succeeds_at_once_is_empty_and_costs_nothing(self, alias):
        job = schedule_job("0s", f"{PATH}nothing", max_attempts=3, using=alias)
        run(job)

        assert row_of(job)["failures"] is None

    def test_is_not_written_by_a_run_that_lost_its_row(self, alias, rows, now):
        job = schedule_job("0s", f"{PATH}write_and_raise", max_attempts=3, using=alias)
        mine = start(job.pk, 0, using=alias)
        recover(alias, now + HOUR)
        finish(mine)

        assert len(row_of(job)["failures"]) == 1

    def test_is_that_of_the_last_hundred_attempts(self, alias):
        job = schedule_job("0s", f"{PATH}write_and_raise", max_attempts=1000, retry_backoff=0.001, using=alias)
        for _ in range(MOST_FAILURES + 2):
            run(job)

        assert [each["number"] for each in row_of(job)["failures"]] == [*range(3, MOST_FAILURES + 3)]


def test_a_slot_that_is_over_before_the_next_attempt_fails_the_job_and_keeps_its_traceback(alias, rows):
    job = schedule_job("0s", f"{PATH}write_and_raise", max_attempts=3, expires="1h", using=alias)
    run(job)
    rows.expire(timezone.now() + timedelta(hours=2))

    row = row_of(job)
    assert row["status"] == "failed"
    assert "ValueError: boom" in row["error"] and row["error"].endswith(NOT_TRIED_AGAIN)
