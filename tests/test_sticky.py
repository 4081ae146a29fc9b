"""Sticky jobs: one instance of each is always waiting."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from django.db import IntegrityError, connections, transaction
from django.test import override_settings
from django.utils import timezone

from django_future_celery import callables, dispatcher, run_jobs, schedule_job, sticky, sticky_job
from django_future_celery.clock import SECOND, database_now, to_micros
from django_future_celery.exceptions import InvalidCallable
from tests.factories import row_of

pytestmark = pytest.mark.django_db(databases="__all__")

ROOT = Path(__file__).parent.parent
FIRST, SECOND_ONE = f"{__name__}.sweep", f"{__name__}.water"


def sweep():
    return "swept"


def water():
    raise ValueError("no water")


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The sticky jobs that are known: none but those of the test."""
    sticky.discover()
    mine = {}
    for module in (callables, sticky):
        monkeypatch.setattr(module, "STICKY", mine)
    return mine


@pytest.fixture
def sticky_sweep(known):
    sticky_job(sweep)


def at_once(rows):
    """Let the waiting instance be due now, as if its interval were over."""
    [job] = rows.scheduled()
    job.time_slot_start = timezone.now() - timedelta(seconds=1)
    job.save()
    return job


class TestTheDecorator:
    def test_gives_the_function_back_and_keeps_its_path(self, known):
        assert sticky_job(sweep) is sweep
        assert set(known) == {FIRST}

    @pytest.mark.parametrize("function", [lambda: None, sweep.__get__(object())], ids=["lambda", "bound"])
    def test_refuses_what_has_no_path(self, known, function):
        with pytest.raises(InvalidCallable):
            sticky_job(function)

        assert known == {}


@pytest.mark.usefixtures("sticky_sweep")
class TestOneInstance:
    def test_waits_after_the_first_tick(self, alias, rows, now):
        dispatcher.tick([].extend, alias)

        row = row_of(rows.get())
        assert (row["callable_name"], row["unique_key"], row["status"]) == (FIRST, FIRST, "scheduled")
        assert (row["args_text"], row["kwargs_text"], row["max_attempts"]) == ("[]", "{}", 1)
        assert row["time_slot_end"] - row["time_slot_start"] == timedelta(days=7)
        assert row["wake_at"] == to_micros(row["time_slot_start"])

    def test_waits_after_the_command(self, alias, rows):
        run_jobs(using=alias)

        assert rows.get().unique_key == FIRST

    def test_is_due_an_interval_from_now(self, alias, rows, settings):
        settings.FUTURE_CELERY_STICKY_INTERVAL = 90
        before = database_now(alias)
        sticky.ensure(alias, before)

        assert rows.get().wake_at == before + 90 * SECOND

    def test_is_not_doubled_by_further_ticks(self, alias, rows, now):
        assert [sticky.ensure(alias, now) for _ in range(3)] == [1, 0, 0]
        assert rows.count() == 1

    def test_is_not_doubled_while_it_runs(self, alias, rows, now):
        sticky.ensure(alias, now)
        job = at_once(rows)
        rows.start(job.pk, 0, worker="", task_id="")

        assert sticky.ensure(alias, now) == 0
        assert row_of(job)["unique_key"] == FIRST

    def test_costs_a_tick_one_read_and_no_write(self, alias, now, django_assert_num_queries):
        sticky.ensure(alias, now)
        with django_assert_num_queries(1, connection=connections[alias]):
            sticky.ensure(alias, now)

    def test_is_followed_by_the_next_an_interval_after_its_end_was_noticed(self, alias, rows, now):
        sticky.ensure(alias, now)
        first = at_once(rows)
        before = database_now(alias)
        run_jobs(using=alias)
        after = database_now(alias)

        row = row_of(first)
        assert (row["status"], row["return_value"], row["unique_key"]) == ("complete", "swept", None)
        second = rows.scheduled().get()
        assert second.unique_key == FIRST
        assert before + 60 * SECOND <= second.wake_at <= after + 60 * SECOND
        assert second.time_slot_start >= row["execution_end"]

    def test_waits_again_after_one_was_cancelled_or_deleted(self, alias, rows, now):
        sticky.ensure(alias, now)
        rows.get().cancel()
        assert sticky.ensure(alias, now) == 1

        rows.scheduled().delete()
        assert sticky.ensure(alias, now) == 1
        assert rows.scheduled().count() == 1

    def test_may_be_accompanied_by_an_ordinary_job_of_the_same_callable(self, alias, rows, now):
        job = schedule_job("5d", sweep, using=alias)
        sticky.ensure(alias, now)

        assert row_of(job)["unique_key"] is None
        assert rows.scheduled().count() == 2

    def test_is_what_the_database_itself_enforces(self, alias, rows, now):
        sticky.ensure(alias, now)
        with pytest.raises(IntegrityError), transaction.atomic(using=alias):
            rows.create(callable_name=FIRST, unique_key=FIRST, time_slot_start=timezone.now())


def test_a_sticky_job_that_failed_waits_again(alias, rows, known):
    sticky_job(water)
    sticky.ensure(alias, database_now(alias))
    failed = at_once(rows)
    with pytest.raises(ValueError, match="no water"):
        run_jobs(using=alias)
    run_jobs(using=alias)

    assert (row_of(failed)["status"], row_of(failed)["unique_key"]) == ("failed", None)
    assert rows.scheduled().get().unique_key == SECOND_ONE


def test_each_sticky_job_has_an_instance_of_its_own(alias, rows, now, known):
    sticky_job(sweep)
    assert sticky.ensure(alias, now) == 1
    sticky_job(water)

    assert sticky.ensure(alias, now) == 1
    assert sorted(rows.values_list("unique_key", flat=True)) == [FIRST, SECOND_ONE]


def test_without_sticky_jobs_a_tick_asks_and_writes_nothing(alias, now, django_assert_num_queries):
    with django_assert_num_queries(0, connection=connections[alias]):
        assert sticky.ensure(alias, now) == 0


def test_a_time_slot_of_a_sticky_job_does_not_travel_with_now(alias, rows, known):
    """``now`` replaces the clock where slots are compared, and nowhere else."""
    sticky_job(sweep)
    run_jobs(now=timezone.now() + timedelta(days=30), using=alias)

    [job] = rows.scheduled()
    assert abs(job.wake_at - database_now(alias) - 60 * SECOND) < 30 * SECOND


@pytest.mark.django_db(databases="__all__", transaction=True)
@pytest.mark.usefixtures("sticky_sweep")
def test_processes_that_notice_at_a_time_agree_on_one_instance(alias, rows, now, monkeypatch):
    """All have seen that there is none before the first of them inserts one."""
    number, seen = 3, Barrier(3)
    create = type(rows).bulk_create

    def create_together(self, *args, **options):
        seen.wait(timeout=30)
        return create(self, *args, **options)

    monkeypatch.setattr(type(rows), "bulk_create", create_together)

    def notice():
        try:
            return sticky.ensure(alias, database_now(alias))
        finally:
            connections[alias].close()

    with ThreadPoolExecutor(number) as pool:
        results = [each.result() for each in [pool.submit(notice) for _ in range(number)]]

    assert results == [1] * number
    assert rows.get().unique_key == FIRST


SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_future_celery", "tests.sticky_app"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {name!r}}}}}
USE_TZ = True
FUTURE_CELERY_STICKY_INTERVAL = 0.001
"""


def test_the_jobs_module_of_an_installed_app_is_found(tmp_path):
    """Nobody imports it: three runs of the command insert an instance, run it, and insert the next."""
    (tmp_path / "throwaway.py").write_text(SETTINGS.format(name=str(tmp_path / "db.sqlite3")))
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "throwaway",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
    }

    def run(*command):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    run("-m", "django", "migrate", "-v0")
    assert run("-m", "django", "runscheduledjobs") == "0 complete, 0 failed"
    assert run("-m", "django", "runscheduledjobs") == "1 complete, 0 failed"
    found = run(
        "-c",
        "import django; django.setup()\n"
        "from django_future_celery import ScheduledJob\n"
        "print(*ScheduledJob.objects.order_by('id').values_list('status', 'unique_key', 'return_value'))",
    )
    key = "tests.sticky_app.jobs.tidy"
    assert found == f"('complete', None, 'tidy') ('scheduled', '{key}', None)"


def test_a_jobs_module_that_cannot_be_imported_keeps_no_other_waiting(tmp_path, monkeypatch, caplog):
    package = tmp_path / "app_with_broken_jobs"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "jobs.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(INSTALLED_APPS=["app_with_broken_jobs", "tests.sticky_app"]):
        monkeypatch.delitem(sys.modules, "tests.sticky_app.jobs", raising=False)
        sticky.discover.__wrapped__()

    assert "app_with_broken_jobs.jobs cannot be imported" in caplog.text
    assert "tests.sticky_app.jobs" in sys.modules
