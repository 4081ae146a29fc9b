"""What is read of the table: no statement costs more where more rows wait, are due or have ended.

``TEST_PLAN_ROWS`` is the size of the table.
"""

import os
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from django_future_celery.dispatcher import tick
from django_future_celery.processing import Pass
from django_future_celery.recovery import record_death
from django_future_celery.runner import finish, start
from django_future_celery.states import Status
from tests.plans import fill, metered

pytestmark = pytest.mark.django_db(databases=list(django_settings.DATABASES), transaction=True)

SIZE = int(os.environ.get("TEST_PLAN_ROWS", "20000"))
WINDOW, CLAIM_SIZE = 100, 50
#: What one statement may read: rows, or on SQLite steps. To scan only the due rows would be far more.
MOST = {"mysql": 400, "postgresql": 400, "sqlite": 12_000}


@pytest.fixture(autouse=True)
def small_steps(settings):
    settings.FUTURE_CELERY_WINDOW = WINDOW
    settings.FUTURE_CELERY_CLAIM_SIZE = CLAIM_SIZE


@pytest.fixture
def reads_little(alias, vendor):
    """A block each of whose statements must have read little."""

    @contextmanager
    def check():
        with metered(alias) as readings:
            yield
        assert readings
        assert [each for each in readings if each.read > MOST[vendor]] == []

    return check


@pytest.mark.parametrize("analyzed", [True, False], ids=["analyzed", "unknown"])
def test_a_tick_reads_what_it_takes(alias, vendor, rows, reads_little, analyzed):
    if vendor == "mysql" and not analyzed:
        pytest.skip("InnoDB counts by itself, some time after the rows were written")
    fill(alias, SIZE, analyzed=analyzed)
    moved = rows.filter(priority=10, status=Status.SCHEDULED).order_by("wake_at").first()
    rows.filter(pk=moved.pk).update(time_slot_start=timezone.now() + timedelta(hours=1))
    sent = []
    with reads_little():
        done = tick(sent.extend, alias, terminate=print)
    assert (len(sent), done.over, done.recovered.failed, done.more) == (45, 4, 5, True)


def test_a_full_window_reads_none_of_the_due_rows(alias, reads_little):
    fill(alias, SIZE, sent=WINDOW)
    sent = []
    with reads_little():
        done = tick(sent.extend, alias)
    assert (len(sent), done.more) == (25, True)


def test_the_next_wake_up_is_found_by_a_seek_for_each_priority(alias, rows, now, reads_little):
    fill(alias, SIZE)
    with reads_little():
        assert rows.next_wake(after=now) > now


def test_what_could_not_be_sent_is_released_by_its_keys(alias, rows, now, reads_little):
    fill(alias, SIZE)
    jobs = list(rows.level(-10)[:CLAIM_SIZE])
    with reads_little():
        rows.release(rows.lease(jobs, now))


def test_a_worker_finds_its_rows_by_their_keys(alias, rows, reads_little):
    fill(alias, SIZE)
    done, again, dead, unwanted = rows.level(-10)[:4]
    rows.filter(pk=again.pk).update(callable_name="tests.shop.jobs.write_and_raise", max_attempts=2)
    with reads_little():
        for job in (done, again):
            finish(start(job.pk, 0, using=alias))
        start(dead.pk, 0, using=alias, task_id="dead")
        rows.renew([(dead.pk, 1)])
        record_death(alias, "dead", "It was killed.")
        unwanted.cancel()


def test_a_run_in_process_reads_a_page_at_a_time(alias, reads_little, monkeypatch):
    monkeypatch.setattr("django_future_celery.processing.PAGE", 10)
    fill(alias, SIZE)
    with reads_little():
        assert len(list(islice(Pass(alias), 25))) == 25
