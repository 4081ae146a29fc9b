"""Hard cases on every database: content that goes away, clocks that lie, poison rows, conflicts, changed keys."""

import json
import threading
import time
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.utils import timezone

from django_future_celery import clock, run_jobs, schedule_job
from django_future_celery.clock import SECOND, DatabaseClock, database_now
from django_future_celery.dispatcher import tick
from django_future_celery.exceptions import CorruptArguments
from django_future_celery.recovery import recover
from django_future_celery.runner import finish, run_job, start
from tests.factories import due_job, row_of
from tests.shop.hard_jobs import EVENTS, RETURNS
from tests.shop.models import Ledger, Order

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

HARD = "tests.shop.hard_jobs."
HOUR = 3600


def ledger(alias):
    return list(Ledger.objects.using(alias).order_by("pk").values_list("entry", flat=True))


def hard_job(name, alias, *args, **columns):
    return due_job(alias, callable_name=HARD + name, args_text=json.dumps(args), **columns)


def run(job):
    run_job(job.pk, job.attempts, using=job._state.db)
    return row_of(job)


@pytest.fixture(autouse=True)
def fresh():
    yield
    ContentType.objects.clear_cache()
    for event in EVENTS.values():
        event.clear()


@pytest.fixture
def beside(alias):
    """Run a job in a thread of its own until it waits for the test; what is done then happens beside it."""
    if connections[alias].vendor == "sqlite":
        pytest.skip("one write lock: nobody else writes while a job runs")
    threads = []

    def begin(job, until="started"):
        threads.append(threading.Thread(target=in_thread, args=[job]))
        threads[-1].start()
        assert EVENTS[until].wait(30)

    def in_thread(job):
        run_job(job.pk, job.attempts, using=alias)
        connections[alias].close()

    begin.end = lambda: [each.join(60) for each in threads]
    yield begin
    for event in EVENTS.values():
        event.set()
    begin.end()


# -- what cannot be told ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in RETURNS if name != "slow"])
def test_any_result_can_be_stored(alias, name):
    row = run(hard_job("write_and_return", alias, name))

    assert (row["status"], len(row["return_value"]) <= 10_000) == ("complete", True)


@pytest.mark.parametrize("name", ["UnicodeError", "SilentError", "huge", "RecursionError", "ExceptionGroup"])
def test_any_error_can_be_stored(alias, name):
    row = run(hard_job("write_and_raise", alias, name))

    assert (row["status"], len(row["error"]) <= 20_000) == ("failed", True)
    assert (name if name not in ("UnicodeError", "huge") else "ValueError") in row["error"] or name == "huge"
    assert ledger(alias) == []


# -- what goes away ----------------------------------------------------------------------------------------------------


def test_a_job_may_delete_its_content_object(alias):
    order = Order.objects.using(alias).create()
    job = schedule_job("0s", f"{HARD}delete_the_object", order, using=alias)

    assert run(job)["status"] == "complete"
    assert not Order.objects.using(alias).exists()


def test_a_content_object_that_is_deleted_while_its_job_runs_is_no_trouble(alias, beside):
    order = Order.objects.using(alias).create()
    job = schedule_job("0s", f"{HARD}wait_for_the_test", order, using=alias)
    beside(job)
    order.delete()
    EVENTS["released"].set()
    beside.end()

    assert row_of(job)["status"] == "complete"


def test_a_job_whose_content_type_is_gone_fails_with_the_reason_and_no_other(alias):
    order = Order.objects.using(alias).create()
    jobs = [schedule_job("0s", name, order, using=alias) for name in ("tests.shop.jobs.note_object", "remind")]
    other = due_job(alias)
    ContentType.objects.using(alias).filter(model="order").delete()
    ContentType.objects.clear_cache()
    run_jobs(ignore_errors=True, using=alias)

    for job in jobs:
        assert row_of(job)["status"] == "failed"
        assert f"{job.content_type_id}, no longer exists" in row_of(job)["error"]
    assert row_of(other)["status"] == "complete"


def test_a_job_whose_row_is_deleted_while_it_runs_is_rolled_back(alias, beside, caplog):
    job = hard_job("wait_for_the_test", alias)
    beside(job)
    assert type(job).objects.using(alias).filter(pk=job.pk).delete()[0] == 1
    EVENTS["released"].set()
    beside.end()

    assert ledger(alias) == []
    assert f"Job {job.pk} was lost by this run, which was rolled back" in caplog.text


def test_a_job_that_deletes_its_own_row_is_rolled_back_and_failed(alias):
    row = run(hard_job("delete_own_row", alias))

    assert row["status"] == "failed" and "ClaimLost" in row["error"]
    assert ledger(alias) == []


# -- poison rows -------------------------------------------------------------------------------------------------------

POISON = [
    {"args_text": "no json"},
    {"args_text": '{"$pickle": "forged:signature"}'},
    {"args_text": "[" * 500},
    {"kwargs_text": "[]"},
    {"args_text": "null"},
    {"kwargs_text": '{"entry": {"$model": ["no.model", "1", "default"]}}'},
    {"callable_name": "no path at all; DROP TABLE"},
    {"callable_name": ""},
    {"callable_name": "method_of_nothing"},
    {"content_type_id": 987_654, "object_id": "1"},
    {"content_type_id": 987_654, "object_id": None},
]


def test_poison_rows_say_what_is_wrong_and_stop_no_other(alias):
    poison = [due_job(alias, priority=1, **columns) for columns in POISON]
    good = due_job(alias)
    sent = []
    assert tick(sent.extend, alias).sent == len(POISON) + 1

    for job in sent:
        run_job(job.pk, 0, using=alias)
    assert [columns for columns, job in zip(POISON, poison, strict=True) if row_of(job)["status"] == "complete"] == []
    assert [columns for columns, job in zip(POISON, poison, strict=True) if not row_of(job)["error"]] == []
    assert row_of(good)["status"] == "complete"
    assert ledger(alias) == ["done"]


# -- conflicts in the database ----------------------------------------------------------------------------------------


def test_a_serialization_failure_is_recorded_and_the_next_attempt_completes(alias, vendor, rows):
    if vendor != "postgresql":
        pytest.skip("isolation by conflict is PostgreSQL's")
    order = Order.objects.using(alias).create()
    job = hard_job("increment_serializably", alias, order.pk, max_attempts=2)

    first = run(job)
    assert (first["status"], first["attempts"]) == ("scheduled", 1)
    assert "could not serialize access" in first["error"]
    run(rows.get(pk=job.pk))
    order.refresh_from_db()
    assert (row_of(job)["status"], order.note) == ("complete", "other, attempt 2")


def test_the_victim_of_a_deadlock_fails_with_the_databases_own_words(alias, beside):
    first, second = (Order.objects.using(alias).create() for _ in range(2))
    job = hard_job("lock_both", alias, first.pk, second.pk)
    orders = Order.objects.using(alias)
    with transaction.atomic(using=alias):
        # The one that has changed less is the victim.
        orders.bulk_create(Order() for _ in range(300))
        orders.filter(pk=second.pk).update(note="held")
        beside(job, until="locked")
        EVENTS["other locked"].set()
        time.sleep(0.5)  # PostgreSQL lets whoever has waited for a second look for the deadlock, and be its victim.
        orders.filter(pk=first.pk).update(note="held")
    beside.end()

    assert row_of(job)["status"] == "failed"
    assert "deadlock" in row_of(job)["error"].lower()
    assert ledger(alias) == []


# -- clocks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def jump(monkeypatch):
    """Have the clocks of all databases tell a time that is so many seconds ahead of, or behind, the true one."""
    sql_of = {name: getattr(DatabaseClock, name) for name in ("as_postgresql", "as_mysql")}

    def jump(seconds):
        for name, write in sql_of.items():
            sql, params = write(None, None, None)
            monkeypatch.setattr(
                DatabaseClock, name, lambda *args, sql=sql, params=params: (f"({sql} + {seconds * SECOND})", params)
            )
        ahead = seconds * SECOND * 1000
        monkeypatch.setattr(
            clock, "time", SimpleNamespace(time_ns=lambda: time.time_ns() + ahead, monotonic_ns=time.monotonic_ns)
        )

    return jump


def test_a_clock_that_jumped_is_seen_as_it_is_told(alias, jump):
    true = database_now(alias)
    for seconds in (HOUR, -HOUR):
        jump(seconds)
        assert abs(database_now(alias) - true - seconds * SECOND) < 60 * SECOND


@pytest.mark.parametrize(
    ("skew", "expires", "status"), [(2, "1d", "scheduled"), (-2, "1d", "complete"), (-2, "1h", "expired")]
)
def test_the_clock_of_a_web_host_moves_the_slot_and_never_the_start_out_of_it(
    alias, monkeypatch, skew, expires, status
):
    """Hours ahead: the job comes later. Hours behind: it comes at once, or expires."""
    true_now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: true_now() + timedelta(hours=skew))
    job = schedule_job("0s", "tests.shop.jobs.note", expires=expires, using=alias)
    monkeypatch.undo()
    sent = []
    tick(sent.extend, alias)
    run_job(job.pk, 0, using=alias)

    assert row_of(job)["status"] == status
    assert ledger(alias) == (["done"] if status == "complete" else [])
    assert len(sent) == (status == "complete")


def test_a_clock_that_goes_back_between_claim_and_start_delays_the_job(alias, jump):
    job, sent = due_job(alias), []
    tick(sent.extend, alias)
    jump(-HOUR)
    assert run(job)["status"] == "scheduled"  # its slot has not begun
    assert tick(sent.extend, alias).sent == 0

    jump(120)  # the dispatch lease is over
    assert tick(sent.extend, alias).sent == 1
    assert run(job)["status"] == "complete"
    assert ledger(alias) == ["done"]


@pytest.mark.parametrize("max_attempts", [1, 2])
def test_a_clock_that_goes_ahead_during_a_run_costs_the_run_and_never_doubles_it(alias, rows, jump, max_attempts):
    job = due_job(alias, max_attempts=max_attempts, time_slot_end=None)
    mine = start(job.pk, 0, using=alias)
    jump(HOUR)
    recovered = recover(alias, database_now(alias))
    finish(mine)

    assert (recovered.failed, recovered.again) == ((1, 0) if max_attempts == 1 else (0, 1))
    assert ledger(alias) == []
    jump(2 * HOUR)
    run(rows.get(pk=job.pk))
    assert row_of(job)["status"] == ("failed" if max_attempts == 1 else "complete")
    assert ledger(alias) == ([] if max_attempts == 1 else ["done"])


def test_a_clock_that_goes_back_and_forth_around_a_heartbeat_never_doubles_a_run(alias, rows, jump):
    """The lease is renewed by the wrong clock, and is over by the right one."""
    job = due_job(alias, max_attempts=2, time_slot_end=None)
    mine = start(job.pk, 0, using=alias)
    jump(-HOUR)
    assert rows.renew([(job.pk, 1)]) == 1
    jump(0)
    assert recover(alias, database_now(alias)).again == 1
    assert rows.renew([(job.pk, 1)]) == 0
    finish(mine)
    assert ledger(alias) == []

    jump(HOUR)
    assert run(rows.get(pk=job.pk))["status"] == "complete"
    assert ledger(alias) == ["done"]


def test_the_end_of_a_run_is_never_before_its_start(alias, jump):
    job = due_job(alias)
    mine = start(job.pk, 0, using=alias)
    jump(-HOUR)
    finish(mine)

    assert row_of(job)["status"] == "complete"
    assert row_of(job)["execution_start"] <= row_of(job)["execution_end"]


# -- summer time -------------------------------------------------------------------------------------------------------

#: A zone, a local time that its clocks skip, one that comes twice, and by how much they go back.
CHANGES = [
    ("America/New_York", datetime(2026, 3, 8, 2, 30), datetime(2026, 11, 1, 1, 30), timedelta(hours=1)),
    ("Europe/Berlin", datetime(2026, 3, 29, 2, 30), datetime(2026, 10, 25, 2, 30), timedelta(hours=1)),
    ("Australia/Lord_Howe", datetime(2026, 10, 4, 2, 15), datetime(2026, 4, 5, 1, 45), timedelta(minutes=30)),
]


@pytest.mark.parametrize(("zone", "skipped", "twice", "shift"), CHANGES)
def test_naive_times_around_a_change_of_the_clocks(alias, settings, zone, skipped, twice, shift):
    if not settings.USE_TZ:
        pytest.skip("without zones there are no changes")
    with timezone.override(zone):
        with pytest.raises(ValueError, match="does not exist in"):
            schedule_job(skipped, "tests.shop.jobs.note", using=alias)
        first, second = (schedule_job(twice.replace(fold=fold), "tests.shop.jobs.note", using=alias) for fold in (0, 1))

    assert row_of(second)["time_slot_start"] - row_of(first)["time_slot_start"] == shift
    between = row_of(first)["time_slot_start"] + shift / 2
    run_jobs(now=between, using=alias)
    assert [row_of(job)["status"] for job in (first, second)] == ["complete", "scheduled"]


@pytest.mark.parametrize(("zone", "skipped", "twice", "shift"), CHANGES)
def test_without_zones_each_local_time_is_stored_as_it_is_and_leases_know_no_summer(
    settings, zone, skipped, twice, shift
):
    settings.USE_TZ = False
    settings.TIME_ZONE = zone
    later = [clock.to_micros(twice + timedelta(hours=hours)) for hours in (-3, 3)]

    assert clock.to_datetime(clock.to_micros(twice)) == twice
    assert later[1] - later[0] == (timedelta(hours=6) + shift) // timedelta(microseconds=1)
    assert isinstance(clock.to_micros(skipped), int)


# -- keys --------------------------------------------------------------------------------------------------------------

loaded = []


class Loud:
    """A value that only a pickle can hold, and that tells when it is loaded."""

    def __init__(self):
        self.state = "some"

    def __setstate__(self, state):
        loaded.append(state)


def test_a_pickled_argument_outlives_a_new_key_with_the_old_one_as_fallback_and_is_never_loaded_without(
    alias, settings
):
    known, unknown = (schedule_job("0s", "tests.shop.jobs.echo", args=[Loud()], using=alias) for _ in range(2))
    old, settings.SECRET_KEY = settings.SECRET_KEY, "a new one"
    loaded.clear()

    assert run(unknown)["status"] == "failed"
    assert CorruptArguments.__name__ in row_of(unknown)["error"] and "SECRET_KEY_FALLBACKS" in row_of(unknown)["error"]
    assert loaded == []

    settings.SECRET_KEY_FALLBACKS = [old]
    assert run(known)["status"] == "complete"
    assert len(loaded) == 1
