"""Jobs that share a message, in real workers: each has its own end, whatever becomes of the process and of the others.

All jobs are there before the beat is, so its first tick finds a backlog, and the messages are the same each time.
"""

import os
import signal
from collections import Counter

import pytest
from django.db import transaction

from django_future_celery import schedule_job
from django_future_celery.dispatcher import MESSAGES
from django_future_celery.models import ScheduledJob
from django_future_celery.states import END_STATES
from tests.processes import wait_until
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

PATH = "tests.shop.jobs."
NUMBER = 4 * MESSAGES
#: Who waits for a lease to end will not see the end of the test.
LEASES = ("RUN_LEASE", "HEARTBEAT", "DISPATCH_LEASE")
HOURS = {f"FUTURE_CELERY_{lease}_SECONDS": 3600.0 for lease in LEASES} | {"FUTURE_CELERY_HEARTBEAT_SECONDS": 600.0}
#: What waits behind a long job goes on waiting.
PATIENT = {"FUTURE_CELERY_BATCH_SECONDS": 3600.0}


def schedule(alias, others):
    """Schedule what makes MESSAGES messages of four jobs: notes, except for the ``others``, ``{number: call}``."""
    with transaction.atomic(using=alias):
        calls = [others.get(number, ("note",)) for number in range(NUMBER)]
        return [schedule_job("0s", PATH + name, args=args, using=alias) for name, *args in calls]


def rows_of(stack):
    return ScheduledJob.objects.using(stack.alias)


def ends(stack):
    """Wait until all jobs have ended; tell how many came to which end."""
    rows = rows_of(stack)
    wait_until(lambda: not rows.exclude(status__in=END_STATES).exists(), 30, "the end of all jobs")
    return Counter(rows.values_list("status", flat=True))


def attempts(stack):
    return set(rows_of(stack).values_list("attempts", flat=True))


def notes(stack):
    return Ledger.objects.using(stack.alias).filter(entry="done").count()


def wait_for_running(job):
    rows = ScheduledJob.objects.using(job._state.db)
    wait_until(lambda: rows.get(pk=job.pk).status == "running", what=f"the start of {job!r}")
    return rows.get(pk=job.pk)


def message_of(job):
    return job.task_id.partition(".")[0]


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_each_job_runs_once_and_celery_hears_of_jobs_only(project, listen, broker):
    stack = project("postgresql", broker)
    heard = listen(stack.broker)
    stack.worker("-E")
    wait_until(lambda: heard, what="the first event")
    schedule(stack.alias, {5: ("write_and_raise",)})
    stack.beat()

    assert ends(stack) == {"complete": NUMBER - 1, "failed": 1}
    assert attempts(stack) == {1}
    assert notes(stack) == NUMBER - 1
    jobs = list(rows_of(stack))
    assert len({message_of(job) for job in jobs}) == MESSAGES

    mine = {message_of(job) for job in jobs}

    def told():
        return [event for event in list(heard) if event.get("uuid", "").partition(".")[0] in mine]

    wait_until(lambda: len(told()) >= 3 * NUMBER, 20, "the events of all jobs")
    expected = {job.task_id: ["task-received", "task-started", last_event(job)] for job in jobs}
    assert {uuid: [each["type"] for each in told() if each["uuid"] == uuid] for uuid in expected} == expected
    assert {each["uuid"] for each in told()} == set(expected)
    names = {each["uuid"]: each["name"] for each in told() if each["type"] == "task-received"}
    assert names == {job.task_id: job.callable_name for job in jobs}


def last_event(job):
    return "task-succeeded" if job.status == "complete" else "task-failed"


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_of_a_process_that_is_killed_one_job_fails_and_those_behind_it_run_at_once(project, broker):
    stack = project("postgresql", broker, **HOURS, **PATIENT)
    stack.worker()
    jobs = schedule(stack.alias, {5: ("spin",)})
    stack.beat()
    spins = wait_for_running(jobs[5])
    wait_until(lambda: notes(stack) == NUMBER - 3, what="the end of the other messages")
    os.kill(int(spins.worker.rpartition(":")[2]), signal.SIGKILL)

    assert ends(stack) == {"complete": NUMBER - 1, "failed": 1}
    spins.refresh_from_db()
    assert spins.error.startswith("Worker lost") and "SIGKILL" in spins.error
    assert attempts(stack) == {1}
    assert notes(stack) == NUMBER - 1


def test_what_waits_behind_a_job_that_is_terminated_runs_at_once(project):
    stack = project("postgresql", "redis", **HOURS, **PATIENT)
    stack.worker()
    jobs = schedule(stack.alias, {5: ("sleep", 600)})
    stack.beat()
    sleeps = wait_for_running(jobs[5])
    wait_until(lambda: notes(stack) == NUMBER - 3, what="the end of the other messages")
    sleeps.cancel(terminate=True)

    assert ends(stack) == {"complete": NUMBER - 1, "cancelled": 1}
    assert attempts(stack) == {1}
    assert notes(stack) == NUMBER - 1


def test_what_waits_behind_a_long_job_is_run_by_others_meanwhile(project):
    stack = project("postgresql", "redis", **HOURS, FUTURE_CELERY_BATCH_SECONDS=0.5)
    stack.worker()
    jobs = schedule(stack.alias, {5: ("spin",)})
    stack.beat()
    spins = wait_for_running(jobs[5])

    wait_until(lambda: notes(stack) == NUMBER - 1, 30, "the end of the others")
    spins.refresh_from_db()
    assert (spins.status, message_of(spins) != spins.task_id) == ("running", True)
    assert attempts(stack) == {1}
    os.kill(int(spins.worker.rpartition(":")[2]), signal.SIGKILL)


def test_under_a_time_limit_of_the_worker_a_message_runs_one_job(project):
    stack = project("postgresql", "redis", **HOURS)
    stack.worker("--time-limit", "30")
    schedule(stack.alias, {})
    stack.beat()

    assert ends(stack) == {"complete": NUMBER}
    assert attempts(stack) == {1}
    assert notes(stack) == NUMBER
    jobs = list(rows_of(stack))
    assert len({message_of(job) for job in jobs}) == NUMBER
    assert any(message_of(job) != job.task_id for job in jobs)


def test_a_worker_that_is_to_end_starts_little_more_and_nothing_is_lost(project):
    """Eight jobs sleep for longer than a message may be old: of a message of four, only the first is run."""
    hours = HOURS | {"FUTURE_CELERY_DISPATCH_LEASE_SECONDS": 5.0}
    stack = project("postgresql", "redis", **hours, FUTURE_CELERY_BATCH_SECONDS=1.0)
    first = stack.worker()
    jobs = schedule(stack.alias, dict.fromkeys(range(8), ("sleep", 2)))
    stack.beat()
    wait_for_running(jobs[0])
    wait_for_running(jobs[4])
    first.terminate()
    first.wait(30)

    assert set(rows_of(stack).filter(attempts=1).values_list("pk", flat=True)) == {jobs[0].pk, jobs[4].pk}
    stack.worker(name="second")
    assert ends(stack) == {"complete": NUMBER}
    assert attempts(stack) == {1}
    assert notes(stack) == NUMBER - 8
