"""What django-future's documentation says, statement by statement; each test quotes the one that it holds."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from django_future_celery import ScheduledJob as PublicScheduledJob
from django_future_celery import job_as_parameter, run_jobs, schedule_job
from django_future_celery.clock import to_micros
from django_future_celery.models import ScheduledJob
from django_future_celery.states import Status
from tests.factories import MINUTE, due_job, row_of, started_job
from tests.shop.models import Ledger, Order

pytestmark = pytest.mark.django_db(databases="__all__")

PATH = "tests.shop.jobs."
FIVE_DAYS, WEEK = timedelta(days=5), timedelta(days=7)


def ledger(alias):
    return list(Ledger.objects.using(alias).order_by("pk").values_list("entry", flat=True))


@contextmanager
def between_now_and_now():
    """Give the list of two instants: before and after the block."""
    instants = [timezone.now()]
    yield instants
    instants.append(timezone.now())


def naive(*parts):
    """A datetime as django-future's users write it, and the same as the database gives it back."""
    given = datetime(*parts)
    return given, timezone.make_aware(given) if settings.USE_TZ else given


class TestSchedulingTimes:
    def test_a_straight_datetime(self, alias):
        """You can use a straight datetime."""
        given, stored = naive(2010, 10, 10)
        job = schedule_job(given, f"{PATH}nothing", using=alias)

        assert row_of(job)["time_slot_start"] == stored

    def test_an_aware_datetime_is_the_same_instant(self, alias):
        given = datetime(2040, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
        job = schedule_job(given, f"{PATH}nothing", using=alias)

        assert to_micros(row_of(job)["time_slot_start"]) == to_micros(given)

    @pytest.mark.parametrize(
        ("given", "offset"),
        [
            (timedelta(days=5), FIVE_DAYS),
            ("5d", FIVE_DAYS),
            ("2w", 2 * WEEK),
            ("3h", timedelta(hours=3)),
            ("7m", timedelta(minutes=7)),
        ],
    )
    def test_an_offset_from_the_present(self, alias, given, offset):
        """You can also specify an offset from the present, as a timedelta or as a string; m is minutes."""
        with between_now_and_now() as instants:
            job = schedule_job(given, f"{PATH}nothing", using=alias)

        before, after = instants
        assert before + offset <= row_of(job)["time_slot_start"] <= after + offset

    def test_the_slot_is_one_week_by_default(self, alias):
        """An expiry time, one week by default."""
        row = row_of(schedule_job("5d", f"{PATH}nothing", using=alias))

        assert row["time_slot_end"] - row["time_slot_start"] == WEEK

    @pytest.mark.parametrize(
        ("expires", "length"), [("3d", timedelta(days=3)), (timedelta(hours=1), timedelta(hours=1))]
    )
    def test_the_expiry_counts_from_the_scheduled_time(self, alias, expires, length):
        """The expiry date is calculated relative to the scheduled time."""
        row = row_of(schedule_job("5d", f"{PATH}nothing", expires=expires, using=alias))

        assert row["time_slot_end"] - row["time_slot_start"] == length

    def test_the_expiry_can_be_a_datetime(self, alias):
        given, stored = naive(2011, 1, 1)
        row = row_of(schedule_job(datetime(2010, 10, 10), f"{PATH}nothing", expires=given, using=alias))

        assert row["time_slot_end"] == stored

    def test_old_jobs_are_not_run_by_accident(self, alias):
        """An expiry time may be specified so that old jobs will not be run by accident."""
        job = schedule_job(datetime(2010, 10, 10), f"{PATH}note", using=alias)
        run_jobs(using=alias)

        assert row_of(job)["status"] == "expired"
        assert ledger(alias) == []


def test_a_job_does_not_run_before_its_time(alias):
    """Scheduling jobs on specified times."""
    job = schedule_job("1h", f"{PATH}note", using=alias)
    run_jobs(using=alias)

    assert row_of(job)["status"] == "scheduled"
    assert ledger(alias) == []


class TestParameters:
    def test_are_passed_on_to_the_callable(self, alias):
        """You can pass parameters to jobs: args=[1, 2], kwargs={'foo': 'bar'}."""
        job = schedule_job("0s", f"{PATH}echo", args=[1, 2], kwargs={"foo": "bar"}, using=alias)
        run_jobs(using=alias)

        assert row_of(job)["return_value"] == "((1, 2), {'foo': 'bar'})"

    def test_can_be_anything_picklable(self, alias):
        """The parameters have to be picklable."""
        given = [1 + 2j, range(3), {"when": datetime(2010, 10, 10), (1, 2): {3}}]
        job = schedule_job("0s", f"{PATH}echo", args=given, kwargs={"name": slice(1, 2)}, using=alias)
        stored = ScheduledJob.objects.using(alias).get(pk=job.pk)

        assert stored.args == given
        assert stored.kwargs == {"name": slice(1, 2)}

    def test_a_database_object_is_the_first_one(self, alias):
        """The content object will be passed in to the callable as the first parameter."""
        order = Order.objects.using(alias).create()
        job = schedule_job("0s", f"{PATH}add", content_object=order, kwargs={"second": 1}, using=alias)

        assert row_of(job)["object_id"] == str(order.pk)
        assert ScheduledJob.objects.using(alias).get(pk=job.pk).content_object == order
        with pytest.raises(TypeError, match="'Order' and 'int'"):
            run_jobs(using=alias)

    def test_the_active_job_is_the_first_one_where_the_callable_asks_for_it(self, alias):
        """If you decorate your handler using job_as_parameter, the active job will be passed as a parameter."""
        order = Order.objects.using(alias).create()
        job = schedule_job("0s", f"{PATH}note_object", order, args=["paid"], using=alias)
        run_jobs(using=alias)

        assert row_of(job)["return_value"] == str(order.pk)
        assert ledger(alias) == [f"order {order.pk} paid"]


given_jobs = []


@job_as_parameter
def keep(job):
    given_jobs.append(job)


def test_the_active_job_is_the_running_row(alias):
    given_jobs.clear()
    job = schedule_job("0s", f"{__name__}.keep", using=alias)
    run_jobs(using=alias)

    [given] = given_jobs
    assert (given.pk, given._state.db, given.attempts) == (job.pk, alias, 1)
    assert isinstance(given, PublicScheduledJob)


def in_two_days(alias, **options):
    order = Order.objects.using(alias).create()
    defaults = {"expires": "3d", "args": ("paid",), "queue": "slow", "priority": 7, "max_attempts": 3, "using": alias}
    return schedule_job("2d", f"{PATH}note_object", order, **defaults | options)


#: What reschedule() copies; the time is given anew, and all that belongs to a run starts anew.
COPIED = (
    "callable_name",
    "content_type_id",
    "object_id",
    "args_text",
    "kwargs_text",
    "queue",
    "priority",
    "max_attempts",
)


class TestReschedule:
    def test_copies_what_is_not_given(self, alias):
        """reschedule has the same signature as schedule_job, but copies attributes of the current job."""
        job = in_two_days(alias)
        new = row_of(job.reschedule("3d"))
        old = row_of(job)

        assert {name: new[name] for name in COPIED} == {name: old[name] for name in COPIED}
        assert new["time_slot_end"] - new["time_slot_start"] == timedelta(days=3)
        assert new["id"] != old["id"]

    def test_copies_arguments_that_are_pickled(self, alias):
        job = schedule_job("1h", f"{PATH}echo", args=[range(3)], kwargs={"when": slice(1)}, using=alias)
        new = ScheduledJob.objects.using(alias).get(pk=job.reschedule("1h").pk)

        assert (new.args, new.kwargs) == ([range(3)], {"when": slice(1)})

    def test_copies_a_slot_without_an_end(self, alias):
        job = in_two_days(alias, expires=None)

        assert row_of(job.reschedule("3d"))["time_slot_end"] is None

    @pytest.mark.parametrize(
        ("change", "column", "value"),
        [
            ({"callable_name": f"{PATH}note", "content_object": None, "args": []}, "callable_name", f"{PATH}note"),
            ({"content_object": None, "check": False}, "content_type_id", None),
            ({"args": ["sent"]}, "args_text", '["sent"]'),
            ({"args": [], "kwargs": {"entry": "x"}}, "kwargs_text", '{"entry":"x"}'),
            ({"queue": None}, "queue", ""),
            ({"priority": -1}, "priority", -1),
            ({"max_attempts": 1}, "max_attempts", 1),
            ({"expires": None}, "time_slot_end", None),
        ],
        ids=lambda value: None if not isinstance(value, dict) else " ".join(value),
    )
    def test_takes_all_that_schedule_job_takes(self, alias, change, column, value):
        assert row_of(in_two_days(alias).reschedule("3d", **change))[column] == value

    def test_takes_positional_arguments_in_the_same_order(self, alias):
        job = in_two_days(alias)
        order = Order.objects.using(alias).create()
        new = job.reschedule("3d", f"{PATH}note_object", order, "1d", ["sent"], {})
        row = row_of(new)

        assert (row["object_id"], row["args_text"], row["kwargs_text"]) == (str(order.pk), '["sent"]', "{}")
        assert row["time_slot_end"] - row["time_slot_start"] == timedelta(days=1)

    def test_counts_from_the_moment_of_the_call(self, alias):
        """The new scheduled time is calculated by adding the offset to the time at the moment you call it."""
        job = due_job(alias, time_slot_start=timezone.now() - timedelta(days=100), time_slot_end=None)
        with between_now_and_now() as instants:
            new = job.reschedule("3d")

        before, after = instants
        assert before + timedelta(days=3) <= row_of(new)["time_slot_start"] <= after + timedelta(days=3)

    def test_counts_from_the_planned_start_if_asked_to(self, alias):
        """Version 0.2 counted from there: relative_to='scheduled'."""
        job = due_job(alias)
        new = row_of(job.reschedule("3d", relative_to="scheduled"))

        assert new["time_slot_start"] == row_of(job)["time_slot_start"] + timedelta(days=3)

    def test_refuses_any_other_base(self, alias):
        job = due_job(alias)
        with pytest.raises(ValueError, match="relative_to='start' is unknown: use 'now' or 'scheduled'"):
            job.reschedule("3d", relative_to="start")

        assert ScheduledJob.objects.using(alias).count() == 1

    def test_of_an_ended_job_is_a_fresh_one(self, alias):
        job = schedule_job("0s", f"{PATH}note", using=alias)
        run_jobs(using=alias)
        new = row_of(ScheduledJob.objects.using(alias).get(pk=job.pk).reschedule("3d"))

        assert (new["status"], new["attempts"], new["execution_start"], new["return_value"]) == (
            "scheduled",
            0,
            None,
            None,
        )

    def test_from_within_the_handler_repeats_the_job(self, alias):
        """Schedule a new job in the handler of a job: job.reschedule('3d', kwargs={'n': 6})."""
        job = schedule_job("0s", f"{PATH}again", using=alias)
        run_jobs(using=alias)

        [new] = ScheduledJob.objects.using(alias).exclude(pk=job.pk)
        assert (new.status, new.kwargs, new.callable_name) == ("scheduled", {"n": 6}, f"{PATH}again")
        assert new.time_slot_start > timezone.now() + timedelta(days=2)
        assert ledger(alias) == ["n=5"]

    def test_is_undone_if_the_handler_raises(self, alias):
        """If the handler raises an error, the transaction is rolled back."""
        schedule_job("0s", f"{__name__}.repeat_and_raise", using=alias)
        run_jobs(ignore_errors=True, using=alias)

        assert ScheduledJob.objects.using(alias).count() == 1


@job_as_parameter
def repeat_and_raise(job):
    job.reschedule("3d")
    raise ValueError("boom")


class TestRunningJobs:
    def test_each_job_has_a_transaction_of_its_own(self, alias):
        """Each job is run in a separate database transaction; if the handler raises, it is rolled back."""
        schedule_job("0s", f"{PATH}note", args=["first"], priority=3, using=alias)
        schedule_job("0s", f"{PATH}write_and_raise", priority=2, using=alias)
        schedule_job("0s", f"{PATH}note", args=["last"], priority=1, using=alias)
        run_jobs(ignore_errors=True, using=alias)

        assert ledger(alias) == ["first", "last"]

    @pytest.mark.django_db(databases="__all__", transaction=True)
    def test_what_a_job_wrote_is_committed_before_the_next_one_begins(self, alias):
        schedule_job("0s", f"{PATH}note", args=["first"], priority=3, using=alias)
        schedule_job("0s", f"{__name__}.open_transactions", priority=2, using=alias)
        run_jobs(using=alias)

        assert ledger(alias) == ["first", "1 open"]

    def test_completed_jobs_stay_by_default(self, alias):
        """By default, job entries for completed jobs are marked as finished, but not deleted."""
        job = schedule_job("0s", f"{PATH}note", using=alias)
        run_jobs(using=alias)

        assert row_of(job)["status"] == "complete"

    def test_completed_jobs_are_deleted_on_request(self, alias):
        """Use the -d parameter, and they will be deleted upon successful completion."""
        good = schedule_job("0s", f"{PATH}note", using=alias)
        bad = schedule_job("0s", f"{PATH}write_and_raise", using=alias)
        later = schedule_job("1h", f"{PATH}note", using=alias)
        run_jobs(delete_completed=True, ignore_errors=True, using=alias)

        left = ScheduledJob.objects.using(alias).values_list("pk", "status")
        assert good.pk not in dict(left)
        assert dict(left) == {bad.pk: "failed", later.pk: "scheduled"}

    def test_an_error_ends_the_processing(self, alias):
        """If a job handler raises an error, the queue processor will abort and show the traceback."""
        bad = schedule_job("0s", f"{PATH}write_and_raise", priority=1, using=alias)
        next_one = schedule_job("0s", f"{PATH}note", using=alias)
        with pytest.raises(ValueError, match=r"^boom$"):
            run_jobs(using=alias)

        assert (row_of(bad)["status"], row_of(next_one)["status"]) == ("failed", "scheduled")

    def test_errors_can_be_ignored(self, alias):
        """If you do not want to abort the processing in such a case use the -i parameter."""
        bad = schedule_job("0s", f"{PATH}write_and_raise", priority=1, using=alias)
        next_one = schedule_job("0s", f"{PATH}note", using=alias)
        run_jobs(ignore_errors=True, using=alias)

        assert (row_of(bad)["status"], row_of(next_one)["status"]) == ("failed", "complete")

    @pytest.mark.parametrize("ignore", [False, True])
    def test_the_traceback_is_stored_either_way(self, alias, ignore):
        """Either way, if an exception occurs, the traceback will be stored on the job entry in the database."""
        bad = schedule_job("0s", f"{PATH}write_and_raise", using=alias)
        try:
            run_jobs(ignore_errors=ignore, using=alias)
        except ValueError:
            assert not ignore

        error = row_of(bad)["error"]
        assert error.startswith("Traceback (most recent call last)")
        assert "in write_and_raise" in error and error.rstrip().endswith("ValueError: boom")

    @pytest.mark.parametrize(("short", "long"), [("-d", "--delete-completed"), ("-i", "--ignore-errors")])
    def test_the_command_has_the_same_flags(self, alias, short, long, capsys):
        """The Django management command runscheduledjobs, with -d and -i."""
        for flag in (short, long):
            schedule_job("0s", f"{PATH}note", using=alias)
            schedule_job("0s", f"{PATH}write_and_raise", priority=-1, using=alias)
            try:
                call_command("runscheduledjobs", flag, "--database", alias)
            except CommandError:
                assert flag in ("-d", "--delete-completed")

        left = sorted(ScheduledJob.objects.using(alias).values_list("status", flat=True))
        assert left == (["failed", "failed"] if short == "-d" else ["complete", "complete", "failed", "failed"])

    def test_a_running_job_stops_no_other_processor(self, alias):
        """'Jobs in progress found; aborting' is gone: any number of processors may run at once."""
        running = started_job(alias)
        due = schedule_job("0s", f"{PATH}note", using=alias)
        run_jobs(using=alias)

        assert (row_of(running)["status"], row_of(due)["status"]) == ("running", "complete")

    @pytest.mark.django_db(databases="__all__", transaction=True)
    def test_two_processors_at_once_run_each_job_once(self, alias):
        """The caveat of jobs that may be executed twice is gone, too."""
        entries = [f"job {number:02}" for number in range(20)]
        for entry in entries:
            schedule_job("0s", f"{PATH}note", args=[entry], using=alias)
        side_by_side(2, lambda: run_jobs(using=alias), alias)

        assert sorted(ledger(alias)) == entries
        assert set(ScheduledJob.objects.using(alias).values_list("status", "attempts")) == {("complete", 1)}


def side_by_side(number, function, alias):
    gate = Barrier(number)

    def enter():
        try:
            gate.wait(timeout=30)
            function()
        finally:
            connections[alias].close()

    with ThreadPoolExecutor(number) as pool:
        for done in [pool.submit(enter) for _ in range(number)]:
            done.result()


@job_as_parameter
def open_transactions(job):
    depth = len(connections[job._state.db].savepoint_ids) + 1
    Ledger.objects.using(job._state.db).create(entry=f"{depth} open")


def test_the_statuses_are_those_of_django_future_and_cancelled():
    assert set(Status.values) == {"scheduled", "running", "complete", "failed", "expired", "cancelled"}


def test_a_new_job_is_scheduled(alias):
    assert row_of(schedule_job("5d", f"{PATH}nothing", using=alias))["status"] == "scheduled"


def test_repr_shows_status_and_callable(alias):
    job = schedule_job(timezone.now() + MINUTE, f"{PATH}nothing", using=alias)

    assert repr(job) == "<ScheduledJob (scheduled) callable='tests.shop.jobs.nothing'>"
    job.cancel()
    job.refresh_from_db()
    assert repr(job) == "<ScheduledJob (cancelled) callable='tests.shop.jobs.nothing'>"


def test_the_columns_keep_their_names(alias):
    names = set(row_of(due_job(alias)))
    columns = {field.column for field in ScheduledJob._meta.fields}

    assert {"id", "time_slot_start", "time_slot_end", "execution_start", "status", "content_type_id"} <= names
    assert {"object_id", "callable_name", "args", "kwargs", "error", "return_value"} <= columns
