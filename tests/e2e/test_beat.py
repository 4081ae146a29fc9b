"""The beat scheduler: beside periodic tasks, through outages, and what stands in for it."""

import time

import pytest

from django_future_celery import schedule_job
from django_future_celery.models import ScheduledJob
from tests.processes import wait_until
from tests.proxy import Proxy
from tests.servers import PrivateRedis, installed
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

WITHOUT_BEAT_APP = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_future_celery",
    "tests.shop",
]


def wait_for(job, status="complete", seconds=60):
    rows = ScheduledJob.objects.using(job._state.db)
    wait_until(lambda: rows.get(pk=job.pk).status == status, seconds, f"{status} of {job!r}")
    return rows.get(pk=job.pk)


def test_periodic_tasks_are_sent_as_before(project):
    models = pytest.importorskip("django_celery_beat.models")
    stack = project("postgresql", "redis")
    every_second = models.IntervalSchedule.objects.using(stack.alias).create(every=1, period="seconds")
    models.PeriodicTask.objects.using(stack.alias).create(
        name="every second", task="tests.shop.tasks.periodic", interval=every_second
    )
    stack.worker()
    stack.beat()
    job = schedule_job("2s", "tests.shop.jobs.note", using=stack.alias)

    wait_for(job)
    sent = Ledger.objects.using(stack.alias).filter(entry="periodic")
    wait_until(lambda: sent.count() >= 3, what="three periodic tasks")


def test_without_django_celery_beat_the_scheduler_stands_on_celerys_own(project):
    stack = project(
        "postgresql",
        "redis",
        INSTALLED_APPS=WITHOUT_BEAT_APP,
        CELERY_BEAT_SCHEDULE={"often": {"task": "tests.shop.tasks.periodic", "schedule": 1.0}},
    )
    stack.worker()
    stack.beat("-S", "future", "-s", str(stack.folder / "schedule"))
    job = schedule_job("1s", "tests.shop.jobs.note", using=stack.alias)

    wait_for(job)
    wait_until(Ledger.objects.using(stack.alias).filter(entry="periodic").exists, what="the periodic task")


def test_a_worker_may_be_the_beat_as_well(project):
    stack = project("postgresql", "redis")
    stack.worker("-B", "--scheduler", "future", "-s", str(stack.folder / "schedule"))
    wait_for(schedule_job("1s", "tests.shop.jobs.note", using=stack.alias))


def test_under_another_beat_scheduler_the_tick_is_a_periodic_task(project):
    from django_future_celery.conf import BEAT_SCHEDULE

    stack = project("postgresql", "redis", INSTALLED_APPS=WITHOUT_BEAT_APP, CELERY_BEAT_SCHEDULE=BEAT_SCHEDULE)
    stack.worker()
    stack.beat("-s", str(stack.folder / "schedule"))

    wait_for(schedule_job("0s", "tests.shop.jobs.note", using=stack.alias))
    assert "1 sent" in stack.log("worker")


def test_beat_outlives_its_database(project):
    """While the database is away there is a warning; when it is back, jobs and periodic tasks go on."""
    stack = project("postgresql", "redis")
    config = stack.settings["DATABASES"]["default"]
    wire = Proxy(config["HOST"], config["PORT"] or 5432)
    config |= {"HOST": "127.0.0.1", "PORT": str(wire.port)}
    stack.worker()
    beat = stack.beat()
    wait_for(schedule_job("0s", "tests.shop.jobs.note", using=stack.alias))

    wire.cut()
    job = schedule_job("0s", "tests.shop.jobs.note", using=stack.alias)
    # Whichever needs the database first, the jobs or the periodic tasks, tells of it.
    told = ("does not answer", "wait for their database")
    wait_until(lambda: any(each in stack.log("beat") for each in told), what="the warning")
    wire.mend()

    assert wait_for(job).attempts == 1
    assert beat.poll() is None


def test_beat_outlives_its_broker(project, tmp_path):
    """While Redis is down nothing is lost; when it is back, the waiting jobs run."""
    if not installed("redis-server"):
        pytest.skip("no redis-server to start and stop")
    redis = PrivateRedis(tmp_path)
    try:
        redis.start()
        stack = project("postgresql", "redis", CELERY_BROKER_URL=redis.url, FUTURE_CELERY_DISPATCH_LEASE_SECONDS=3.0)
        stack.beat()
        redis.stop()
        first, second = (schedule_job("0s", "tests.shop.jobs.note", using=stack.alias) for _ in range(2))
        wait_until(lambda: "does not take messages" in stack.log("beat"), what="the warning")

        redis.start()
        stack.worker()
        assert wait_for(first).attempts == wait_for(second).attempts == 1
    finally:
        redis.stop()


def test_a_job_starts_at_its_instant_and_not_at_the_next_poll(project):
    """Beat sleeps until the next due job, however long its tick may be."""
    stack = project("postgresql", "redis", FUTURE_CELERY_TICK_SECONDS=600.0)
    job = schedule_job("8s", "tests.shop.jobs.note", using=stack.alias)
    stack.worker()
    stack.beat()

    began = time.monotonic()
    wait_for(job)
    assert time.monotonic() - began < 60


def test_a_commit_wakes_a_beat_that_sleeps(project, settings):
    settings.FUTURE_CELERY_NUDGE = True
    stack = project("postgresql", "redis", FUTURE_CELERY_TICK_SECONDS=600.0, FUTURE_CELERY_NUDGE=True)
    settings.FUTURE_CELERY_TICK_SECONDS = 600.0
    stack.worker()
    stack.beat()
    wait_for(schedule_job("0s", "tests.shop.jobs.note", using=stack.alias))

    began = time.monotonic()
    wait_for(schedule_job("0s", "tests.shop.jobs.note", using=stack.alias))
    assert time.monotonic() - began < 60
