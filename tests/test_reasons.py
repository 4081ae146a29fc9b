"""Why a job has not run yet, in one sentence for each way to wait."""

from datetime import datetime, timedelta

import pytest
from django.db import connections
from django.utils import timezone, translation
from django.utils.formats import localize

from django_future_celery import schedule_job
from django_future_celery.clock import SECOND, to_datetime
from django_future_celery.models import ScheduledJob
from django_future_celery.states import Status
from tests.factories import MINUTE, due_job, job_in, started_job

pytestmark = pytest.mark.django_db(databases="__all__")

HOUR = timedelta(hours=1)


def told(moment):
    return localize(timezone.template_localtime(moment))


def wake(job):
    return to_datetime(job.wake_at)


@pytest.fixture(autouse=True)
def plain_times():
    """English with times such as 13:00, which end in no full stop of their own."""
    with translation.override("en-ie"):
        yield


@pytest.fixture
def due(alias):
    return due_job(alias, max_attempts=3)


def sent(rows, job, now):
    assert rows.lease([job], now)
    return rows.get(pk=job.pk)


def test_a_job_before_its_slot_says_when_it_is_due(alias):
    job = schedule_job("5d", "tests.shop.jobs.note", using=alias)

    assert job.why_not_yet() == f"It is not due until {told(job.time_slot_start)}."


def test_a_job_that_is_just_due_waits_for_the_next_tick(due):
    assert (
        due.why_not_yet(due.time_slot_start)
        == f"It has been due since {told(due.time_slot_start)}: the next tick sends it."
    )


def test_a_job_that_no_tick_has_sent_for_long_asks_for_beat_and_broker(due):
    assert due.why_not_yet() == (
        f"It has been due since {told(due.time_slot_start)}, and no tick has sent it: "
        "is a beat running, and does the broker answer?"
    )


def test_a_job_behind_a_full_window_waits_for_room(alias, rows, now, due, settings):
    settings.FUTURE_CELERY_WINDOW = 2
    sent(rows, due_job(alias), now)
    assert "waits for room" not in due.why_not_yet()
    sent(rows, due_job(alias), now)

    assert due.why_not_yet().endswith("waits for room: 2 jobs are with the broker already.")


def test_a_window_that_has_room_for_more_short_jobs_is_not_full_before(alias, rows, now, due, settings):
    settings.FUTURE_CELERY_WINDOW = 1
    done = job_in(Status.COMPLETE, alias)
    rows.filter(pk=done.pk).update(execution_end=done.execution_start)
    for _ in range(3):
        sent(rows, due_job(alias), now)
    assert "waits for room" not in due.why_not_yet()
    sent(rows, due_job(alias), now)

    assert due.why_not_yet().endswith("waits for room: 4 jobs are with the broker already.")


def test_a_full_window_is_found_without_counting_beyond_it(alias, due, settings, django_assert_num_queries):
    settings.FUTURE_CELERY_WINDOW = 1
    with django_assert_num_queries(1, connection=connections[alias]) as queries:
        due.why_not_yet(due.time_slot_start + HOUR)

    assert "LIMIT 4" in queries[0]["sql"]


def test_a_sent_job_waits_for_a_worker(rows, now, due):
    job = sent(rows, due, now)

    assert job.why_not_yet() == f"It was sent on {told(job.dispatched_at)}, and no worker has started it yet."


def test_a_sent_job_names_its_queue(alias, rows, now):
    job = sent(rows, due_job(alias, queue="slow"), now)

    assert "to the queue slow" in job.why_not_yet()


def test_a_job_that_was_sent_again_and_again_asks_for_a_worker(rows, now, due):
    job = sent(rows, due, now)
    job = sent(rows, job, job.wake_at)

    assert job.why_not_yet() == (
        f"It was sent 2 times, last on {told(job.dispatched_at)}, and no worker has started it: is one at work on its "
        f"queue? It is sent again on {told(wake(job))}."
    )


def test_a_job_without_its_code_says_so_with_the_reason_redacted(rows, due):
    missing = "shop.jobs\nhas no token=hunter2"
    assert rows.start(due.pk, 0, worker="w", task_id="", missing=lambda job: missing) is None
    job = rows.get(pk=due.pk)

    assert job.why_not_yet() == (
        f"It has waited since {told(job.unknown_since)} for a worker that has its code "
        f"(shop.jobs has no token={'*' * 20}); asked again on {told(wake(job))}."
    )


def test_a_job_between_two_attempts_says_when_the_next_one_is_due(alias, rows, now):
    job = started_job(alias, max_attempts=3)
    assert rows.try_again(job, "boom", timezone.now(), now + 1000 * SECOND)
    job = rows.get(pk=job.pk)

    assert job.why_not_yet() == f"Attempt 1 of 3 failed; the next one is due on {told(wake(job))}."
    assert "no tick has sent it" in job.why_not_yet(wake(job) + MINUTE)


def test_a_job_whose_start_comes_twice_is_looked_at_again(rows, now, due):
    rows.filter(pk=due.pk).update(wake_at=now + 1000 * SECOND)
    job = rows.get(pk=due.pk)

    assert job.why_not_yet() == f"A tick looks at it again on {told(wake(job))}."


def test_a_waiting_job_after_its_slot_is_about_to_be_ended(due):
    later = due.time_slot_end + MINUTE

    assert due.why_not_yet(later) == f"Its slot ended on {told(due.time_slot_end)}: the next tick ends it."


def test_a_running_job_says_since_when(alias, rows):
    job = started_job(alias)
    assert job.why_not_yet() == f"It has been running since {told(job.execution_start)}."
    rows.filter(pk=job.pk).cancel()
    job = rows.get(pk=job.pk)

    assert job.why_not_yet().endswith(f"and was asked to stop on {told(job.cancel_requested_at)}.")


def test_a_run_without_a_sign_of_life_is_about_to_be_ended(alias):
    job = started_job(alias)

    assert f"last sign of life on {told(job.execution_start)}: the next tick" in job.why_not_yet(wake(job) + MINUTE)


@pytest.mark.parametrize(
    ("status", "columns", "sentence"),
    [
        (Status.COMPLETE, {}, "It was completed on {0.execution_end}."),
        (Status.FAILED, {}, "Attempt 1 of 1 failed on {0.execution_end}, and there is none after it."),
        (Status.EXPIRED, {}, "Its slot ended on {0.time_slot_end}, before a worker could start it."),
        (Status.CANCELLED, {}, "It was cancelled on {0.cancel_requested_at}."),
    ],
)
def test_an_ended_job_says_how_it_ended(alias, status, columns, sentence):
    job = job_in(status, alias, **columns)

    assert job.why_not_yet() == sentence.format(Told(job))


def test_a_job_that_cancelled_itself_ended_with_its_run(alias, rows):
    job = started_job(alias)
    assert rows.stop(job, "JobCancelled", timezone.now())

    assert job.why_not_yet() == f"It was cancelled on {told(job.execution_end)}."


def test_a_job_that_waited_too_long_for_its_code_was_never_started(rows, due, settings):
    settings.FUTURE_CELERY_UNKNOWN_CALLABLE_GRACE = 0.001
    rows.filter(pk=due.pk).update(unknown_since=timezone.now() - HOUR)
    rows.start(due.pk, 0, worker="w", task_id="", missing=lambda job: "no code")

    assert rows.get(pk=due.pk).why_not_yet() == "It failed before it was ever started."


def test_a_row_that_was_written_by_hand_has_a_sentence_too():
    assert ScheduledJob(status=Status.COMPLETE).why_not_yet(timezone.now()) == "It was completed on an unknown day."


def test_a_time_that_ends_in_a_full_stop_needs_no_other(due, settings):
    nine = datetime(2030, 1, 1, 9)
    due.time_slot_start, due.time_slot_end = timezone.make_aware(nine) if settings.USE_TZ else nine, None
    with translation.override("en-us"):
        assert due.why_not_yet(due.time_slot_start - HOUR) == "It is not due until Jan. 1, 2030, 9 a.m."


def test_times_are_written_as_the_reader_is_used_to(due):
    with translation.override("de"):
        assert told(due.time_slot_start) in due.why_not_yet(due.time_slot_start)


class Told:
    """A job whose times are text."""

    def __init__(self, job):
        self.job = job

    def __getattr__(self, name):
        return told(getattr(self.job, name))
