"""Leases in each of Celery's pools: kept alive while the job runs, lost with a process that freezes."""

import os
import signal

import pytest

from django_future_celery import schedule_job
from django_future_celery.models import ScheduledJob
from tests.factories import row_of
from tests.processes import wait_until
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

PATH = "tests.shop.jobs."
POOLS = ["prefork", "threads", "solo", "gevent"]


@pytest.fixture(params=POOLS)
def stack(project, request):
    leases = {"FUTURE_CELERY_RUN_LEASE_SECONDS": 2.0, "FUTURE_CELERY_HEARTBEAT_SECONDS": 0.5}
    stack = project("postgresql", "redis", **leases)
    stack.pool = request.param
    return stack


def test_a_job_longer_than_its_lease_is_kept_alive_by_the_heartbeat(stack):
    jobs = [schedule_job("0s", f"{PATH}sleep", args=[6], using=stack.alias) for _ in range(1 + (stack.pool != "solo"))]
    stack.worker("-P", stack.pool)
    stack.beat()

    rows = ScheduledJob.objects.using(stack.alias)
    wait_until(lambda: not rows.exclude(status="complete").exists(), 40, f"the end of {jobs}")
    assert [row_of(job)["attempts"] for job in jobs] == [1] * len(jobs)


def test_a_process_that_froze_for_longer_than_its_lease_cannot_record_and_is_rolled_back(stack):
    worker = stack.worker("-P", stack.pool)
    stack.beat()
    job = schedule_job("0s", f"{PATH}sleep", args=[3], using=stack.alias)
    wait_until(lambda: row_of(job)["status"] == "running", what="the start")

    os.killpg(worker.pid, signal.SIGSTOP)
    wait_until(lambda: row_of(job)["status"] == "failed", what="the recovery")
    taken = row_of(job)
    os.killpg(worker.pid, signal.SIGCONT)
    wait_until(lambda: "was lost by this run, which was rolled back" in stack.log("worker"), what="the late end")

    assert taken["error"].startswith("Worker lost")
    assert row_of(job) == taken
    assert not Ledger.objects.using(stack.alias).exists()
