"""run_jobs and the command runscheduledjobs: what is due, in this process, with no broker."""

import os
import re
import subprocess
import sys
import threading
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_future_celery import job_as_parameter, processing, run_jobs, schedule_job
from django_future_celery.clock import SECOND, database_now, to_datetime
from django_future_celery.exceptions import InsideTransaction
from django_future_celery.models import ScheduledJob
from tests.factories import MINUTE, due_job, row_of, started_job
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__")

ROOT = Path(__file__).parent.parent
PATH = "tests.shop.jobs."


def ledger(alias):
    return list(Ledger.objects.using(alias).order_by("pk").values_list("entry", flat=True))


def note(alias, entry, **columns):
    """A due job that leaves ``entry`` in the ledger."""
    return due_job(alias, args_text=f'["{entry}"]', **columns)


def raising(alias, **columns):
    return due_job(alias, callable_name=f"{PATH}write_and_raise", **columns)


def status_of(*jobs):
    return [row_of(job)["status"] for job in jobs]


# -- which rows, in which order ---------------------------------------------------------------------------------------


def test_jobs_run_in_the_order_of_priority_and_then_of_their_start_and_then_of_their_id(alias):
    start = timezone.now() - MINUTE
    for entry, priority, seconds in [
        ("6 low", -100, -50),
        ("4 normal, later", 0, -10),
        ("3 normal, sooner", 0, -20),
        ("1 high", 100, 0),
        ("5 normal, later, inserted later", 0, -10),
        ("2 a little higher than normal", 1, 0),
    ]:
        note(alias, entry, priority=priority, time_slot_start=start + timedelta(seconds=seconds))
    run_jobs(using=alias)

    assert [entry[0] for entry in ledger(alias)] == list("123456")


@pytest.mark.parametrize("page", [1, 2, 3, 7])
def test_more_jobs_than_fit_on_a_page_run_in_the_same_order(alias, monkeypatch, page):
    """Several start at the same instant: the page ends between two of them."""
    monkeypatch.setattr(processing, "PAGE", page)
    start = timezone.now() - MINUTE
    entries = [f"{priority} {seconds} {number}" for priority in "21" for seconds in "01" for number in "123"]
    for entry in sorted(entries, key=lambda entry: entry[-1]):
        priority, seconds, _ = map(int, entry.split())
        note(alias, entry, priority=priority, time_slot_start=start + timedelta(seconds=seconds))
    run_jobs(using=alias)

    assert ledger(alias) == entries


def test_a_page_may_be_all_expired(alias, rows, monkeypatch):
    monkeypatch.setattr(processing, "PAGE", 2)
    start = timezone.now() - timedelta(hours=2)
    over = [note(alias, "over", time_slot_start=start, time_slot_end=start + MINUTE) for _ in range(5)]
    note(alias, "in time")
    run_jobs(using=alias)

    assert set(status_of(*over)) == {"expired"}
    assert ledger(alias) == ["in time"]


def test_a_page_is_read_without_errors_and_results(alias):
    """They may be long, and no run needs them."""
    note(alias, "fine")
    jobs = processing.Pass(alias)
    with CaptureQueriesContext(connections[alias]) as queries:
        [due] = next(jobs.pages())

    assert due.get_deferred_fields() == {"error", "return_value"}
    assert all("return_value" not in query["sql"] for query in queries)


def test_jobs_that_schedule_others_come_to_an_end(alias, rows):
    """The highest id is fixed when the pass begins."""
    schedule_job("0s", f"{__name__}.schedule_another", using=alias)
    run_jobs(using=alias)

    assert ledger(alias) == ["another"]
    assert sorted(rows.values_list("status", flat=True)) == ["complete", "scheduled"]

    run_jobs(using=alias)
    assert ledger(alias) == ["another"] * 2


@job_as_parameter
def schedule_another(job):
    """The new one is due at once, and higher in the order than its parent."""
    Ledger.objects.using(job._state.db).create(entry="another")
    job.reschedule(timezone.now() - MINUTE, priority=job.priority - 1)


def test_a_job_that_is_to_be_tried_again_runs_once_in_a_pass(alias, settings):
    settings.FUTURE_CELERY_RETRY_BACKOFF_SECONDS = 1e-6
    job = schedule_job("0s", f"{PATH}fail_first", kwargs={"until": 3}, max_attempts=3, using=alias)

    for attempts in (1, 2):
        run_jobs(ignore_errors=True, using=alias)
        assert (row_of(job)["status"], row_of(job)["attempts"]) == ("scheduled", attempts)

    run_jobs(using=alias)
    assert (row_of(job)["status"], row_of(job)["attempts"]) == ("complete", 3)


def test_a_job_that_raised_waits_for_its_pause(alias, rows):
    job = schedule_job("0s", f"{PATH}fail_first", max_attempts=3, using=alias)
    run_jobs(ignore_errors=True, using=alias)
    run_jobs(using=alias)
    assert (row_of(job)["status"], row_of(job)["attempts"]) == ("scheduled", 1)

    rows.filter(pk=job.pk).update(wake_at=database_now(alias))  # as if the pause were over
    run_jobs(using=alias)
    assert (row_of(job)["status"], row_of(job)["attempts"]) == ("complete", 2)


def test_a_job_with_a_message_out_is_left_to_the_worker_until_its_lease_is_over(alias, rows, now):
    sent, lost = note(alias, "sent"), note(alias, "its message was lost")
    rows.lease([sent], now)
    rows.lease([lost], now - 61 * SECOND)
    run_jobs(using=alias)

    assert ledger(alias) == ["its message was lost"]
    assert status_of(sent, lost) == ["scheduled", "complete"]
    assert row_of(sent)["dispatched_at"] is not None


def test_a_job_that_was_cancelled_by_an_earlier_one_is_not_run(alias):
    victim = note(alias, "must not run", priority=-1)
    due_job(alias, callable_name=f"{__name__}.cancel_all_others")
    run_jobs(using=alias)

    assert ledger(alias) == []
    assert status_of(victim) == ["cancelled"]


@job_as_parameter
def cancel_all_others(job):
    ScheduledJob.objects.using(job._state.db).cancel()


def test_a_job_that_was_deleted_by_an_earlier_one_is_no_trouble(alias, rows):
    note(alias, "must not run", priority=-1)
    due_job(alias, callable_name=f"{__name__}.delete_all_others")
    last = note(alias, "last", priority=-2)
    run_jobs(using=alias)

    assert ledger(alias) == ["last"]
    assert status_of(last) == ["complete"]


@job_as_parameter
def delete_all_others(job):
    ScheduledJob.objects.using(job._state.db).scheduled().filter(priority=-1).delete()


def test_expired_jobs_are_marked_and_never_raise(alias):
    start = timezone.now() - timedelta(hours=2)
    slot = {"time_slot_start": start, "time_slot_end": start + MINUTE}
    never = note(alias, "too late", **slot)
    once = note(alias, "too late", attempts=1, max_attempts=2, error="ValueError: first", **slot)
    run_jobs(using=alias)

    assert status_of(never, once) == ["expired", "failed"]
    assert row_of(once)["error"].startswith("ValueError: first\nNot tried again")
    assert ledger(alias) == []


def test_lost_runs_are_recovered_first(alias, rows):
    failed, again = started_job(alias), started_job(alias, max_attempts=2)
    rows.filter(pk__in=[failed.pk, again.pk]).update(wake_at=1)
    run_jobs(using=alias)

    assert status_of(failed, again) == ["failed", "scheduled"]
    assert all(row_of(job)["error"].startswith("Worker lost: host:1") for job in (failed, again))


def test_runs_that_are_alive_are_left_alone(alias):
    job = started_job(alias)
    before = row_of(job)
    run_jobs(using=alias)

    assert row_of(job) == before


# -- errors -----------------------------------------------------------------------------------------------------------


class TestErrors:
    def test_are_raised_as_they_are(self, alias):
        due_job(alias, callable_name=f"{__name__}.raise_mine")
        with pytest.raises(Mine) as raised:
            run_jobs(using=alias)

        error = raised.value
        assert type(error) is Mine
        assert error.args == ("mine",)
        assert not hasattr(error, "__notes__")
        assert error.__cause__ is None

    def test_are_recorded_before_they_are_raised(self, alias):
        job = raising(alias)
        with pytest.raises(ValueError):
            run_jobs(using=alias)

        assert row_of(job)["status"] == "failed"
        assert "ValueError: boom" in row_of(job)["error"]

    def test_leave_the_jobs_after_them_due(self, alias):
        raising(alias, priority=1)
        other = note(alias, "other")
        before = row_of(other)
        with pytest.raises(ValueError):
            run_jobs(using=alias)
        assert row_of(other) == before

        run_jobs(using=alias)
        assert ledger(alias) == ["other"]

    def test_of_a_job_with_attempts_left_are_raised_too(self, alias):
        job = raising(alias, max_attempts=2)
        with pytest.raises(ValueError):
            run_jobs(using=alias)

        assert status_of(job) == ["scheduled"]

    def test_are_ignored_on_request_and_recorded_all_the_same(self, alias):
        bad = [raising(alias, priority=1), raising(alias, priority=1)]
        other = note(alias, "other")
        run_jobs(ignore_errors=True, using=alias)

        assert status_of(*bad, other) == ["failed", "failed", "complete"]
        assert all("ValueError: boom" in row_of(job)["error"] for job in bad)

    @pytest.mark.parametrize(
        ("name", "ignore"), [("SystemExit", False), ("KeyboardInterrupt", False), ("KeyboardInterrupt", True)]
    )
    def test_that_are_no_exceptions_are_recorded_and_never_ignored(self, alias, ignore, name):
        job = due_job(alias, callable_name=f"{__name__}.raise_by_name", args_text=f'["{name}"]')
        with pytest.raises(BaseException, match=r"^mine$") as raised:
            run_jobs(ignore_errors=ignore, using=alias)

        assert type(raised.value).__name__ == name
        assert status_of(job) == ["failed"]

    def test_the_exit_of_a_job_is_an_error_like_others(self, alias):
        job = due_job(alias, callable_name=f"{__name__}.raise_by_name", args_text='["SystemExit"]', priority=1)
        other = note(alias, "other")
        run_jobs(ignore_errors=True, using=alias)

        assert status_of(job, other) == ["failed", "complete"]

    def test_are_not_printed(self, alias, capfd):
        raising(alias)
        note(alias, "fine")
        run_jobs(ignore_errors=True, using=alias)

        assert capfd.readouterr().out == ""


class Mine(Exception):
    pass


def raise_mine():
    raise Mine("mine")


def raise_by_name(name):
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}[name]("mine")


# -- now --------------------------------------------------------------------------------------------------------------


class TestNow:
    def test_makes_future_jobs_due(self, alias):
        soon = note(alias, "soon", time_slot_start=timezone.now() + MINUTE)
        late = note(alias, "late", time_slot_start=timezone.now() + 3 * MINUTE)
        run_jobs(now=timezone.now() + 2 * MINUTE, using=alias)

        assert ledger(alias) == ["soon"]
        assert status_of(soon, late) == ["complete", "scheduled"]

    def test_ends_slots(self, alias):
        job = note(alias, "too late")
        run_jobs(now=timezone.now() + timedelta(hours=2), using=alias)

        assert status_of(job) == ["expired"]

    def test_in_the_past_leaves_due_jobs_alone(self, alias):
        job = note(alias, "now")
        run_jobs(now=timezone.now() - timedelta(hours=1), using=alias)

        assert status_of(job) == ["scheduled"]

    def test_in_the_past_opens_slots_again(self, alias):
        start = timezone.now() - timedelta(hours=2)
        job = note(alias, "back then", time_slot_start=start, time_slot_end=start + MINUTE)
        run_jobs(now=start, using=alias)

        assert status_of(job) == ["complete"]

    def test_never_replaces_the_clock_of_leases(self, alias, rows, now):
        sent, running = note(alias, "sent"), started_job(alias)
        rows.lease([sent], now)
        pausing = due_job(alias, attempts=1, max_attempts=2, wake_at=now + 30 * SECOND)
        before = [row_of(job) for job in (sent, running, pausing)]
        run_jobs(now=timezone.now() + 10 * MINUTE, using=alias)

        assert [row_of(job) for job in (sent, running, pausing)] == before

    def test_never_replaces_the_clock_of_what_happened(self, alias):
        job = note(alias, "soon", time_slot_start=timezone.now() + timedelta(days=1), time_slot_end=None)
        run_jobs(now=timezone.now() + timedelta(days=2), using=alias)

        row = row_of(job)
        assert abs(row["execution_start"] - timezone.now()) < MINUTE
        assert abs(row["execution_end"] - timezone.now()) < MINUTE

    def test_is_fixed_when_the_pass_begins(self, alias):
        """A job that becomes due while another one runs waits for the next pass."""
        other = note(alias, "other", time_slot_start=timezone.now() + timedelta(days=1), priority=-1)
        due_job(alias, callable_name=f"{__name__}.make_all_others_due")
        run_jobs(using=alias)
        assert status_of(other) == ["scheduled"]
        assert row_of(other)["time_slot_start"] <= timezone.now()

        run_jobs(using=alias)
        assert status_of(other) == ["complete"]

    def test_is_one_instant_for_all_jobs_of_a_pass(self, alias):
        """Time travel: an expiry that is over by the wall clock, but not by the given one."""
        then = timezone.now() - timedelta(days=30)
        jobs = [note(alias, str(n), time_slot_start=then, time_slot_end=then) for n in range(3)]
        run_jobs(now=then, using=alias)

        assert set(status_of(*jobs)) == {"complete"}


@job_as_parameter
def make_all_others_due(job):
    for other in ScheduledJob.objects.using(job._state.db).scheduled():
        other.time_slot_start = to_datetime(database_now(job._state.db))
        other.save()


# -- delete_completed -------------------------------------------------------------------------------------------------


def test_only_complete_jobs_are_deleted(alias, rows):
    start = timezone.now() - timedelta(hours=2)
    kept = {
        raising(alias).pk: "failed",
        raising(alias, max_attempts=2).pk: "scheduled",
        note(alias, "late", time_slot_start=start, time_slot_end=start).pk: "expired",
        started_job(alias).pk: "running",
    }
    note(alias, "gone")
    run_jobs(delete_completed=True, ignore_errors=True, using=alias)

    assert dict(rows.values_list("pk", "status")) == kept
    assert ledger(alias) == ["gone"]


def test_jobs_that_were_complete_before_are_not_deleted(alias, rows):
    old = note(alias, "old")
    run_jobs(using=alias)
    note(alias, "new")
    run_jobs(delete_completed=True, using=alias)

    assert [job.pk for job in rows.all()] == [old.pk]


# -- transactions and databases ---------------------------------------------------------------------------------------


def test_inside_somebodys_transaction_it_refuses_with_the_cure(alias):
    job = note(alias, "must not run")
    with pytest.raises(InsideTransaction, match=r"call run_jobs\(\) outside of it"), transaction.atomic(using=alias):
        run_jobs(using=alias)

    assert status_of(job) == ["scheduled"]


@pytest.mark.django_db(databases="__all__", transaction=True)
@pytest.mark.parametrize("now", [None, timezone.now() + MINUTE], ids=["clock", "now"])
def test_inside_a_real_transaction_it_refuses_too(alias, now):
    job = note(alias, "must not run")
    with pytest.raises(RuntimeError), transaction.atomic(using=alias):
        run_jobs(now=now, using=alias)

    assert status_of(job) == ["scheduled"]


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_in_a_transaction_of_any_of_its_databases_it_refuses_before_the_first_job(settings):
    aliases = settings.FUTURE_CELERY_DATABASES = list(settings.DATABASES)
    if len(aliases) == 1:
        pytest.skip("one database only")
    job = note(aliases[0], "must not run")
    with pytest.raises(InsideTransaction), transaction.atomic(using=aliases[-1]):
        run_jobs()

    assert status_of(job) == ["scheduled"]


def test_all_databases_of_the_setting_are_looked_into(settings):
    aliases = settings.FUTURE_CELERY_DATABASES = list(settings.DATABASES)
    jobs = [note(alias, f"in {alias}") for alias in aliases]
    run_jobs()

    assert set(status_of(*jobs)) == {"complete"}
    assert [ledger(alias) for alias in aliases] == [[f"in {alias}"] for alias in aliases]


def test_only_the_default_database_is_looked_into_without_the_setting(settings):
    jobs = [note(alias, f"in {alias}") for alias in settings.DATABASES]
    run_jobs()

    assert status_of(*jobs) == ["complete", *["scheduled"] * (len(jobs) - 1)]


def test_only_the_given_database_is_looked_into(alias, settings):
    settings.FUTURE_CELERY_DATABASES = list(settings.DATABASES)
    jobs = [note(name, f"in {name}") for name in settings.DATABASES]
    run_jobs(using=alias)

    assert [job._state.db for job in jobs if status_of(job) == ["complete"]] == [alias]


# -- the command in this process --------------------------------------------------------------------------------------


@pytest.fixture
def command(alias):
    """Call the command; give what it wrote to stdout and stderr, and its error."""

    def call(*flags):
        out, err, error = StringIO(), StringIO(), None
        try:
            call_command("runscheduledjobs", "--database", alias, *flags, stdout=out, stderr=err)
        except CommandError as raised:
            error = raised
        return out.getvalue().strip(), err.getvalue(), error

    return call


class TestCommand:
    def test_says_in_one_line_what_it_did(self, alias, command, rows):
        start = timezone.now() - timedelta(hours=2)
        note(alias, "fine")
        note(alias, "fine")
        raising(alias)
        raising(alias, max_attempts=2)
        note(alias, "late", time_slot_start=start, time_slot_end=start)
        lost = started_job(alias)
        rows.filter(pk=lost.pk).update(wake_at=1)
        out, _, error = command("-i")

        assert out == "2 complete, 1 failed, 1 to be tried again, 1 expired, 1 lost in an earlier run"
        assert error is None

    def test_says_so_when_nothing_was_due(self, command):
        assert command() == ("0 complete, 0 failed", "", None)

    def test_shows_the_traceback_and_ends_as_a_failure(self, alias, command):
        job = raising(alias, priority=1)
        other = note(alias, "other")
        out, err, error = command()

        assert err.startswith("Traceback (most recent call last)") and "ValueError: boom" in err
        assert f"Job {job.pk}, {PATH}write_and_raise, failed; -i goes on" in str(error)
        assert error.returncode == 1
        assert out == "0 complete, 1 failed"
        assert status_of(job, other) == ["failed", "scheduled"]

    def test_masks_secrets_in_the_traceback(self, alias, command):
        due_job(alias, callable_name=f"{PATH}write_and_raise", args_text='["password=hunter2"]')
        assert "password=***" in (err := command()[1]) and "hunter2" not in err

    def test_with_i_shows_the_traceback_and_goes_on(self, alias, command):
        raising(alias, priority=1)
        note(alias, "other")
        out, err, error = command("-i")

        assert err.count("ValueError: boom") == 1
        assert (out, error) == ("1 complete, 1 failed", None)

    def test_with_d_deletes_what_completed(self, alias, command, rows):
        note(alias, "gone", priority=1)
        bad = raising(alias)
        command("-d")

        assert [job.pk for job in rows.all()] == [bad.pk]

    @pytest.mark.parametrize("code", ["0", "3", "null"])
    def test_does_not_take_a_jobs_exit_for_its_own_success(self, alias, command, code):
        job = due_job(alias, callable_name="sys.exit", args_text=f"[{code}]", priority=1)
        other = note(alias, "other")
        _, err, error = command()

        assert "SystemExit" in err
        assert error is not None and error.returncode == 1
        assert status_of(job, other) == ["failed", "scheduled"]

    def test_with_i_goes_on_after_a_jobs_exit(self, alias, command):
        job = due_job(alias, callable_name="sys.exit", args_text="[0]", priority=1)
        other = note(alias, "other")

        assert command("-i")[2] is None
        assert status_of(job, other) == ["failed", "complete"]

    @pytest.mark.parametrize("flags", [[], ["-i"]])
    def test_ends_at_ctrl_c_after_recording_it(self, alias, command, flags):
        job = due_job(alias, callable_name=f"{__name__}.raise_by_name", args_text='["KeyboardInterrupt"]', priority=1)
        other = note(alias, "other")
        with pytest.raises(KeyboardInterrupt):
            command(*flags)

        assert status_of(job, other) == ["failed", "scheduled"]

    def test_looks_into_all_databases_without_the_flag(self, settings):
        settings.FUTURE_CELERY_DATABASES = list(settings.DATABASES)
        jobs = [note(name, f"in {name}") for name in settings.DATABASES]
        out = StringIO()
        call_command("runscheduledjobs", stdout=out)

        assert set(status_of(*jobs)) == {"complete"}
        assert out.getvalue().strip() == f"{len(jobs)} complete, 0 failed"

    def test_refuses_a_database_that_is_none(self):
        with pytest.raises(CommandError, match="nowhere"):
            call_command("runscheduledjobs", "--database", "nowhere", stdout=StringIO())

    def test_draws_no_bar_where_nobody_looks(self, alias, command, capfd):
        note(alias, "fine")
        command()

        assert capfd.readouterr().err == ""

    def test_draws_a_bar_on_a_terminal(self, alias, monkeypatch):
        class Terminal(StringIO):
            def isatty(self):
                return True

        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        for number in range(3):
            note(alias, str(number))
        call_command("runscheduledjobs", "--database", alias, stdout=StringIO())

        assert re.search(r"\b0/3\b", terminal.getvalue())


# -- the command in a process of its own ------------------------------------------------------------------------------

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_future_celery", "tests.shop"]
DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": {name!r},
        "OPTIONS": {{"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL"}},
    }}
}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""


@pytest.fixture
def project(tmp_path):
    """Python with a project of its own: a SQLite file, and no broker configured."""
    (tmp_path / "throwaway.py").write_text(SETTINGS.format(name=str(tmp_path / "db.sqlite3")))
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "throwaway",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
    }

    def start(*command):
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(*command):
        process = start(*command)
        out, err = process.communicate(timeout=120)
        return process.returncode, out.strip(), err

    run.start = start
    assert run("-m", "django", "migrate", "--run-syncdb", "-v0")[0] == 0
    return run


PRELUDE = """
import django
django.setup()
from django.core.management import call_command
from django_future_celery import schedule_job
from django_future_celery.models import ScheduledJob
from tests.shop.models import Ledger
"""

NO_CELERY = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("celery", "kombu", "amqp", "redis", "django_celery_beat"):
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Refuse())
"""


def test_the_command_runs_jobs_where_celery_cannot_even_be_imported(project):
    code = f"""{NO_CELERY}{PRELUDE}
schedule_job("0s", "tests.shop.jobs.note", args=["fine"])
call_command("runscheduledjobs", "-d")
print([entry for entry in Ledger.objects.values_list("entry", flat=True)], ScheduledJob.objects.count())
assert "celery" not in sys.modules
"""
    assert project("-c", code) == (0, "1 complete, 0 failed\n['fine'] 0", "")


@pytest.mark.parametrize(
    ("path", "args", "flags", "code", "out"),
    [
        ("tests.shop.jobs.note", [], [], 0, "1 complete, 0 failed"),
        ("tests.shop.jobs.write_and_raise", [], [], 1, "0 complete, 1 failed"),
        ("tests.shop.jobs.write_and_raise", [], ["-i"], 0, "0 complete, 1 failed"),
        ("sys.exit", [0], [], 1, "0 complete, 1 failed"),
        ("sys.exit", [0], ["-i"], 0, "0 complete, 1 failed"),
    ],
)
def test_the_exit_code_tells_whether_a_job_failed(project, path, args, flags, code, out):
    assert project("-c", f"{PRELUDE}schedule_job('0s', {path!r}, args={args!r}, check=False)")[0] == 0
    returncode, stdout, stderr = project("-m", "django", "runscheduledjobs", *flags)

    assert (returncode, stdout) == (code, out), stderr
    assert ("Traceback" in stderr) is (path != "tests.shop.jobs.note")


def test_a_process_that_dies_in_a_job_leaves_the_others_for_the_next(project):
    assert (
        project(
            "-c",
            f"""{PRELUDE}
schedule_job("0s", "tests.shop.jobs.die", priority=1)
schedule_job("0s", "tests.shop.jobs.note", args=["other"])""",
        )[0]
        == 0
    )
    assert project("-m", "django", "runscheduledjobs")[0] == 7
    assert project("-m", "django", "runscheduledjobs") == (0, "1 complete, 0 failed", "")

    found = project("-c", f"{PRELUDE}print(list(ScheduledJob.objects.order_by('id').values_list('status', flat=True)))")
    assert found[1] == "['running', 'complete']"


def test_two_commands_side_by_side_run_each_job_once(project):
    number = 50
    code = f"""{PRELUDE}
for number in range({number}):
    schedule_job("0s", "tests.shop.jobs.note", args=[f"job {{number:02}}"])"""
    assert project("-c", code)[0] == 0

    processes = [project.start("-m", "django", "runscheduledjobs") for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert sum(int(out.split()[0]) for out, _ in ends) == number

    _, out, _ = project("-c", f"{PRELUDE}print(*sorted(Ledger.objects.values_list('entry', flat=True)), sep='\\n')")
    assert out.splitlines() == [f"job {each:02}" for each in range(number)]


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_no_thread_but_the_heartbeat_is_left_behind(alias):
    note(alias, "fine")
    before = set(threading.enumerate())
    run_jobs(using=alias)

    assert {thread.name for thread in set(threading.enumerate()) - before} <= {"future-celery-heartbeat"}


def test_a_naive_now_is_in_the_current_time_zone(alias):
    now = timezone.now() + 2 * MINUTE
    job = due_job(alias, time_slot_start=timezone.now() + MINUTE)
    run_jobs(now=timezone.make_naive(now) if timezone.is_aware(now) else now, using=alias)

    assert status_of(job) == ["complete"]
