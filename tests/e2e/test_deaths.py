"""Processes that die while they run a job: the row says so at once, not when its lease is over."""

import os
import signal

import pytest

from django_future_celery import schedule_job
from django_future_celery.models import ScheduledJob
from tests.processes import wait_until
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

PATH = "tests.shop.jobs."


def wait_for(job, status):
    rows = ScheduledJob.objects.using(job._state.db)
    wait_until(lambda: rows.get(pk=job.pk).status == status, 30, f"{status} of {job!r}")
    return rows.get(pk=job.pk)


@pytest.fixture(params=["redis", "rabbitmq"])
def stack(project, request):
    """A worker and a beat, with leases of an hour: who waits for them to end will not see the end of this test."""
    hours = {"FUTURE_CELERY_RUN_LEASE_SECONDS": 3600.0, "FUTURE_CELERY_HEARTBEAT_SECONDS": 600.0}
    stack = project("postgresql", request.param, **hours)
    stack.worker()
    stack.beat()
    return stack


def test_a_process_that_dies_or_is_killed_ends_its_job_at_once(stack):
    dies = schedule_job("0s", f"{PATH}die", using=stack.alias)
    again = schedule_job("0s", f"{PATH}die_first", max_attempts=2, retry_backoff=0.1, using=stack.alias)
    killed = schedule_job("0s", f"{PATH}sleep", args=[600], using=stack.alias)

    running = wait_for(killed, "running")
    os.kill(int(running.worker.rpartition(":")[2]), signal.SIGKILL)

    killed, dies, again = wait_for(killed, "failed"), wait_for(dies, "failed"), wait_for(again, "complete")
    assert killed.error.startswith("Worker lost") and killed.worker in killed.error
    assert "SIGKILL" in killed.error
    assert dies.error.startswith("Worker lost") and "exitcode 7" in dies.error
    assert again.attempts == 2
    assert "Worker lost" in again.failed_attempts[0].error
    assert list(Ledger.objects.using(stack.alias).values_list("entry", flat=True)) == ["second"]


def test_time_limits_end_a_job_softly_or_by_force(stack):
    soft = schedule_job("0s", f"{PATH}sleep", args=[600], soft_time_limit=1, time_limit=60, using=stack.alias)
    hard = schedule_job("0s", f"{PATH}spin", time_limit="1s", using=stack.alias)
    never = schedule_job("0s", f"{PATH}note", time_limit=60, using=stack.alias)

    soft, hard = wait_for(soft, "failed"), wait_for(hard, "failed")
    assert soft.error.startswith("Traceback") and "SoftTimeLimitExceeded" in soft.error
    assert hard.error.startswith("Time limit exceeded") and "after 1 s." in hard.error
    assert wait_for(never, "complete").attempts == 1
    assert list(Ledger.objects.using(stack.alias).values_list("entry", flat=True)) == ["done"]


def test_cancel_asks_a_running_job_and_terminate_kills_its_process(stack):
    asked = schedule_job("0s", f"{PATH}work_until_told_to_stop", args=["raise"], max_attempts=3, using=stack.alias)
    killed = schedule_job("0s", f"{PATH}sleep", args=[600], max_attempts=3, using=stack.alias)
    wait_for(asked, "running")
    wait_for(killed, "running")

    asked.cancel()
    killed.cancel(terminate=True)

    asked, killed = wait_for(asked, "cancelled"), wait_for(killed, "cancelled")
    assert "as you wish" in asked.error
    assert "Terminated" in killed.error or "SystemExit" in killed.error
    assert (asked.attempts, killed.attempts) == (1, 1)
    assert not Ledger.objects.using(stack.alias).exists()


def test_whoever_revokes_a_message_cancels_its_job(project):
    """As Flower's buttons do."""
    stack = project("postgresql", "redis", FUTURE_CELERY_DISPATCH_LEASE_SECONDS=600.0)
    stack.worker("-c", "1")
    stack.beat()
    first = schedule_job("0s", f"{PATH}sleep", args=[600], max_attempts=3, using=stack.alias)
    first = wait_for(first, "running")
    waits = schedule_job("0s", f"{PATH}note", using=stack.alias)
    wait_until(lambda: f"{PATH}note[" in stack.log("worker"), what="the message at the worker")
    task_id = stack.log("worker").partition(f"{PATH}note[")[2].partition("]")[0]

    app = stack.app()
    app.control.revoke(task_id)
    wait_until(lambda: f"Tasks flagged as revoked: {task_id}" in stack.log("worker"), what="the revoke")
    app.control.revoke(first.task_id, terminate=True)

    assert wait_for(first, "cancelled").attempts == 1
    assert wait_for(waits, "cancelled").attempts == 0
