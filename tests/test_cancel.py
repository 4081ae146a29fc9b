"""Cancel: what waits ends at once, what runs is asked to stop, and may be killed."""

import threading

import pytest
from django.db import connections, transaction
from django.utils import timezone

from django_future_celery import schedule_job
from django_future_celery.clock import SECOND
from django_future_celery.dispatcher import tick
from django_future_celery.exceptions import BrokerLost
from django_future_celery.recovery import cancel_message, record_death, recover
from django_future_celery.runner import finish, run_job, start
from tests.factories import due_job, row_of
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

PATH = "tests.shop.jobs."
HOUR = 3600 * SECOND


def running(alias, name="nothing", **options):
    job = schedule_job("0s", PATH + name, using=alias, **options)
    return start(job.pk, 0, using=alias, task_id="message")


class TestAWaitingJob:
    def test_ends_at_once(self, alias):
        job = due_job(alias)

        assert job.cancel() is True
        row = row_of(job)
        assert (row["status"], row["wake_at"]) == ("cancelled", None)
        assert row["cancel_requested_at"] and row["error"]

    def test_ends_also_with_a_message_out(self, alias, rows, now):
        job = due_job(alias)
        rows.lease([job], now)

        assert job.cancel() is True
        assert run_job(job.pk, 0, using=alias) is None
        assert row_of(job)["dispatched_at"] is None

    def test_is_not_marked_to_be_terminated(self, alias):
        job = due_job(alias)
        job.cancel(terminate=True)

        assert row_of(job)["terminate"] is False


class TestARunningJob:
    def test_goes_on_and_can_read_that_it_is_to_stop(self, alias):
        run = running(alias)
        assert run.job.cancel_requested() is False

        assert run.job.cancel() is False
        assert run.job.cancel_requested() is True
        assert row_of(run.job)["status"] == "running"

    def test_is_complete_if_it_returns(self, alias):
        run = running(alias)
        run.job.cancel()

        assert finish(run).job.status == "complete"

    @pytest.mark.parametrize(("name", "attempts"), [("write_and_raise", 5), ("write_and_raise", 1), ("give_up", 5)])
    def test_is_cancelled_if_it_raises_whatever_attempts_are_left(self, alias, name, attempts):
        run = running(alias, name, max_attempts=attempts)
        run.job.cancel()
        finish(run)

        row = row_of(run.job)
        assert (row["status"], row["wake_at"]) == ("cancelled", None)
        assert row["error"].startswith("Traceback")

    def test_is_cancelled_if_it_is_lost(self, alias, now):
        run = running(alias, max_attempts=5)
        run.job.cancel()
        recover(alias, now + HOUR)

        assert row_of(run.job)["status"] == "cancelled"
        assert row_of(run.job)["error"].startswith("Worker lost")

    def test_is_also_to_stop_when_its_row_was_taken(self, alias, rows, now):
        run = running(alias, max_attempts=2)
        recover(alias, now + HOUR)

        assert run.job.cancel_requested() is True

    def test_sees_the_flag_while_it_runs(self, alias):
        for then, status in [("return", "complete"), ("raise", "cancelled")]:
            job = schedule_job("0s", f"{PATH}work_until_told_to_stop", args=[then], max_attempts=3, using=alias)

            def work(job=job):
                run_job(job.pk, 0, using=alias)
                connections[alias].close()

            worker = threading.Thread(target=work)
            worker.start()
            wait_until(lambda job=job: row_of(job)["status"] == "running", what="the start")
            job.cancel()
            worker.join(30)

            assert row_of(job)["status"] == status


class TestAJobThatEnded:
    def test_stays_as_it_is(self, alias):
        run = running(alias)
        finish(run)
        before = row_of(run.job)

        assert run.job.cancel() is False
        assert row_of(run.job) == before


def test_a_queryset_cancels_what_waits_and_asks_what_runs(alias, rows):
    waiting, run = due_job(alias), running(alias)
    ended = finish(running(alias)).job

    assert rows.cancel() == 2
    statuses = [row_of(job)["status"] for job in (waiting, run.job, ended)]
    assert statuses == ["cancelled", "running", "complete"]
    assert run.job.cancel_requested()


class TestTermination:
    def test_is_told_to_the_broker_at_the_next_tick_and_once(self, alias):
        run, other = running(alias), running(alias)
        run.job.cancel(terminate=True)
        other.job.cancel()
        told = []
        for _ in range(2):
            tick(print, alias, told.append)

        assert [(job.pk, job.task_id) for job in told] == [(run.job.pk, "message")]

    def test_waits_for_a_broker_that_is_away(self, alias):
        run = running(alias)
        run.job.cancel(terminate=True)

        def away(job):
            raise BrokerLost("gone")

        tick(print, alias, away)
        told = []
        tick(print, alias, told.append)
        assert [job.pk for job in told] == [run.job.pk]

    def test_that_cannot_be_told_keeps_no_other_job_waiting(self, alias, caplog):
        run, waiting, sent = running(alias), due_job(alias), []
        run.job.cancel(terminate=True)

        def refuse(job):
            raise ValueError("no such command")

        tick(sent.extend, alias, refuse)
        tick(sent.extend, alias, refuse)

        assert [job.pk for job in sent] == [waiting.pk]
        assert caplog.text.count("cannot be terminated; it was asked to stop") == 1

    def test_of_a_job_that_holds_its_own_row_keeps_no_tick_waiting(self, alias, vendor):
        if vendor == "sqlite":
            pytest.skip("one write lock")
        run, told = running(alias), []
        run.job.cancel(terminate=True)
        ticker = threading.Thread(target=lambda: (tick(print, alias, told.append), connections[alias].close()))
        with transaction.atomic(using=alias):
            type(run.job).objects.using(alias).filter(pk=run.job.pk).update(queue="held")
            ticker.start()
            ticker.join(20)
            assert not ticker.is_alive()

        assert [job.pk for job in told] == [run.job.pk]
        assert row_of(run.job)["terminate"] is True

    def test_stays_asked_for_when_somebody_only_cancels_after_it(self, alias):
        run = running(alias)
        run.job.cancel(terminate=True)
        run.job.cancel()

        assert row_of(run.job)["terminate"] is True


class TestTheDeathOfAProcess:
    def test_ends_its_run_at_once(self, alias):
        run = running(alias)

        assert record_death(alias, "message", "Worker lost: it was killed.") == 1
        row = row_of(run.job)
        assert row["status"] == "failed"
        assert row["error"].startswith("Worker lost: it was killed.") and row["worker"] in row["error"]

    def test_lets_attempts_that_are_left_be_made(self, alias):
        run = running(alias, max_attempts=2)
        record_death(alias, "message", "Worker lost.")

        assert row_of(run.job)["status"] == "scheduled"

    def test_that_somebody_wanted_cancels_the_job(self, alias):
        run = running(alias, max_attempts=2)
        record_death(alias, "message", "Terminated.", terminated=True)

        assert row_of(run.job)["status"] == "cancelled"

    def test_ends_the_run_of_a_message_with_several_jobs(self, alias):
        job = due_job(alias)
        start(job.pk, 0, using=alias, task_id=f"message.{job.pk}")
        other = due_job(alias)
        start(other.pk, 0, using=alias, task_id="message2")
        record_death(alias, "message", "Worker lost.")

        assert (row_of(job)["status"], row_of(other)["status"]) == ("failed", "running")

    def test_changes_nothing_where_the_job_had_ended(self, alias):
        run = running(alias)
        finish(run)

        assert record_death(alias, "message", "Worker lost.") == 0
        assert row_of(run.job)["status"] == "complete"


class TestARevokedMessage:
    def test_cancels_the_job_that_waits_for_it(self, alias):
        job = due_job(alias)

        assert cancel_message(alias, "message", job.pk, 0) == 1
        assert row_of(job)["status"] == "cancelled"

    def test_asks_the_run_that_it_started_to_stop_and_no_other(self, alias):
        run = running(alias)

        assert cancel_message(alias, "another message", run.job.pk, 0) == 0
        assert run.job.cancel_requested() is False
        assert cancel_message(alias, "message", run.job.pk, 0) == 1
        assert run.job.cancel_requested() is True

    def test_cancels_the_job_whose_run_has_just_raised_and_is_to_be_tried_again(self, alias):
        run = running(alias, "write_and_raise", max_attempts=2)
        finish(run)

        assert cancel_message(alias, "message", run.job.pk, 0) == 1
        assert row_of(run.job)["status"] == "cancelled"

    def test_waits_a_moment_for_a_row_that_its_run_writes_to(self, alias, vendor):
        if vendor == "sqlite":
            pytest.skip("one write lock")
        run = running(alias, "write_and_raise", max_attempts=2)
        holds, goes_on = threading.Event(), threading.Event()

        def record():
            with transaction.atomic(using=alias):
                finish_in(alias, run)
                holds.set()
                goes_on.wait(10)
            connections[alias].close()

        recorder = threading.Thread(target=record)
        recorder.start()
        holds.wait(10)
        threading.Timer(0.1, goes_on.set).start()

        assert cancel_message(alias, "message", run.job.pk, 0) == 1
        recorder.join(10)
        assert row_of(run.job)["status"] == "cancelled"

    def test_changes_nothing_where_the_job_has_ended(self, alias):
        run = running(alias)
        finish(run)

        assert cancel_message(alias, "message", run.job.pk, 0) == 0
        assert row_of(run.job)["status"] == "complete"


def finish_in(alias, run):
    """Record a failed attempt inside the transaction of the caller."""
    rows = type(run.job).objects.using(alias)
    assert rows.try_again(run.job, "Traceback", timezone.now(), 1)
