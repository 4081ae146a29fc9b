"""Database and broker go away and come back: all recovers by itself, and the log says so once."""

import os
import re
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest

from django_future_celery import schedule_job
from django_future_celery.models import ScheduledJob
from django_future_celery.states import END_STATES
from tests.processes import ROOT, broker_url, wait_until
from tests.proxy import Proxy

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

#: How our log tells of an outage, in beat and in a worker's process, and of what.
NEWS = {
    "The database 'default' does not answer": "database",
    "The periodic tasks wait": "database",
    "The broker does not take messages": "broker",
    "The broker went away": "broker",
    "Could not renew": "heartbeat",
}


@pytest.fixture
def wired(project):
    """Make a project with a wire to its database and one to its broker."""
    wires = []

    def make(broker="redis", **settings):
        stack = project(
            "postgresql",
            broker,
            FUTURE_CELERY_DISPATCH_LEASE_SECONDS=3.0,
            FUTURE_CELERY_HEARTBEAT_SECONDS=1.0,
            CELERY_BROKER_CONNECTION_TIMEOUT=2.0,
            **settings,
        )
        config = stack.settings["DATABASES"]["default"]
        stack.wires = {"database": Proxy(config["HOST"], config["PORT"] or 5432)}
        config |= {"HOST": "127.0.0.1", "PORT": str(stack.wires["database"].port)}
        url = urlsplit(broker_url(broker))
        stack.wires["broker"] = Proxy(url.hostname, url.port)
        userinfo = f"{url.username}:{url.password}@" if url.username else ""
        address = f"{userinfo}127.0.0.1:{stack.wires['broker'].port}"
        stack.settings["CELERY_BROKER_URL"] = url._replace(netloc=address).geturl()
        wires.extend(stack.wires.values())
        return stack

    yield make
    for wire in wires:
        wire.cut()


def schedule(stack, name="note", **options):
    return schedule_job("0s", f"tests.shop.jobs.{name}", using=stack.alias, **options)


def often(stack):
    """Have a periodic task sent each second, too."""
    models = pytest.importorskip("django_celery_beat.models")
    second = models.IntervalSchedule.objects.using(stack.alias).create(every=1, period="seconds")
    models.PeriodicTask.objects.using(stack.alias).create(
        name="often", task="tests.shop.tasks.periodic", interval=second
    )


def waiting(stack):
    return ScheduledJob.objects.using(stack.alias).exclude(status__in=END_STATES)


def wait_for_all(stack):
    wait_until(lambda: not waiting(stack).exists(), what="the end of all jobs")


def news(stack, log):
    told = re.findall(rf": WARNING/\S+\] ({'|'.join(NEWS)})", stack.log(log))
    return [NEWS[each] for each in told]


@pytest.mark.parametrize(
    ("broker", "away"),
    [
        ("redis", ["database"]),
        ("redis", ["broker"]),
        ("redis", ["database", "broker"]),
        ("rabbitmq", ["broker"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_beat_and_worker_outlive_an_outage_and_say_so_once(wired, broker, away):
    stack = wired(broker)
    often(stack)
    worker, beat = stack.worker(), stack.beat()
    schedule(stack)
    wait_for_all(stack)

    for name in away:
        stack.wires[name].cut()
    for _ in range(5):
        schedule(stack)
    wait_until(lambda: news(stack, "beat"), what="the warning")
    time.sleep(5)  # it tries again and again
    for name in away:
        stack.wires[name].mend()

    wait_for_all(stack)
    assert set(ScheduledJob.objects.using(stack.alias).values_list("status", "attempts")) == {("complete", 1)}
    assert (worker.poll(), beat.poll()) == (None, None)
    # Of two that are away one may hide the other.
    told = news(stack, "beat")
    assert len(set(told)) == len(told)
    assert set(told) <= set(away)
    back = {"database": "The database 'default' is back", "broker": "The broker is back"}
    for name in told:
        wait_until(lambda text=back[name]: stack.log("beat").count(text) == 1, what=back[name])


@pytest.fixture
def long_run(wired):
    """A project whose worker is in the midst of a job of some seconds."""
    stack = wired()
    stack.worker()
    stack.beat()
    job = schedule(stack, "sleep", args=[5])
    wait_until(ScheduledJob.objects.using(stack.alias).running().exists, what="the start")
    return stack, job


def test_a_run_whose_database_goes_away_is_recorded_when_it_is_back_and_its_process_said_so_once(long_run):
    """Its transaction is gone; the record of that waits for some ten seconds."""
    stack, job = long_run
    stack.wires["database"].cut()
    wait_until(lambda: news(stack, "worker"), what="the warning of the heartbeat")
    time.sleep(5)
    stack.wires["database"].mend()

    wait_for_all(stack)
    job = ScheduledJob.objects.using(stack.alias).get(pk=job.pk)
    assert job.status == "failed"
    assert "OperationalError" in job.error
    assert news(stack, "worker") == ["heartbeat"]


def test_a_run_does_not_care_whether_the_broker_is_there(long_run):
    stack, job = long_run
    stack.wires["broker"].cut()
    wait_for_all(stack)
    stack.wires["broker"].mend()

    assert ScheduledJob.objects.using(stack.alias).get(pk=job.pk).status == "complete"
    schedule(stack)
    wait_for_all(stack)


# -- the command ------------------------------------------------------------------------------------------------------


def run_command(stack):
    return subprocess.Popen(
        [sys.executable, "-m", "django", "runscheduledjobs"],
        cwd=ROOT,
        env=os.environ | stack.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_to_end(command):
    command.communicate(timeout=60)
    return command.returncode


def test_the_command_says_in_one_line_that_its_database_is_away(wired):
    stack = wired()
    stack.settings["SILENCED_SYSTEM_CHECKS"] = ["future_celery.W104", "future_celery.W107"]  # short leases, bare Redis
    stack.wires["database"].cut()
    command = run_command(stack)
    out, err = command.communicate(timeout=60)

    assert command.returncode == 1
    assert re.fullmatch(r"CommandError: The database 'default' does not answer: .+\n", err)
    assert out == "0 complete, 0 failed\n"


def test_the_command_records_a_run_whose_database_went_away_for_a_moment(wired):
    stack = wired()
    lost, later = schedule(stack, "sleep", args=[3]), schedule(stack)
    command = run_command(stack)
    wait_until(ScheduledJob.objects.using(stack.alias).running().exists, what="the start")
    stack.wires["database"].cut()
    time.sleep(4)
    stack.wires["database"].mend()
    err = command.communicate(timeout=60)[1]

    rows = ScheduledJob.objects.using(stack.alias)
    assert rows.get(pk=lost.pk).status == "failed"
    assert "OperationalError" in rows.get(pk=lost.pk).error
    assert command.returncode == 1 and f"Job {lost.pk}, tests.shop.jobs.sleep, failed" in err
    assert rows.get(pk=later.pk).status == "scheduled"


def test_the_command_that_cannot_record_a_run_ends_and_the_next_one_ends_the_run(wired):
    stack = wired(FUTURE_CELERY_RUN_LEASE_SECONDS=4.0)
    lost, later = schedule(stack, "sleep", args=[1]), schedule(stack)
    command = run_command(stack)
    wait_until(ScheduledJob.objects.using(stack.alias).running().exists, what="the start")
    stack.wires["database"].cut()
    assert run_to_end(command) == 1
    stack.wires["database"].mend()

    assert run_to_end(run_command(stack)) == 0
    rows = ScheduledJob.objects.using(stack.alias)
    assert rows.get(pk=lost.pk).status == "failed" and "Worker lost" in rows.get(pk=lost.pk).error
    assert rows.get(pk=later.pk).status == "complete"


# -- who schedules ----------------------------------------------------------------------------------------------------

SCHEDULE = """
import django
django.setup()
from django_future_celery import schedule_job
print(schedule_job("0s", "tests.shop.jobs.note").pk)
"""


def schedule_elsewhere(stack):
    environment = os.environ | stack.environment()
    command = [sys.executable, "-c", SCHEDULE]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_who_schedules_a_job_never_looks_at_the_broker(project):
    """It would hang here: whoever connects gets no answer."""
    with socket.create_server(("127.0.0.1", 0)) as broker:
        stack = project("postgresql", "filesystem")
        stack.settings["CELERY_BROKER_URL"] = f"redis://127.0.0.1:{broker.getsockname()[1]}/0"
        pk = schedule_elsewhere(stack)
        broker.settimeout(0)
        with pytest.raises(BlockingIOError):
            broker.accept()

    assert ScheduledJob.objects.using(stack.alias).get(pk=pk).status == "scheduled"


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//", None])
def test_jobs_are_scheduled_with_a_broker_that_refuses_and_with_none_at_all(project, broker):
    stack = project("postgresql", "filesystem")
    if broker is None:
        for name in [name for name in stack.settings if name.startswith("CELERY_")]:
            del stack.settings[name]
    else:
        stack.settings["CELERY_BROKER_URL"] = broker

    assert ScheduledJob.objects.using(stack.alias).get(pk=schedule_elsewhere(stack)).status == "scheduled"
