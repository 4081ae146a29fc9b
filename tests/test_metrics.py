"""What Prometheus is told: of runs by the processes that see them, of what waits by whoever is asked."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from django_future_celery import checkup, metrics, run_jobs, schedule_job
from django_future_celery.runner import run_job
from tests.factories import due_job, started_job

pytestmark = pytest.mark.django_db(databases=list(django_settings.DATABASES), transaction=True)

NOTE, RAISE = "tests.shop.jobs.note", "tests.shop.jobs.write_and_raise"


@pytest.fixture(autouse=True)
def on(settings, monkeypatch):
    settings.FUTURE_CELERY_PROMETHEUS = True
    monkeypatch.setattr(metrics, "_callables", set())


@pytest.fixture
def more(alias, settings, client):
    """By how much a sample is more than when the test began; None for one that is not there."""
    settings.FUTURE_CELERY_DATABASES = [alias]

    def samples():
        text = client.get("/metrics/").text
        families = text_string_to_metric_families(text)
        return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}

    before = samples()

    def more(name, *labels):
        key = (f"future_celery_{name}", *sorted(labels))
        after = samples()
        return after[key] - before.get(key, 0) if key in after else None

    more.value = lambda name, *labels: samples().get((f"future_celery_{name}", *sorted(labels)))
    return more


def run(name, alias, **options):
    job = schedule_job("0s", name, using=alias, **options)
    return run_job(job.pk, 0, using=alias)


def test_attempts_are_counted_by_callable_and_outcome(alias, more):
    run(NOTE, alias)
    run(RAISE, alias)
    run(RAISE, alias, max_attempts=2)

    assert more("attempts_total", NOTE, "complete") == 1
    assert more("attempts_total", RAISE, "failed") == 1
    assert more("attempts_total", RAISE, "again") == 1


def test_times_are_those_of_runs(alias, more):
    start = timezone.now() - timedelta(minutes=1)
    job = due_job(alias, time_slot_start=start)
    type(job).objects.using(alias).filter(pk=job.pk).update(created_at=start)
    run_job(job.pk, 0, using=alias)

    assert more("duration_seconds_count", NOTE) == 1
    assert more("lateness_seconds_sum", NOTE) == pytest.approx(60, abs=10)


def test_a_job_that_expires_or_is_cancelled_has_no_times(alias, more):
    start = timezone.now() - timedelta(hours=2)
    due_job(alias, time_slot_start=start, time_slot_end=start + timedelta(hours=1))
    due_job(alias).cancel()
    run_jobs(using=alias)

    assert more("attempts_total", NOTE, "expired") == 1
    assert more("attempts_total", NOTE, "cancelled") == 1
    assert not more("duration_seconds_count", NOTE)


def test_only_so_many_callables_have_numbers_of_their_own(alias, more, monkeypatch):
    monkeypatch.setattr(metrics, "MOST_CALLABLES", 1)
    run(NOTE, alias)
    run(RAISE, alias)
    run(NOTE, alias)

    assert more("attempts_total", NOTE, "complete") == 2
    assert more("attempts_total", "(others)", "failed") == 1
    assert not more("attempts_total", RAISE, "failed")


def test_what_waits_and_runs_is_told_by_queue(alias, more):
    due_job(alias, queue="slow")
    due_job(alias, queue="slow")
    started_job(alias)

    assert more.value("due_jobs", alias, "slow") == 2
    assert more.value("running_jobs", alias, "") == 1
    assert more.value("sent_jobs", alias, "") == 0
    assert more.value("late_jobs", alias, "") == 0
    assert more.value("up", alias) == 1
    assert more.value("last_tick_seconds", alias) is None


def test_a_database_that_is_away_is_down_and_the_rest_is_told(alias, more, monkeypatch):
    run(NOTE, alias)

    def away(using):
        raise OperationalError("away")

    monkeypatch.setattr(checkup, "database_now", away)

    assert more.value("up", alias) == 0
    assert more.value("due_jobs", alias, "") is None
    assert more("attempts_total", NOTE, "complete") == 1


def test_the_page_is_not_there_while_the_setting_is_off(client, settings):
    settings.FUTURE_CELERY_PROMETHEUS = False

    assert client.get("/metrics/").status_code == 404


def test_nothing_is_counted_while_the_setting_is_off(alias, more, settings):
    settings.FUTURE_CELERY_PROMETHEUS = False
    run(NOTE, alias)
    settings.FUTURE_CELERY_PROMETHEUS = True

    assert not more("attempts_total", NOTE, "complete")


def test_the_page_is_not_cached_and_only_read(client):
    assert client.get("/metrics/")["Cache-Control"] == "no-store"
    assert client.post("/metrics/").status_code == 405


IN_A_CHILD = """
import django
django.setup()
from django_future_celery import metrics
from django_future_celery.models import ScheduledJob
job = ScheduledJob(callable_name="shop.jobs.add", status="complete")
metrics.count(job, ran=False)
"""
ALL = "from prometheus_client import generate_latest; print(generate_latest(metrics.registry()).decode())"


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def test_the_processes_of_a_pool_are_added_up(tmp_path):
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    python(IN_A_CHILD, **shared)

    assert 'future_celery_attempts_total{callable="shop.jobs.add",outcome="complete"} 2.0' in python(
        IN_A_CHILD + ALL, **shared
    )


WITHOUT = """
import sys
sys.modules["prometheus_client"] = sys.modules["opentelemetry"] = None
import django
django.setup()
from django.test import override_settings
from django_future_celery import checks, processing, views, tasks, schedulers, watching
from django_future_celery.models import ScheduledJob
assert ScheduledJob().trace_context is None
watching.ended(ScheduledJob(status="complete"))
with override_settings(FUTURE_CELERY_PROMETHEUS=True, FUTURE_CELERY_OPENTELEMETRY=True):
    print([message.id for message in checks.check_settings()])
"""


def test_the_package_works_without_the_packages_of_its_extras_and_says_which_setting_needs_one():
    assert python(WITHOUT).strip() == "['future_celery.E025', 'future_celery.E026']"
