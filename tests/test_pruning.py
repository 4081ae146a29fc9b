"""Old rows are deleted: a chunk at a time, by status and age, and never one that is not over."""

import logging
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_future_celery import dispatcher, pruning
from django_future_celery.clock import MICROSECOND, SECOND, to_datetime
from django_future_celery.states import END_STATES, Status
from tests.factories import due_job, job_in, row_of, started_job

pytestmark = pytest.mark.django_db(databases="__all__")

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def no_look_yet(monkeypatch):
    monkeypatch.setattr(pruning, "_next_look", {})


@pytest.fixture
def later(now):
    """Ten days from now."""
    return now + 10 * DAY // MICROSECOND


def nothing_to_send(job):
    raise AssertionError(job)


def old(rows):
    """Let all rows of the table have ended ten days ago."""
    rows.update(execution_end=timezone.now() - 10 * DAY)


@pytest.mark.parametrize("status", sorted(END_STATES))
def test_a_row_tells_when_it_ended(alias, status):
    assert abs(row_of(job_in(status, alias))["execution_end"] - timezone.now()) < DAY / 24


def test_a_job_that_ends_while_it_waits_keeps_the_end_of_its_attempt(alias, rows, now):
    ended = timezone.now() - DAY
    job = started_job(alias, max_attempts=3)
    rows.try_again(job, "boom", ended, now)
    rows.cancel()

    assert row_of(job)["execution_end"] == ended


def test_a_run_that_is_asked_to_stop_has_not_ended(alias, rows):
    job = started_job(alias)
    rows.cancel()

    assert row_of(job)["execution_end"] is None


@pytest.mark.parametrize("status", sorted(Status))
def test_what_ended_before_the_retention_is_deleted_and_nothing_else(alias, rows, now, later, status):
    job_in(status, alias, unique_key="mine" if status in ("scheduled", "running") else None)

    assert sum(pruning.prune(alias, pruning.cutoff(now, "1d"))) == 0
    assert sum(pruning.prune(alias, pruning.cutoff(later, "1d"))) == (status in END_STATES)
    assert rows.exists() != (status in END_STATES)


def test_a_job_that_waits_for_its_next_attempt_has_not_ended(alias, rows, now, later):
    rows.try_again(started_job(alias, max_attempts=3), "boom", timezone.now(), now)

    assert list(pruning.prune(alias, to_datetime(later))) == []


def test_only_the_chosen_statuses_are(alias, rows, later):
    for status in END_STATES:
        job_in(status, alias)

    assert list(pruning.prune(alias, to_datetime(later), [Status.COMPLETE, Status.EXPIRED])) == [1, 1]
    assert set(rows.values_list("status", flat=True)) == {Status.FAILED, Status.CANCELLED}


def test_each_chunk_is_a_transaction_of_its_own_the_oldest_first(alias, rows, monkeypatch):
    monkeypatch.setattr(pruning, "CHUNK", 2)
    jobs = [job_in(Status.COMPLETE, alias) for _ in range(5)]
    for age, job in enumerate(jobs, 1):
        rows.filter(pk=job.pk).update(execution_end=timezone.now() - age * DAY)

    chunks = pruning.prune(alias, timezone.now())

    assert next(chunks) == 2
    assert set(rows.values_list("pk", flat=True)) == {job.pk for job in jobs[:3]}
    assert list(chunks) == [2, 1]


def test_an_endless_retention_deletes_nothing(now):
    assert pruning.cutoff(now, timedelta.max) == to_datetime(0)


def test_the_rows_are_found_by_their_index_alone(alias, rows, vendor, now):
    """Whatever the number of rows that are kept; nothing is sorted. MariaDB reads a table this small as a whole."""
    with connections[alias].cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort") if vendor == "postgresql" else ():
            cursor.execute(f"SET LOCAL enable_{way} = off")
    plan = rows.ended_before(Status.COMPLETE, to_datetime(now)).only("pk")[:1000].explain()

    assert "future_ended" in plan
    assert vendor == "mysql" or not re.search("sort|temp b-tree", plan, re.IGNORECASE)


class TestATick:
    def test_deletes_nothing_by_default(self, alias, rows):
        job_in(Status.COMPLETE, alias)
        old(rows)
        dispatcher.tick(nothing_to_send, alias)

        assert rows.exists()

    def test_deletes_one_chunk_and_soon_the_next(self, alias, rows, now, settings, monkeypatch, caplog):
        caplog.set_level(logging.INFO, "django_future_celery")
        settings.FUTURE_CELERY_RETENTION = "7d"
        monkeypatch.setattr(pruning, "CHUNK", 2)
        for _ in range(3):
            job_in(Status.COMPLETE, alias)
        old(rows)

        first = dispatcher.tick(nothing_to_send, alias)
        assert rows.count() == 1
        assert f"Deleted 2 jobs from the database {alias!r}" in caplog.text
        assert now < first.wake <= now + 30 * SECOND

        dispatcher.tick(nothing_to_send, alias)
        assert rows.count() == 1  # not yet

        assert pruning.prune_in_tick(alias, first.wake) == first.wake + SECOND
        assert not rows.exists()
        assert pruning.prune_in_tick(alias, first.wake + SECOND) is None
        assert pruning._next_look[alias] == first.wake + 61 * SECOND

    def test_leaves_it_while_there_is_a_backlog_of_due_jobs(self, alias, rows, settings):
        settings.FUTURE_CELERY_RETENTION = timedelta(days=7)
        settings.FUTURE_CELERY_CLAIM_SIZE = 1
        job_in(Status.COMPLETE, alias)
        old(rows)
        due_job(alias)
        dispatcher.tick(lambda jobs: None, alias)
        assert rows.ended().exists()

        settings.FUTURE_CELERY_CLAIM_SIZE = 10
        due_job(alias)
        dispatcher.tick(lambda jobs: None, alias)
        assert not rows.ended().exists()

    def test_goes_on_when_old_rows_cannot_be_deleted(self, alias, settings, monkeypatch, caplog):
        settings.FUTURE_CELERY_RETENTION = "7d"
        monkeypatch.setattr(pruning, "prune_chunk", lambda *args: 1 / 0)
        tick = dispatcher.tick(nothing_to_send, alias)

        assert not tick.broken
        assert "cannot be deleted" in caplog.text
        assert "ZeroDivisionError" in caplog.text


class TestTheCommand:
    def call(self, *args):
        out = StringIO()
        call_command("prunescheduledjobs", *args, stdout=out)
        return out.getvalue()

    @pytest.fixture(autouse=True)
    def in_every_state(self, alias, rows):
        for status in END_STATES:
            job_in(status, alias)
        old(rows)

    def test_deletes_and_says_how_many(self, alias, rows):
        assert "4 jobs deleted" in self.call("--older-than", "7d", "--database", alias)
        assert not rows.exists()

    def test_keeps_what_is_younger(self, alias, rows):
        assert "0 jobs deleted" in self.call("--older-than", "30d", "--database", alias)

    def test_takes_the_retention_from_the_settings(self, alias, settings):
        settings.FUTURE_CELERY_RETENTION = "7d"
        settings.FUTURE_CELERY_DATABASES = [alias]

        assert "4 jobs deleted" in self.call()

    def test_may_only_count(self, alias, rows):
        assert "1 job would be deleted" in self.call(
            "--older-than", "7d", "--status", "complete", "--dry-run", "--database", alias
        )
        assert rows.count() == 4

    def test_deletes_chosen_statuses(self, alias, rows):
        assert "2 jobs deleted" in self.call(
            "--older-than", "7d", "--database", alias, "--status", "complete", "expired"
        )

    def test_needs_an_age_that_is_one(self, alias):
        with pytest.raises(CommandError, match="FUTURE_CELERY_RETENTION"):
            self.call("--database", alias)
        with pytest.raises(CommandError, match="--older-than: '30' has no unit"):
            self.call("--older-than", "30", "--database", alias)

    def test_logs_the_number(self, alias, caplog):
        caplog.set_level(logging.INFO, "django_future_celery")
        self.call("--older-than", "7d", "--database", alias)

        assert f"from the database {alias!r}" in caplog.text

    def test_deletes_in_one_pass_of_small_statements(self, alias, monkeypatch):
        monkeypatch.setattr(pruning, "CHUNK", 1)
        with CaptureQueriesContext(connections[alias]) as queries:
            self.call("--older-than", "7d", "--database", alias)

        assert sum(query["sql"].startswith("DELETE") for query in queries) == 4
