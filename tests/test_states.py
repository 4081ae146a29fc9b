"""Every arrow of the state diagram, from every status: either it is in the diagram, or nothing changes."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from django_future_celery.clock import SECOND, to_micros
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import NOT_TRIED_AGAIN
from django_future_celery.states import END_STATES, Status
from tests.factories import MINUTE, due_job, job_in, row_of, started_job

pytestmark = pytest.mark.django_db(databases="__all__")

S = Status


def lease(rows, job, now):
    rows.lease([job], now)


def start(rows, job, now):
    rows.start(job.pk, job.attempts, worker="host:2", task_id="")


def put_off(rows, job, now):
    rows.put_off([job], now)


def renew(rows, job, now):
    rows.renew([(job.pk, job.attempts)])


def complete(rows, job, now):
    rows.complete(job, "late result", timezone.now())


def fail(rows, job, now):
    rows.fail(job, "late error", timezone.now())


def try_again(rows, job, now):
    rows.try_again(job, "late error", timezone.now(), now + SECOND)


def expire(rows, job, now):
    rows.filter(pk=job.pk).expire(timezone.now() + timedelta(days=1))


def cancel(rows, job, now):
    rows.filter(pk=job.pk).cancel()


def edit(rows, job, now):
    job.priority = 7
    rows.edit(job, job.due_at)


def wait_for_code(rows, job, now):
    rows.start(job.pk, job.attempts, worker="host:2", task_id="", missing=lambda job: "no code")


def stop(rows, job, now):
    rows.stop(job, "late stop", timezone.now())


def give_back(rows, job, now):
    rows.give_back(job, "no code", now)


#: arrow: the statuses it leads from, each with the one it leads to
DIAGRAM = {
    lease: {S.SCHEDULED: S.SCHEDULED},
    put_off: {S.SCHEDULED: S.SCHEDULED},
    edit: {S.SCHEDULED: S.SCHEDULED},
    wait_for_code: {S.SCHEDULED: S.SCHEDULED},
    start: {S.SCHEDULED: S.RUNNING},
    expire: {S.SCHEDULED: S.EXPIRED},
    cancel: {S.SCHEDULED: S.CANCELLED, S.RUNNING: S.RUNNING},
    renew: {S.RUNNING: S.RUNNING},
    complete: {S.RUNNING: S.COMPLETE},
    fail: {S.RUNNING: S.FAILED},
    try_again: {S.RUNNING: S.SCHEDULED},
    give_back: {S.RUNNING: S.SCHEDULED},
    stop: {S.RUNNING: S.CANCELLED},
}


@pytest.mark.parametrize("status", list(S))
@pytest.mark.parametrize("arrow", DIAGRAM, ids=lambda arrow: arrow.__name__)
def test_an_arrow_leads_from_its_own_statuses_and_does_nothing_elsewhere(alias, rows, now, arrow, status):
    job = job_in(status, alias, wake_at=1)
    before = row_of(job)

    arrow(rows, job, now)

    after = row_of(job)
    if status in DIAGRAM[arrow]:
        assert after["status"] == DIAGRAM[arrow][status]
        assert after != before
    else:
        assert after == before


@pytest.mark.parametrize("status", sorted(END_STATES))
def test_an_ended_row_sleeps_and_frees_its_unique_key(alias, status):
    row = row_of(job_in(status, alias, unique_key="mine"))

    assert (row["wake_at"], row["dispatched_at"], row["unique_key"]) == (None, None, None)


@pytest.mark.parametrize("status", [S.EXPIRED, S.CANCELLED, S.FAILED])
def test_every_bad_end_has_a_reason(alias, status):
    assert row_of(job_in(status, alias))["error"]


def test_every_insert_wakes_at_the_start_of_the_slot(alias, rows):
    saved = due_job(alias)
    [created] = rows.bulk_create([ScheduledJob(callable_name="a.b", time_slot_start=saved.time_slot_start)])

    for job in (saved, created):
        assert rows.get(pk=job.pk).wake_at == to_micros(job.time_slot_start)


def test_the_database_refuses_a_waiting_row_that_nobody_wakes(alias, rows):
    job = due_job(alias)
    with pytest.raises(IntegrityError), transaction.atomic(using=alias):
        rows.filter(pk=job.pk).update(wake_at=None)


class TestStart:
    def test_counts_the_attempt_and_takes_a_lease(self, alias, now, settings):
        job = started_job(alias)
        row = row_of(job)

        assert (row["status"], row["attempts"], row["worker"], row["task_id"]) == ("running", 1, "host:1", "task")
        assert now + 55 * SECOND < row["wake_at"] < now + 65 * SECOND
        assert (job.status, job.attempts) == ("running", 1)

    def test_is_won_once(self, alias, rows):
        job = due_job(alias)
        first = rows.start(job.pk, 0, worker="a", task_id="")
        second = rows.start(job.pk, 0, worker="b", task_id="")

        assert (first.worker, second, row_of(job)["worker"]) == ("a", None, "a")

    def test_needs_the_attempts_of_the_message(self, alias, rows):
        job = due_job(alias, attempts=1, max_attempts=3)

        assert rows.start(job.pk, 0, worker="", task_id="") is None
        assert rows.start(job.pk, 2, worker="", task_id="") is None
        assert rows.start(job.pk, 1, worker="", task_id="").attempts == 2

    def test_never_comes_early(self, alias, rows):
        job = due_job(alias, time_slot_start=timezone.now() + MINUTE)

        assert rows.start(job.pk, 0, worker="", task_id="") is None
        assert row_of(job)["status"] == "scheduled"

    def test_after_the_slot_expires_the_job(self, alias, rows):
        job = due_job(alias, time_slot_end=timezone.now() - timedelta(seconds=1))

        assert rows.start(job.pk, 0, worker="", task_id="") is None
        assert row_of(job)["status"] == "expired"

    def test_after_the_slot_fails_a_job_that_was_started_before(self, alias, rows):
        job = due_job(alias, attempts=1, error="Traceback", time_slot_end=timezone.now() - timedelta(seconds=1))

        assert rows.start(job.pk, 1, worker="", task_id="") is None
        row = row_of(job)
        assert (row["status"], row["error"]) == ("failed", f"Traceback\n{NOT_TRIED_AGAIN}")

    def test_takes_another_now_for_the_slot_only(self, alias, rows, now):
        job = due_job(alias, time_slot_start=timezone.now() + MINUTE)

        started = rows.start(job.pk, 0, worker="", task_id="", now=timezone.now() + 2 * MINUTE)

        assert row_of(job)["wake_at"] < now + 65 * SECOND
        assert abs(started.execution_start - timezone.now()) < timedelta(seconds=30)

    def test_has_no_end_of_the_slot_where_there_is_none(self, alias, rows):
        job = due_job(alias, time_slot_start=timezone.now() - timedelta(days=3000), time_slot_end=None)

        assert rows.start(job.pk, 0, worker="", task_id="") is not None


class TestEnd:
    @pytest.mark.parametrize(
        "arrow", [complete, fail, try_again, renew, give_back, stop], ids=lambda arrow: arrow.__name__
    )
    def test_is_refused_to_an_earlier_run(self, alias, rows, now, arrow):
        """The fence: a run that lost its row to a later one may not write to it."""
        late = started_job(alias, max_attempts=2)
        rows.try_again(rows.get(pk=late.pk), "lost", timezone.now(), now)
        rows.start(late.pk, 1, worker="host:2", task_id="")
        before = row_of(late)

        arrow(rows, late, now)

        assert row_of(late) == before

    def test_of_a_deleted_row_is_refused(self, alias, rows):
        job = started_job(alias)
        rows.filter(pk=job.pk).delete()

        assert rows.complete(job, "", timezone.now()) is False

    def test_that_lost_leaves_the_instance_as_it_was(self, alias, rows):
        job = started_job(alias)
        rows.fail(rows.get(pk=job.pk), "lost", timezone.now())

        assert rows.complete(job, "", timezone.now()) is False
        assert job.status == "running"


class TestLease:
    def test_keeps_other_ticks_away_until_it_is_over(self, alias, rows, now):
        job = due_job(alias)
        rows.lease([job], now)

        assert not rows.woken(now + 59 * SECOND)
        assert rows.woken(now + 60 * SECOND).get().pk == job.pk

    def test_grows_with_each_message_that_nobody_started(self, alias, rows, now):
        job = due_job(alias)
        waits = []
        for _ in range(8):
            [job] = rows.lease([rows.get(pk=job.pk)], now)
            wake_at = row_of(job)["wake_at"]
            waits.append((wake_at - now) // SECOND)
            now = wake_at

        assert waits == [60, 120, 240, 480, 960, 1920, 1920, 1920]

    def test_is_taken_once(self, alias, rows, now):
        job = due_job(alias)

        assert rows.lease([job], now) == [job]
        assert rows.lease([job], now) == []

    def test_release_makes_the_row_due_as_before(self, alias, rows, now):
        job, other = due_job(alias), due_job(alias)
        before = row_of(job)
        rows.lease([job, other], now)

        assert rows.release([job]) == 1
        assert row_of(job) == before
        assert row_of(other)["dispatched_at"] is not None

    def test_release_leaves_a_job_alone_that_was_started_meanwhile(self, alias, rows, now):
        job = due_job(alias)
        rows.lease([job], now)
        rows.start(job.pk, 0, worker="", task_id="")
        before = row_of(job)

        assert rows.release([job]) == 0
        assert row_of(job) == before


class TestSave:
    def test_of_a_stored_job_never_writes_what_belongs_to_its_run(self, alias, rows):
        stale = due_job(alias)
        rows.start(stale.pk, 0, worker="host:2", task_id="")
        before = row_of(stale)

        with pytest.raises(RuntimeError, match="does not wait any more"):
            stale.save()

        assert row_of(stale) == before

    def test_moves_the_wake_up_with_the_slot(self, alias, rows, now):
        job = due_job(alias)
        rows.lease([job], now)
        job.time_slot_start = timezone.now() + 5 * MINUTE
        job.save()

        row = row_of(job)
        assert row["wake_at"] == to_micros(row["time_slot_start"]) == job.due_at
        assert row["dispatched_at"] is None

    def test_of_the_priority_alone_keeps_the_lease(self, alias, rows, now):
        job = due_job(alias)
        rows.lease([job], now)
        before = row_of(job)
        job.priority = 9
        job.save()

        assert row_of(job) == before | {"priority": 9}

    def test_refuses_other_columns_by_name(self, alias):
        job = due_job(alias)
        with pytest.raises(RuntimeError, match="status"):
            job.save(update_fields=["status"])


def test_next_wake_is_the_earliest_over_all_priorities(alias, rows, now):
    start = timezone.now()
    due_job(alias)
    due_job(alias, priority=5, time_slot_start=start + 5 * MINUTE)
    soon = due_job(alias, priority=-5, time_slot_start=start + 2 * MINUTE)
    due_job(alias, priority=-5, time_slot_start=start + 3 * MINUTE)

    assert list(rows.priorities()) == [5, 0, -5]
    assert rows.next_wake(after=now) == soon.due_at
    assert rows.next_wake(after=now + 3600 * SECOND) is None
