"""Several beats: each looks after jobs, one sends the periodic tasks, and another goes on when that one is gone."""

import os
import signal
import time

import pytest

from django_future_celery import schedule_job
from django_future_celery.models import BeatLease, ScheduledJob
from tests.processes import wait_until
from tests.proxy import Proxy
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

NAMES = ("beat1", "beat2")
LEASE = 3.0
WITHOUT_BEAT_APP = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_future_celery",
    "tests.shop",
]


@pytest.fixture(params=["rows", "file"])
def beats(project, request):
    """Two beats, on django-celery-beat or on Celery's own scheduler, and a worker; a periodic task each second."""
    if request.param == "rows":
        models = pytest.importorskip("django_celery_beat.models")
        stack = project("postgresql", "redis", FUTURE_CELERY_BEAT_LEASE_SECONDS=LEASE)
        second = models.IntervalSchedule.objects.using(stack.alias).create(every=1, period="seconds")
        models.PeriodicTask.objects.using(stack.alias).create(
            name="often", task="tests.shop.tasks.periodic", interval=second
        )
    else:
        stack = project(
            "postgresql",
            "redis",
            FUTURE_CELERY_BEAT_LEASE_SECONDS=LEASE,
            INSTALLED_APPS=WITHOUT_BEAT_APP,
            CELERY_BEAT_SCHEDULE={"often": {"task": "tests.shop.tasks.periodic", "schedule": 1.0}},
        )
    return Beats(stack, request.param)


class Beats:
    def __init__(self, stack, kind):
        self.stack = stack
        self.kind = kind
        self.processes = {}

    def start(self):
        self.stack.worker()
        for name in NAMES:
            self.start_beat(name)
        wait_until(lambda: self.ledger() >= 2, what="two periodic tasks")

    def start_beat(self, name):
        file = ["-s", str(self.stack.folder / f"{name}-schedule")] if self.kind == "file" else []
        self.processes[name] = self.stack.beat("-S", "future", *file, name=name)

    def ledger(self):
        return Ledger.objects.using(self.stack.alias).filter(entry="periodic").count()

    def sent(self, name):
        return self.stack.log(name).count("Sending due task often ")

    def holder(self):
        """The name of the beat that has the lease; None if nobody has."""
        holder = BeatLease.objects.using(self.stack.alias).get().holder
        pids = {str(process.pid): name for name, process in self.processes.items()}
        return pids[holder.split(":")[1]] if holder else None

    def pair(self):
        holder = self.holder()
        [other] = set(NAMES) - {holder}
        return holder, other


def test_two_beats_send_what_one_would_send_and_when_it_is_killed_the_other_goes_on(beats):
    beats.start()
    holder, other = beats.pair()
    before, began = beats.ledger(), time.monotonic()
    time.sleep(6)
    count, seconds = beats.ledger() - before, time.monotonic() - began

    assert seconds / 2 < count <= seconds + 2
    assert beats.sent(other) == 0
    assert beats.holder() == holder

    os.killpg(beats.processes[holder].pid, signal.SIGKILL)
    wait_until(lambda: beats.sent(other) >= 2, 20, "the other's second task")
    assert beats.holder() == other


def test_a_holder_that_ends_hands_over_at_once(beats):
    beats.stack.settings["FUTURE_CELERY_BEAT_LEASE_SECONDS"] = 600.0
    beats.start()
    holder, other = beats.pair()
    beats.processes[holder].terminate()
    beats.processes[holder].wait(30)

    wait_until(lambda: beats.sent(other) >= 1, 20, "the other's first task")
    assert beats.holder() == other


def test_a_frozen_holder_keeps_neither_jobs_nor_periodic_tasks_waiting_and_sends_nothing_when_it_wakes(beats):
    beats.start()
    holder, other = beats.pair()
    began, before = time.monotonic(), beats.ledger()
    os.kill(beats.processes[holder].pid, signal.SIGSTOP)
    job = schedule_job("0s", "tests.shop.jobs.note", using=beats.stack.alias)
    rows = ScheduledJob.objects.using(beats.stack.alias)
    wait_until(lambda: rows.get(pk=job.pk).status == "complete", 30, "the end of the job")
    wait_until(lambda: beats.sent(other) >= 2, 20, "the other's second task")
    frozen = beats.sent(holder)
    os.kill(beats.processes[holder].pid, signal.SIGCONT)
    wait_until(lambda: "no longer sends" in beats.stack.log(holder), 20, "the frozen beat's insight")
    time.sleep(3)

    assert beats.sent(holder) == frozen
    assert beats.ledger() - before <= time.monotonic() - began + 2
    assert beats.holder() == other


@pytest.mark.parametrize("beats", ["rows"], indirect=True)
def test_a_holder_whose_network_is_cut_sends_no_more_until_it_leads_again(beats):
    stack = beats.stack
    config = stack.settings["DATABASES"]["default"]
    wire = Proxy(config["HOST"], config["PORT"] or 5432)
    direct = dict(config)
    stack.worker()
    config |= {"HOST": "127.0.0.1", "PORT": str(wire.port)}
    beats.start_beat("beat1")
    wait_until(lambda: beats.sent("beat1") >= 1, what="the first task")
    stack.settings["DATABASES"]["default"] = direct
    beats.start_beat("beat2")
    began, before = time.monotonic(), beats.ledger()

    wire.cut()
    wait_until(lambda: beats.sent("beat2") >= 2, 20, "the other's second task")
    cut = beats.sent("beat1")
    wire.mend()
    wait_until(lambda: "no longer sends" in stack.log("beat1"), 20, "its insight")
    beats.processes["beat2"].terminate()
    wait_until(lambda: beats.sent("beat1") > cut, 20, "its return to the lead")

    assert beats.ledger() - before <= time.monotonic() - began + 3
