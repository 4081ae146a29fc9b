"""Jobs at their worst in real workers: each run has its end on its row, and the worker goes on."""

import pytest

from django_future_celery import schedule_job
from django_future_celery.models import ScheduledJob
from django_future_celery.states import END_STATES
from tests.processes import wait_until
from tests.shop.hard_jobs import RAISES
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

HARD = "tests.shop.hard_jobs."
LEASES = {"FUTURE_CELERY_RUN_LEASE_SECONDS": 3.0, "FUTURE_CELERY_HEARTBEAT_SECONDS": 1.0}
#: Time-outs for the worker's own connections, as the system check asks for.
REDIS = {"CELERY_BROKER_TRANSPORT_OPTIONS": {"socket_timeout": 5, "socket_connect_timeout": 5}}
RAISED = {name: name for name in RAISES if name not in ("huge", "UnicodeError")} | {
    "huge": "xxxxx",
    "UnicodeError": r"ValueError: \x00 and \udcff",
    "RecursionError": "RecursionError: maximum recursion depth exceeded",
    "ExceptionGroup": "KeyError: 'two'",
}
RETURNED = {
    "huge": "characters cut",
    "unstorable": r"\x00 and \udcff",
    "silent": "whose __str__ raised RuntimeError",
    "slow": "at last",
    "of no end": "[[...]]",
    "bytes": r"b'\xff\x00'",
    "false": "False",
    "empty": "",
}


def ledger(alias):
    return list(Ledger.objects.using(alias).order_by("pk").values_list("entry", flat=True))


class Hard:
    """Schedules jobs, and gives their rows once all have ended."""

    def __init__(self, alias):
        self.alias = alias
        self.jobs = {}

    def schedule(self, name, *args):
        path = name if "." in name else HARD + name
        self.jobs[name, *args] = schedule_job("0s", path, args=args, using=self.alias)

    def ends(self):
        rows = ScheduledJob.objects.using(self.alias)
        wait_until(lambda: not rows.exclude(status__in=END_STATES).exists(), 90, what="the end of all jobs")
        return {key: rows.get(pk=job.pk) for key, job in self.jobs.items()}


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_whatever_a_job_raises_is_recorded_and_its_worker_goes_on(project, pool):
    stack = project("postgresql", "redis", **REDIS)
    hard = Hard(stack.alias)
    for name in RAISED:
        hard.schedule("write_and_raise", name)
    hard.schedule("tests.shop.jobs.note")
    worker = stack.worker("-P", pool, "-c", "1")
    stack.beat()

    rows = hard.ends()
    check_failures(rows)
    assert rows["tests.shop.jobs.note",].status == "complete"
    assert ledger(stack.alias) == ["done"]
    assert worker.poll() is None


def test_whatever_a_job_raises_returns_or_dies_of_the_prefork_worker_goes_on(project):
    stack = project("postgresql", "redis", **LEASES | REDIS)
    hard = Hard(stack.alias)
    for name in ("write_and_crash", "write_and_be_killed", "write_and_eat", "write_in_threads"):
        hard.schedule(name)
    for name in RAISED:
        hard.schedule("write_and_raise", name)
    for name in RETURNED:
        hard.schedule("write_and_return", name)
    worker = stack.worker("-P", "prefork")
    stack.beat()

    rows = hard.ends()
    check_failures(rows)
    check_results(rows)
    for name in ("write_and_crash", "write_and_be_killed", "write_and_eat"):
        assert (rows[name,].status, rows[name,].attempts, rows[name,].error != "") == ("failed", 1, True)
    assert "MemoryError" in rows["write_and_eat",].error
    assert rows["write_in_threads",].status == "complete"
    written = ["by a thread"] * 3 + ["by the job"] + [f"returned {name}" for name in RETURNED]
    assert sorted(ledger(stack.alias)) == sorted(written)
    assert worker.poll() is None
    # Two children, and one in the place of each of the two that died.
    assert len({row.worker for row in rows.values()}) <= 4


def check_failures(rows):
    found = {key[1]: row for key, row in rows.items() if key[0] == "write_and_raise"}
    assert {name: row.status for name, row in found.items()} == dict.fromkeys(RAISED, "failed")
    assert [name for name, row in found.items() if RAISED[name] not in row.error] == []


def check_results(rows):
    found = {key[1]: row for key, row in rows.items() if key[0] == "write_and_return"}
    assert {name: row.status for name, row in found.items()} == dict.fromkeys(RETURNED, "complete")
    assert [name for name, row in found.items() if RETURNED[name] not in row.return_value] == []
    assert len(found["huge"].return_value) == 10_000


@pytest.mark.parametrize("mode", ["IMMEDIATE", "DEFERRED"])
def test_two_processes_on_one_sqlite_file_lose_nothing(project, mode):
    """With IMMEDIATE transactions they wait for each other; with DEFERRED ones some jobs, or all, fail and say why."""
    stack = project("sqlite3", "filesystem")
    options = {"transaction_mode": mode, "timeout": 20}
    stack.settings["DATABASES"]["default"]["OPTIONS"] = options
    rows = ScheduledJob.objects.using(stack.alias)
    for _ in range(20):
        schedule_job("0s", f"{HARD}read_then_write", using=stack.alias)
    commands = [stack.start("django", "runscheduledjobs", "-i", log=f"command{number}") for number in (1, 2)]
    for command in commands:
        assert command.wait(60) == 0

    complete = rows.filter(status="complete")
    failed = rows.filter(status="failed")
    assert complete.count() + failed.count() == 20
    assert {int(entry.split()[0]) for entry in ledger(stack.alias)} == set(complete.values_list("pk", flat=True))
    assert len(ledger(stack.alias)) == complete.count()
    assert all("database is locked" in job.error for job in failed)
    if mode == "IMMEDIATE":
        assert not failed
