"""schedule_job → row → beat tick → Celery task → result on the row, with real processes."""

import os
from datetime import timedelta

import pytest
from django.utils import timezone

from django_future_celery import schedule_job
from django_future_celery.models import ScheduledJob
from django_future_celery.states import END_STATES
from tests.processes import wait_until
from tests.shop.models import Ledger, Order

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


def entries(alias):
    return sorted(Ledger.objects.using(alias).values_list("entry", flat=True))


def wait_for_ends(*jobs, seconds=60):
    rows = ScheduledJob.objects.using(jobs[0]._state.db).filter(pk__in=[job.pk for job in jobs])
    wait_until(lambda: not rows.exclude(status__in=END_STATES).exists(), seconds, what="the end of all jobs")
    return [rows.get(pk=job.pk) for job in jobs]


@pytest.mark.parametrize(
    ("database", "broker"),
    [
        ("postgresql", "redis"),
        ("postgresql", "rabbitmq"),
        ("mysql", "rabbitmq"),
        ("mysql", "redis"),
        ("sqlite3", "filesystem"),
    ],
)
def test_a_worker_and_a_beat_take_jobs_to_their_ends(project, database, broker):
    stack = project(database, broker)
    alias = stack.alias
    order = Order.objects.using(alias).create()
    past = timezone.now() - timedelta(minutes=5)

    def schedule(date, name, *args, **options):
        return schedule_job(date, name, *args, using=alias, **options)

    stack.worker(*(["-c", "1"] if database == "sqlite3" else []))
    stack.beat()
    good = schedule("0s", "tests.shop.jobs.note_object", order, args=["paid"])
    bad = schedule("0s", "tests.shop.jobs.write_and_raise", args=["no <money>"])
    gone = schedule(past, "tests.shop.jobs.note", expires="1m")
    later = schedule("2s", "tests.shop.jobs.note", kwargs={"entry": "later"})
    waiting = schedule("1d", "tests.shop.jobs.note")

    good, bad, gone, later = wait_for_ends(good, bad, gone, later)

    assert (good.status, good.return_value) == ("complete", str(order.pk))
    assert bad.status == "failed" and bad.error.rstrip().endswith("ValueError: no <money>")
    assert (gone.status, gone.attempts) == ("expired", 0)
    assert later.status == "complete" and later.execution_start >= later.time_slot_start
    assert ScheduledJob.objects.using(alias).get(pk=waiting.pk).status == "scheduled"
    assert entries(alias) == ["later", f"order {order.pk} paid"]
    assert not good.worker.endswith(f":{os.getpid()}")
    assert good.task_id
    assert f"tests.shop.jobs.note_object[{good.task_id}]" in stack.log("worker")


def test_two_beats_and_two_workers_run_each_of_2000_jobs_once(project):
    stack = project("postgresql", "redis")
    alias = stack.alias
    now = timezone.now()
    ScheduledJob.objects.using(alias).bulk_create(
        ScheduledJob(
            callable_name="tests.shop.jobs.note",
            kwargs_text=f'{{"entry":"{number:04}"}}',
            time_slot_start=now - timedelta(seconds=5),
        )
        for number in range(2000)
    )
    # The workers first: one alone would be done before the other one has started.
    for number in (1, 2):
        stack.worker(name=f"worker{number}")
    for number in (1, 2):
        stack.beat(name=f"beat{number}")

    rows = ScheduledJob.objects.using(alias)
    wait_until(lambda: not rows.exclude(status="complete").exists(), 180, what="the end of 2,000 jobs")

    assert entries(alias) == [f"{number:04}" for number in range(2000)]
    assert set(rows.values_list("attempts", flat=True)) == {1}
    assert len(set(rows.values_list("worker", flat=True))) > 2


def test_messages_that_a_broker_lost_are_sent_again(project):
    stack = project("postgresql", "redis", FUTURE_CELERY_DISPATCH_LEASE_SECONDS=2.0)
    job = schedule_job("0s", "tests.shop.jobs.note", using=stack.alias)
    stack.beat()
    rows = ScheduledJob.objects.using(stack.alias)
    wait_until(lambda: rows.get().phase == "sent", what="the first message")
    wait_until(stack.purge, what="the loss of the message")

    stack.worker()
    [job] = wait_for_ends(job)

    assert (job.status, job.attempts) == ("complete", 1)


def test_a_run_whose_worker_was_killed_is_failed_and_says_who_and_when(project):
    leases = {"FUTURE_CELERY_RUN_LEASE_SECONDS": 3.0, "FUTURE_CELERY_HEARTBEAT_SECONDS": 1.0}
    stack = project("postgresql", "redis", **leases)
    job = schedule_job("0s", "tests.shop.jobs.sleep", args=[60], using=stack.alias)
    worker = stack.worker()
    stack.beat()
    rows = ScheduledJob.objects.using(stack.alias)
    wait_until(lambda: rows.running().exists(), what="the start")

    os.killpg(worker.pid, 9)
    [job] = wait_for_ends(job)

    assert job.status == "failed"
    assert job.error.startswith("Worker lost") and job.worker in job.error
    assert entries(stack.alias) == []


def test_a_job_that_exits_or_dies_leaves_the_worker_able_to_go_on(project):
    leases = {"FUTURE_CELERY_RUN_LEASE_SECONDS": 3.0, "FUTURE_CELERY_HEARTBEAT_SECONDS": 1.0}
    stack = project("postgresql", "redis", **leases)
    stack.worker()
    stack.beat()
    exits = schedule_job("0s", "tests.shop.jobs.write_and_exit", using=stack.alias)
    dies = schedule_job("0s", "tests.shop.jobs.die", using=stack.alias)
    good = schedule_job("1s", "tests.shop.jobs.note", using=stack.alias)

    exits, dies, good = wait_for_ends(exits, dies, good)

    assert exits.status == "failed" and "SystemExit: 3" in exits.error
    assert dies.status == "failed" and dies.error.startswith("Worker lost")
    assert good.status == "complete"


def test_other_databases_are_ticked_when_the_setting_names_them(project):
    stack = project("postgresql", "redis")
    stack.settings["DATABASES"] = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(stack.folder / "other.sqlite3")},
        "shard": stack.settings["DATABASES"]["default"],
    }
    stack.settings["INSTALLED_APPS"] = [
        "django.contrib.contenttypes",
        "django_future_celery",
        "tests.shop",
    ]
    stack.settings["FUTURE_CELERY_DATABASES"] = ["shard"]
    job = schedule_job("0s", "tests.shop.jobs.note", using=stack.alias)
    stack.worker()
    stack.beat("-S", "future", "-s", str(stack.folder / "schedule"))

    [job] = wait_for_ends(job)

    assert job.status == "complete"
