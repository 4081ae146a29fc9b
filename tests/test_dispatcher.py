"""A tick: claim what is due, hand it over, recover what is lost. The publish function is a list's ``extend``."""

import re
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_future_celery import heartbeat, querysets, runner, schedule_job
from django_future_celery.clock import SECOND, database_now, to_datetime, to_micros
from django_future_celery.dispatcher import AHEAD, FEW, MOST_REFUSED, databases, send, take_due, tick, tick_all
from django_future_celery.exceptions import BrokerAway, BrokerLost
from django_future_celery.models import ScheduledJob
from django_future_celery.recovery import recover
from django_future_celery.runner import run_job
from django_future_celery.sizes import LATEST
from django_future_celery.states import Status
from tests.factories import MINUTE, due_job, row_of, started_job
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__")

with_commits = pytest.mark.django_db(databases="__all__", transaction=True)


def pks(jobs):
    return [job.pk for job in jobs]


def edit(job, **changes):
    """Change a job that waits, as the admin does."""
    for name, value in changes.items():
        setattr(job, name, value)
    job.save()


def elsewhere(alias, function):
    """Call the function in another thread, which has a connection of its own."""
    results = []

    def call():
        try:
            results.append(function())
        finally:
            connections[alias].close()

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(30)
    [result] = results
    return result


def broken_after(number, sent, error=BrokerLost):
    """A publish function that delivers so many messages, then raises at each."""

    def publish(jobs):
        if len(sent) == number:
            raise error("gone")
        sent.extend(jobs)

    return publish


# -- what is sent -----------------------------------------------------------------------------------------------------


class TestTick:
    def test_sends_what_is_due_and_leaves_the_rest(self, alias):
        due, future = due_job(alias), due_job(alias, time_slot_start=timezone.now() + MINUTE)
        before, sent = row_of(future), []

        done = tick(sent.extend, alias)

        assert pks(sent) == [due.pk]
        assert (done.sent, done.over, done.more, done.broken) == (1, 0, False, False)
        assert row_of(future) == before

    def test_gives_the_publish_function_what_the_message_needs(self, alias):
        job = schedule_job("0s", "tests.shop.jobs.echo", args=[1], queue="slow", priority=5, using=alias)
        [sent] = ticked(alias)

        assert (sent.pk, sent.attempts, sent.queue, sent.priority) == (job.pk, 0, "slow", 5)
        assert (sent.callable_name, sent.args_text, sent._state.db) == ("tests.shop.jobs.echo", "[1]", alias)

    def test_marks_what_it_sent_and_keeps_the_status(self, alias, now):
        job = due_job(alias)
        ticked(alias)

        row = row_of(job)
        assert (row["status"], row["attempts"], row["dispatches"]) == ("scheduled", 0, 1)
        assert abs(to_micros(row["dispatched_at"]) - now) < 30 * SECOND
        assert abs(row["wake_at"] - now - 60 * SECOND) < 30 * SECOND

    def test_in_turn_with_another_sends_no_job_twice(self, alias):
        job = due_job(alias)

        assert pks(ticked(alias)) == [job.pk]
        assert ticked(alias) == []

    def test_sends_a_job_again_when_nobody_started_it_within_its_lease(self, alias, rows):
        job = due_job(alias)
        ticked(alias)
        rows.filter(pk=job.pk).update(wake_at=database_now(alias))

        [again] = ticked(alias)
        row = row_of(job)
        assert (again.pk, again.attempts) == (job.pk, 0)
        assert row["dispatches"] == 2
        assert row["wake_at"] > database_now(alias) + 100 * SECOND  # twice as long as the first time

    def test_sends_no_job_again_that_was_started(self, alias, rows):
        job = due_job(alias)
        [sent] = ticked(alias)
        rows.start(sent.pk, sent.attempts, worker="", task_id="")

        assert ticked(alias) == []
        assert row_of(job)["dispatched_at"] is None

    def test_sends_the_higher_priorities_first_and_then_by_start(self, alias):
        start = timezone.now() - MINUTE
        jobs = [
            due_job(alias, priority=priority, time_slot_start=start + timedelta(seconds=seconds))
            for priority, seconds in [(0, 2), (-100, 0), (0, 1), (100, 3), (7, 5), (0, 1)]
        ]

        assert pks(ticked(alias)) == pks(jobs[number] for number in (3, 4, 2, 5, 0, 1))

    def test_takes_the_higher_priorities_first_where_there_is_not_room_for_all(self, alias, settings):
        settings.FUTURE_CELERY_CLAIM_SIZE = 2
        low, normal, high = (due_job(alias, priority=priority) for priority in (-1, 0, 1))

        assert pks(ticked(alias)) == [high.pk, normal.pk]
        assert pks(ticked(alias)) == [low.pk]

    def test_ends_what_is_too_late(self, alias):
        start = timezone.now() - timedelta(hours=2)
        slot = {"time_slot_start": start, "time_slot_end": start + MINUTE}
        never, once = due_job(alias, **slot), due_job(alias, attempts=1, max_attempts=2, error="first", **slot)
        sent = []

        done = tick(sent.extend, alias)

        assert sent == []
        assert (done.sent, done.over) == (0, 2)
        assert [row_of(job)["status"] for job in (never, once)] == ["expired", "failed"]
        assert row_of(never)["error"].startswith("Expired")
        assert row_of(once)["error"].startswith("first\nNot tried again")

    def test_ends_what_was_sent_and_not_started_in_time(self, alias, rows):
        job = due_job(alias)
        ticked(alias)
        over = timezone.now() - timedelta(seconds=1)
        rows.filter(pk=job.pk).update(wake_at=database_now(alias), time_slot_end=over)

        assert ticked(alias) == []
        assert row_of(job)["status"] == "expired"

    def test_puts_off_what_was_moved_later_by_somebody_who_left_its_wake_up(self, alias, rows):
        start = timezone.now() + timedelta(hours=1)
        job = due_job(alias, time_slot_start=start, time_slot_end=None, wake_at=1)

        assert ticked(alias) == []
        row = row_of(job)
        assert row["wake_at"] == to_micros(row["time_slot_start"])
        assert (row["dispatched_at"], row["dispatches"]) == (None, 0)

    def test_puts_off_no_row_to_a_time_that_is_over(self, alias, rows, now):
        """Without time zones the hour that comes twice in autumn makes early what its time calls due."""
        job = due_job(alias)
        rows.put_off([job], now)

        assert row_of(job)["wake_at"] > now

    def test_sends_jobs_with_attempts_left_once_their_pause_is_over(self, alias, rows, now):
        pausing = due_job(alias, attempts=1, max_attempts=2, wake_at=now + 30 * SECOND)
        ready = due_job(alias, attempts=1, max_attempts=2, wake_at=now)

        [sent] = ticked(alias)
        assert (sent.pk, sent.attempts) == (ready.pk, 1)
        assert row_of(pausing)["dispatched_at"] is None

    def test_reads_neither_errors_nor_results(self, alias):
        due_job(alias, error="long " * 100)
        [sent] = ticked(alias)

        assert sent.get_deferred_fields() == {"error", "return_value"}

    def test_tells_what_it_did(self, alias, rows):
        due_job(alias)
        start = timezone.now() - timedelta(hours=2)
        due_job(alias, time_slot_start=start, time_slot_end=start)
        for most in (1, 2):
            lost = started_job(alias, max_attempts=most)
            rows.filter(pk=lost.pk).update(wake_at=1)

        assert str(tick([].extend, alias)) == "1 sent, 1 too late, 1 lost runs to be tried again, 1 failed"

    def test_of_nothing_writes_nothing(self, alias):
        due_job(alias, time_slot_start=timezone.now() + MINUTE)
        with CaptureQueriesContext(connections[alias]) as queries:
            ticked(alias)

        assert not [query["sql"] for query in queries if re.match("UPDATE|INSERT|DELETE", query["sql"])]


def ticked(alias):
    """What one tick sent."""
    sent = []
    tick(sent.extend, alias)
    return sent


def test_a_database_that_does_not_answer_keeps_no_other_waiting(settings, monkeypatch, caplog):
    aliases = settings.FUTURE_CELERY_DATABASES = list(settings.DATABASES)
    if len(aliases) == 1:
        pytest.skip("one database only")
    jobs, sent = [due_job(alias) for alias in aliases], []

    def no_answer(using):
        if using == aliases[0]:
            raise OperationalError("no route to host")
        return database_now(using)

    monkeypatch.setattr("django_future_celery.dispatcher.database_now", no_answer)
    ticks = tick_all(sent.extend)

    assert list(ticks) == aliases[1:]
    assert pks(sent) == pks(jobs[1:])
    assert "'default' does not answer: no route to host" in caplog.text


def test_the_databases_are_those_of_the_setting_or_the_routers_one(settings):
    assert list(databases()) == ["default"]

    settings.FUTURE_CELERY_DATABASES = ["b", "a"]
    assert list(databases()) == ["b", "a"]


# -- leases and commits -----------------------------------------------------------------------------------------------


@with_commits
def test_the_claim_is_committed_before_the_first_message_is_sent(alias):
    """Another connection sees it, so a worker that is quicker than this process finds what the message says."""
    jobs = [due_job(alias) for _ in range(3)]
    seen = []

    def publish(message):
        assert not connections[alias].in_atomic_block
        seen.append(elsewhere(alias, lambda: [row_of(each)["dispatches"] for each in jobs]))

    tick(publish, alias)

    assert seen == [[1, 1, 1]] * 3


@with_commits
def test_a_worker_that_is_quicker_than_the_tick_wins(alias):
    first, second = due_job(alias), due_job(alias)
    outcomes = []

    def publish(jobs):
        [job] = jobs
        outcomes.append(elsewhere(alias, lambda: run_job(job.pk, job.attempts, using=alias)))

    assert tick(publish, alias).sent == 2
    assert [outcome.job.pk for outcome in outcomes] == [first.pk, second.pk]
    assert {row_of(job)["status"] for job in (first, second)} == {"complete"}


@with_commits
def test_a_row_that_somebody_holds_is_passed_over(alias, vendor):
    if vendor == "sqlite":
        pytest.skip("SQLite has no row locks")
    held, free = due_job(alias), due_job(alias)
    with transaction.atomic(using=alias):
        ScheduledJob.objects.using(alias).select_for_update().get(pk=held.pk)
        assert pks(elsewhere(alias, lambda: ticked(alias))) == [free.pk]

    assert pks(ticked(alias)) == [held.pk]


@with_commits
def test_ticks_side_by_side_send_each_job_once(alias, settings):
    settings.FUTURE_CELERY_CLAIM_SIZE = 3
    jobs = [due_job(alias) for _ in range(30)]
    sent, gate = [], threading.Barrier(4)

    def beat():
        gate.wait(30)
        try:
            while len(sent) < len(jobs):
                tick(sent.extend, alias)
        finally:
            connections[alias].close()

    threads = [threading.Thread(target=beat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(pks(sent)) == pks(jobs)


class TestABrokenBroker:
    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_keeps_the_lease_of_the_message_that_raised_and_frees_those_after_it(self, alias, number):
        """That message may have been sent all the same."""
        jobs = [due_job(alias, priority=-each) for each in range(4)]
        before, sent = [row_of(job) for job in jobs], []

        done = tick(broken_after(number, sent), alias)

        after = [row_of(job) for job in jobs]
        assert pks(sent) == pks(jobs[:number])
        assert (done.sent, done.broken) == (number, True)
        assert [row["dispatches"] for row in after[: number + 1]] == [1] * (number + 1)
        assert after[number + 1 :] == before[number + 1 :]

    def test_frees_jobs_exactly_as_they_were(self, alias, rows, now):
        """Also one that was sent twice before, and one that is at its second attempt."""
        due_job(alias, priority=1)
        lost = due_job(alias, dispatches=2, dispatched_at=to_datetime(now - 300 * SECOND), wake_at=now - 60 * SECOND)
        second = due_job(alias, attempts=1, max_attempts=2, wake_at=now - 7)
        before = [row_of(job) for job in (lost, second)]
        claim = take_due(alias, database_now(alias))
        claim.ready.sort(key=lambda job: -job.priority)
        send(claim.ready, broken_after(0, []), alias)

        lost_now, second_now = (row_of(job) for job in (lost, second))
        assert second_now == before[1]
        # Its old message counts as gone: it is due again, at its old place in the order.
        assert lost_now == before[0] | {"dispatched_at": None}

    def test_leaves_a_job_alone_that_was_started_meanwhile(self, alias, rows):
        first, second = due_job(alias, priority=1), due_job(alias)

        def publish(jobs):
            rows.start(second.pk, 0, worker="quick", task_id="")
            raise BrokerLost

        tick(publish, alias)

        row = row_of(second)
        assert (row["status"], row["worker"]) == ("running", "quick")
        assert row["wake_at"] > database_now(alias)
        assert row_of(first)["dispatches"] == 1

    def test_is_told_in_the_log(self, alias, caplog):
        for _ in range(3):
            due_job(alias)
        tick(broken_after(0, []), alias)

        assert "2 jobs wait for the next tick: gone" in caplog.text

    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_that_was_not_even_reached_leaves_all_as_it_was(self, alias, number):
        """Also how long a job waits for its next message: none was sent."""
        jobs = [due_job(alias, priority=-each) for each in range(4)]
        before, sent = [row_of(job) for job in jobs], []
        for _ in range(3):
            done = tick(broken_after(number, sent, BrokerAway), alias)

        assert (done.sent, done.broken) == (0, True)
        assert [row_of(job) for job in jobs[number:]] == before[number:]

    def test_that_refuses_one_message_gets_the_others(self, alias, caplog):
        bad, *good = [due_job(alias, priority=-each) for each in range(4)]
        sent = []

        def publish(jobs):
            if bad in jobs:
                raise ValueError("this queue was declared in another way, token=hunter2")
            sent.extend(jobs)

        done = tick(publish, alias)

        assert (pks(sent), done.sent, done.broken) == (pks(good), 3, False)
        assert f"Could not send job {bad.pk}" in caplog.text and "in another way" in caplog.text
        assert "hunter2" not in caplog.text
        # What it did with the message nobody knows, so it has its lease.
        assert row_of(bad)["dispatches"] == 1

    def test_that_refuses_everything_is_left_alone_after_a_while(self, alias):
        jobs = [due_job(alias) for _ in range(MOST_REFUSED + 5)]

        done = tick(broken_after(0, [], ValueError), alias)

        assert (done.sent, done.broken) == (0, True)
        assert [row_of(job)["dispatches"] for job in jobs] == [1] * MOST_REFUSED + [0] * 5

    def test_that_is_back_gets_all_that_was_left(self, alias, rows):
        jobs = [due_job(alias, priority=-each) for each in range(3)]
        tick(broken_after(0, []), alias)
        assert pks(ticked(alias)) == pks(jobs[1:])

        rows.filter(pk=jobs[0].pk).update(wake_at=database_now(alias))
        assert pks(ticked(alias)) == [jobs[0].pk]

    def test_never_hides_the_end_of_this_process(self, alias):
        due_job(alias)

        def publish(jobs):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            tick(publish, alias)


@with_commits
class TestAhead:
    """A message may leave a moment before its job is due."""

    def at(self, alias, micros, **columns):
        moment = database_now(alias) + micros
        return due_job(alias, time_slot_start=to_datetime(moment), wake_at=moment, **columns)

    def test_what_is_about_to_be_due_is_sent(self, alias):
        job, _ = self.at(alias, AHEAD // 2), self.at(alias, 3600 * SECOND)

        assert pks(ticked(alias)) == [job.pk]

    @pytest.mark.parametrize(
        "columns",
        [{"attempts": 1, "max_attempts": 2}, {"dispatched_at": timezone.now(), "dispatches": 1}],
        ids=["a pause", "a lease"],
    )
    def test_what_lasts_is_kept_to_its_end(self, alias, columns):
        job = self.at(alias, AHEAD - 1000, **columns)
        done = tick([].extend, alias)

        assert (done.sent, done.wake) == (0, job.wake_at)

    def test_a_job_starts_when_it_is_due_and_not_before(self, alias):
        job = self.at(alias, AHEAD // 2)
        ticked(alias)
        run_job(job.pk, 0, using=alias)

        row = row_of(job)
        assert row["status"] == "complete"
        assert row["execution_start"] >= row["time_slot_start"]

    def test_nothing_is_called_before_its_instant(self, alias, monkeypatch):
        job, called = self.at(alias, AHEAD // 2), []
        monkeypatch.setattr(runner, "call", lambda *args: called.append(database_now(alias)))
        run_job(job.pk, 0, using=alias)

        assert called[0] >= job.due_at

    def test_one_statement_starts_the_row_a_moment_before_its_instant(self, alias, vendor, monkeypatch):
        monkeypatch.setattr(querysets, "AHEAD", SECOND)
        monkeypatch.setattr(runner, "HEAD_START", SECOND // 2)
        job, seen = self.at(alias, SECOND), []

        def sleep(seconds):
            seen.append(row_of(job)["status"])
            time.sleep(seconds)

        monkeypatch.setattr(runner, "time", SimpleNamespace(sleep=sleep))
        run_job(job.pk, 0, using=alias)

        assert seen == (["scheduled", "running"] if vendor == "postgresql" else ["scheduled"])
        assert row_of(job)["execution_start"] >= job.time_slot_start

    def test_the_end_of_the_process_during_the_wait_costs_no_job(self, alias, vendor, monkeypatch):
        monkeypatch.setattr(querysets, "AHEAD", SECOND)
        monkeypatch.setattr(runner, "HEAD_START", SECOND // 2)
        job, seen = self.at(alias, SECOND, dispatched_at=timezone.now(), dispatches=1), []

        def sleep(seconds):
            seen.append(row_of(job)["status"])
            if seen[-1] == "running" or vendor != "postgresql":
                raise KeyboardInterrupt
            time.sleep(seconds)

        monkeypatch.setattr(runner, "time", SimpleNamespace(sleep=sleep))
        with pytest.raises(KeyboardInterrupt):
            run_job(job.pk, 0, using=alias)

        row = row_of(job)
        assert (row["status"], row["max_attempts"] - row["attempts"]) == ("scheduled", 1)

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            (lambda job: job.cancel(), "cancelled"),
            (lambda job: edit(job, time_slot_start=job.time_slot_start + timedelta(hours=1)), "scheduled"),
            (lambda job: edit(job, time_slot_end=job.time_slot_end + timedelta(hours=1)), "complete"),
            (lambda job: edit(job, priority=7), "complete"),
            (lambda job: run_job(job.pk, 0, using=job.database, now=job.time_slot_start), "complete"),
        ],
        ids=["cancelled", "later", "longer", "more urgent", "run"],
    )
    def test_what_becomes_of_the_row_during_the_wait_counts(self, alias, monkeypatch, change, status):
        monkeypatch.setattr(querysets, "AHEAD", 60 * SECOND)
        job = self.at(alias, SECOND, dispatched_at=timezone.now(), dispatches=1)

        def sleep(seconds):
            monkeypatch.undo()
            change(job)
            time.sleep(seconds)

        monkeypatch.setattr(runner, "time", SimpleNamespace(sleep=sleep, monotonic_ns=time.monotonic_ns))
        run_job(job.pk, 0, using=alias)

        row = row_of(job)
        assert row["status"] == status
        assert row["attempts"] == (status == "complete")

    def test_a_start_does_not_wait_for_a_slot_that_was_moved(self, alias):
        job = self.at(alias, 60 * SECOND)

        assert run_job(job.pk, 0, using=alias) is None
        assert row_of(job)["status"] == "scheduled"


def test_a_tick_that_let_jobs_share_messages_looks_again_when_some_may_be_given_back(alias, settings):
    settings.FUTURE_CELERY_BATCH_SECONDS = 3
    for _ in range(FEW):
        due_job(alias)
    alone = tick([].extend, alias)
    for _ in range(FEW + 1):
        due_job(alias)
    shared = tick([].extend, alias)

    assert alone.wake > alone.now + 30 * SECOND
    assert shared.wake == shared.now + 4.5 * SECOND


class TestTheWindow:
    @pytest.fixture(autouse=True)
    def small(self, settings):
        settings.FUTURE_CELERY_WINDOW = 3
        settings.FUTURE_CELERY_CLAIM_SIZE = 2

    def test_bounds_what_is_with_the_broker(self, alias, rows):
        jobs = [due_job(alias, priority=-each) for each in range(5)]
        sent = []
        ends = [tick(sent.extend, alias) for _ in range(4)]

        assert pks(sent) == pks(jobs[:3])
        assert [end.sent for end in ends] == [2, 1, 0, 0]
        assert all(end.more for end in ends)
        assert all(end.full for end in ends)
        assert rows.sent().count() == 3

    def test_is_not_full_while_it_has_room_for_another_batch(self, alias, settings):
        settings.FUTURE_CELERY_WINDOW = 4
        for _ in range(7):
            due_job(alias)
        ends = [tick([].extend, alias) for _ in range(3)]

        assert [(end.sent, end.full) for end in ends] == [(2, False), (2, True), (0, True)]

    @pytest.mark.parametrize(
        ("lengths", "times"),
        [
            ([1], 4),
            ([0], 4),
            ([2.5], 4),
            ([5], 2),
            ([1, 9], 2),
            ([10], 1),
            ([3_600_000], 1),
            ([1] * LATEST + [20] * LATEST, 1),
            ([20] * LATEST + [1] * LATEST, 4),
        ],
    )
    def test_has_room_for_more_while_the_last_jobs_were_short(self, alias, rows, lengths, times):
        began = timezone.now() - 2 * timedelta(hours=1)
        for number, length in enumerate(lengths):
            start = began + timedelta(seconds=number)
            times_of_run = {"execution_start": start, "execution_end": start + timedelta(milliseconds=length)}
            rows.filter(pk=due_job(alias).pk).update(status=Status.COMPLETE, wake_at=None, **times_of_run)
        for _ in range(16):
            due_job(alias)
        ends = [tick([].extend, alias).sent for _ in range(4)]

        assert ends[0] == 2  # Nothing was out yet.
        assert ends[1] == min(2 * times, 3 * times - 2)
        assert sum(ends) == 3 * times

    def test_has_room_again_for_each_job_that_was_started(self, alias, rows):
        jobs = [due_job(alias, priority=-each) for each in range(5)]
        ticked(alias), ticked(alias)
        rows.start(jobs[1].pk, 0, worker="", task_id="")

        assert pks(ticked(alias)) == [jobs[3].pk]

    def test_has_room_again_for_each_job_that_was_cancelled(self, alias, rows):
        jobs = [due_job(alias, priority=-each) for each in range(4)]
        ticked(alias), ticked(alias)
        rows.filter(pk=jobs[0].pk).cancel()

        assert pks(ticked(alias)) == [jobs[3].pk]

    def test_that_is_full_still_lets_lost_messages_be_sent_again(self, alias, rows):
        """They are in the window already; else three lost messages would stop all jobs for ever."""
        jobs = [due_job(alias, priority=-each) for each in range(5)]
        ticked(alias), ticked(alias)
        rows.filter(pk__in=pks(jobs[:3])).update(wake_at=database_now(alias))

        again = ticked(alias) + ticked(alias)
        assert sorted(pks(again)) == pks(jobs[:3])
        assert rows.sent().count() == 3

    def test_never_sends_more_than_a_batch_at_once(self, alias, rows):
        jobs = [due_job(alias) for _ in range(3)]
        ticked(alias), ticked(alias)
        rows.filter(pk__in=pks(jobs)).update(wake_at=database_now(alias))
        due_job(alias, priority=100)

        assert len(ticked(alias)) == 2

    def test_says_that_nothing_is_left_when_nothing_is(self, alias):
        due_job(alias)

        assert tick([].extend, alias).more is False
        assert tick([].extend, alias).more is False


# -- lost runs --------------------------------------------------------------------------------------------------------


class TestLostRuns:
    def lost(self, alias, **columns):
        job = started_job(alias, **columns)
        ScheduledJob.objects.using(alias).filter(pk=job.pk).update(wake_at=database_now(alias) - SECOND)
        return job

    def test_are_ended_after_what_is_due_was_sent(self, alias):
        job, seen = self.lost(alias), []
        due_job(alias)
        tick(lambda due: seen.append(row_of(job)["status"]), alias)

        assert (seen, row_of(job)["status"]) == (["running"], "failed")

    def test_without_attempts_left_fail_and_name_the_worker(self, alias, caplog):
        job = self.lost(alias)
        done = tick([].extend, alias)

        row = row_of(job)
        assert (row["status"], row["wake_at"], done.recovered.failed) == ("failed", None, 1)
        assert row["error"].startswith("Worker lost: host:1 started this at ")
        assert row["execution_end"] is not None
        assert f"Job {job.pk}" in caplog.text

    def test_with_attempts_left_are_tried_again_after_a_pause(self, alias, rows):
        job = self.lost(alias, max_attempts=2)
        sent = []
        done = tick(sent.extend, alias)

        row = row_of(job)
        assert (row["status"], row["attempts"], done.recovered.again) == ("scheduled", 1, 1)
        assert "Worker lost: host:1" in row["error"]
        assert row["wake_at"] > database_now(alias) + 4 * SECOND
        assert sent == []

        rows.filter(pk=job.pk).update(wake_at=database_now(alias))
        assert [(each.pk, each.attempts) for each in ticked(alias)] == [(job.pk, 1)]

    def test_whose_slot_is_over_are_failed_by_the_next_tick(self, alias, rows):
        job = self.lost(alias, max_attempts=2)
        tick([].extend, alias)
        over = timezone.now() - timedelta(seconds=1)
        rows.filter(pk=job.pk).update(wake_at=database_now(alias), time_slot_end=over)
        tick([].extend, alias)

        row = row_of(job)
        assert row["status"] == "failed"
        assert "Worker lost" in row["error"] and "Not tried again" in row["error"]

    def test_are_only_those_whose_lease_is_over(self, alias):
        job = started_job(alias)
        before = row_of(job)
        tick([].extend, alias)

        assert row_of(job) == before

    def test_are_taken_a_batch_at_a_time(self, alias, settings):
        settings.FUTURE_CELERY_CLAIM_SIZE = 2
        jobs = [self.lost(alias) for _ in range(3)]
        counts = [recover(alias, database_now(alias)).failed for _ in range(3)]

        assert counts == [2, 1, 0]
        assert {row_of(job)["status"] for job in jobs} == {"failed"}

    def test_that_come_back_find_their_row_taken(self, alias, rows):
        job = self.lost(alias, max_attempts=2)
        tick([].extend, alias)
        rows.filter(pk=job.pk).update(wake_at=database_now(alias))
        rows.start(job.pk, 1, worker="host:2", task_id="")

        assert rows.complete(job, "late", timezone.now()) is False
        assert row_of(job)["worker"] == "host:2"

    @with_commits
    def test_that_hold_their_row_are_passed_over(self, alias, vendor):
        if vendor == "sqlite":
            pytest.skip("SQLite has no row locks")
        held, free = self.lost(alias), self.lost(alias)
        with transaction.atomic(using=alias):
            ScheduledJob.objects.using(alias).select_for_update().get(pk=held.pk)
            assert elsewhere(alias, lambda: recover(alias, database_now(alias))).failed == 1

        assert [row_of(job)["status"] for job in (held, free)] == ["running", "failed"]


# -- heartbeat --------------------------------------------------------------------------------------------------------


@contextmanager
def no_runs():
    """The runs of this process are those of the test."""
    before = set(heartbeat._runs)
    heartbeat._runs.clear()
    try:
        yield
    finally:
        heartbeat._runs.clear()
        heartbeat._runs.update(before)


@with_commits
class TestHeartbeat:
    @pytest.fixture(autouse=True)
    def alone(self):
        with no_runs():
            yield

    def nearly_over(self, *jobs):
        for job in jobs:
            rows = ScheduledJob.objects.using(job._state.db)
            rows.filter(pk=job.pk).update(wake_at=database_now(job._state.db) + SECOND)

    def renewed(self, job):
        return row_of(job)["wake_at"] > database_now(job._state.db) + 30 * SECOND

    def test_renews_the_runs_of_this_process_and_no_others(self, alias):
        mine, other = started_job(alias), started_job(alias)
        self.nearly_over(mine, other)
        with heartbeat.beating(mine):
            heartbeat.renew_all()

        assert (self.renewed(mine), self.renewed(other)) == (True, False)

    def test_changes_nothing_but_the_lease(self, alias):
        job = started_job(alias)
        before = row_of(job)
        self.nearly_over(job)
        with heartbeat.beating(job):
            heartbeat.renew_all()

        assert {name for name, value in row_of(job).items() if value != before[name]} == {"wake_at"}

    def test_ends_with_the_run(self, alias):
        job = started_job(alias)
        with pytest.raises(ValueError), heartbeat.beating(job):
            raise ValueError
        self.nearly_over(job)
        heartbeat.renew_all()

        assert not self.renewed(job)

    def test_leaves_a_row_alone_that_a_later_run_owns(self, alias, rows):
        late = started_job(alias, max_attempts=2)
        rows.try_again(rows.get(pk=late.pk), "lost", timezone.now(), 0)
        rows.start(late.pk, 1, worker="host:2", task_id="")
        self.nearly_over(late)
        before = row_of(late)
        with heartbeat.beating(late):
            heartbeat.renew_all()

        assert row_of(late) == before

    def test_tells_the_attempts_of_a_job_apart(self, alias, rows):
        """In a pool of threads one may still be at an attempt that was given up."""
        given_up = started_job(alias, max_attempts=2)
        rows.try_again(rows.get(pk=given_up.pk), "lost", timezone.now(), 0)
        job = rows.start(given_up.pk, 1, worker="host:2", task_id="")
        self.nearly_over(job)
        with heartbeat.beating(job), heartbeat.beating(given_up):
            heartbeat.renew_all()

        assert self.renewed(job)

    def test_leaves_ended_and_deleted_rows_alone(self, alias, rows):
        ended, deleted = started_job(alias), started_job(alias)
        with heartbeat.beating(ended), heartbeat.beating(deleted):
            rows.fail(rows.get(pk=ended.pk), "lost", timezone.now())
            rows.filter(pk=deleted.pk).delete()
            before = row_of(ended)
            heartbeat.renew_all()

        assert row_of(ended) == before

    def test_renews_all_runs_with_one_update(self, alias):
        jobs = [started_job(alias) for _ in range(3)]
        self.nearly_over(*jobs)
        with heartbeat.beating(jobs[0]), heartbeat.beating(jobs[1]), heartbeat.beating(jobs[2]):
            with CaptureQueriesContext(connections[alias]) as queries:
                runs = [(job.pk, job.attempts) for job in jobs]
                ScheduledJob.objects.using(alias).renew(runs)
            heartbeat.renew_all()

        assert [query["sql"].startswith("UPDATE") for query in queries].count(True) == 1
        assert all(self.renewed(job) for job in jobs)

    def test_is_not_stalled_by_a_row_that_somebody_holds(self, alias, vendor):
        if vendor == "sqlite":
            pytest.skip("SQLite has no row locks")
        held, free = started_job(alias), started_job(alias)
        self.nearly_over(held, free)
        with heartbeat.beating(held), heartbeat.beating(free), transaction.atomic(using=alias):
            ScheduledJob.objects.using(alias).select_for_update().get(pk=held.pk)
            elsewhere(alias, heartbeat.renew_all)

        assert (self.renewed(held), self.renewed(free)) == (False, True)

    @pytest.mark.parametrize("error", [DatabaseError, OSError])
    def test_outlives_a_database_that_does_not_answer(self, alias, monkeypatch, caplog, error):
        def away(*args):
            raise error("the database is away")

        job = started_job(alias)
        monkeypatch.setattr("django_future_celery.querysets.ScheduledJobQuerySet.renew", away)
        with heartbeat.beating(job):
            heartbeat.renew_all()

        assert "the database is away" in caplog.text

    def test_renews_in_each_database(self, settings):
        jobs = [started_job(name) for name in settings.DATABASES]
        self.nearly_over(*jobs)
        for job in jobs:
            heartbeat._runs.add((job._state.db, job.pk, job.attempts))
        heartbeat.renew_all()

        assert all(self.renewed(job) for job in jobs)


@with_commits
def test_a_job_longer_than_its_lease_stays_alive(alias, vendor, settings, monkeypatch):
    if vendor == "sqlite":
        pytest.skip("on SQLite the job holds the one write lock")
    settings.FUTURE_CELERY_RUN_LEASE_SECONDS = 1.0
    settings.FUTURE_CELERY_HEARTBEAT_SECONDS = 0.1
    monkeypatch.setattr(heartbeat, "_thread", None)  # the one of this process may sleep with the old interval
    job = schedule_job("0s", "tests.shop.jobs.sleep", args=[2.5], using=alias)
    recovered = []
    over = threading.Event()

    def reap():
        while not over.wait(0.2):
            recovered.append(recover(alias, database_now(alias)).failed)
        connections[alias].close()

    reaper = threading.Thread(target=reap)
    reaper.start()
    try:
        outcome = run_job(job.pk, 0, using=alias)
    finally:
        over.set()
        reaper.join(30)

    assert outcome.error is None
    assert row_of(job)["status"] == "complete"
    assert len(recovered) > 3 and set(recovered) == {0}
    assert list(Ledger.objects.using(alias).values_list("entry", flat=True)) == ["slept"]


@with_commits
def test_a_job_without_a_heartbeat_is_lost_and_rolled_back(alias, vendor, settings, monkeypatch):
    """What the heartbeat is there for: the same without it."""
    if vendor == "sqlite":
        pytest.skip("on SQLite the job holds the one write lock")
    settings.FUTURE_CELERY_RUN_LEASE_SECONDS = 0.2
    monkeypatch.setattr(heartbeat, "_ensure_thread", lambda: None)
    job = schedule_job("0s", "tests.shop.jobs.sleep", args=[1.0], using=alias)

    thread = threading.Thread(target=lambda: (run_job(job.pk, 0, using=alias), connections[alias].close()))
    thread.start()
    deadline = time.monotonic() + 30
    while not recover(alias, database_now(alias)).failed:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    thread.join(30)

    assert row_of(job)["status"] == "failed"
    assert "Worker lost" in row_of(job)["error"]
    assert not Ledger.objects.using(alias).exists()
