"""schedule_jobs: all calls are checked, then all rows are inserted, in few statements."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connections, transaction
from django.forms import model_to_dict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_future_celery import Job, bulk, run_jobs, schedule_job, schedule_jobs
from django_future_celery.exceptions import (
    ArgumentsTooLarge,
    CallableNotAllowed,
    CallableNotFound,
    FutureCeleryError,
    InvalidArguments,
    InvalidContentObject,
    InvalidOption,
    InvalidTime,
    InvalidTimeType,
    UnknownCallable,
)
from django_future_celery.models import ScheduledJob
from tests.factories import row_of
from tests.shop.jobs import add
from tests.shop.models import Ledger, Order

pytestmark = pytest.mark.django_db(databases="__all__")

PATH = "tests.shop.jobs."
START = timezone.now() + timedelta(days=5)


def settled(job):
    """What the call has settled on the row."""
    row = row_of(job)
    return {name: row[name] for name in row if name not in ("id", "created_at")}


class TestTheRows:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"args": [1], "kwargs": {"second": 2}, "queue": "slow", "priority": -7},
            {"args": (1, 2), "expires": None, "max_attempts": 3, "retry_backoff": "1m", "time_limit": 60},
            {"args": [1], "expires": START + timedelta(hours=1)},
            {"kwargs": {"colour": object}, "check": False},
        ],
        ids=["nothing", "place", "attempts", "datetime", "pickle"],
    )
    def test_are_those_that_single_calls_insert(self, alias, options):
        options = {"args": [1]} | options
        [job] = schedule_jobs([Job(START, f"{PATH}add", **options)], using=alias)

        assert settled(job) == settled(schedule_job(START, f"{PATH}add", using=alias, **options))

    def test_of_functions_methods_and_content_objects_are_so_too(self, alias):
        first, second = (Order.objects.using(alias).create() for _ in range(2))
        calls = [
            {"callable_name": add, "args": [1]},
            {"callable_name": f"{PATH}note_object", "content_object": first},
            {"callable_name": f"{PATH}note_object", "content_object": second},
            {"callable_name": "remind", "content_object": first},
            {"callable_name": "remind", "content_object": second, "args": ["now"]},
            {"callable_name": f"{PATH}patient"},
        ]
        jobs = schedule_jobs([Job(START, **call) for call in calls], using=alias)

        assert [settled(job) for job in jobs] == [settled(schedule_job(START, using=alias, **call)) for call in calls]

    def test_come_in_the_order_of_the_jobs_each_with_its_id(self, alias):
        jobs = schedule_jobs((Job("1h", f"{PATH}add", args=[n]) for n in range(30)), using=alias)

        assert [ScheduledJob.objects.using(alias).get(pk=job.pk).args for job in jobs] == [[n] for n in range(30)]
        assert {job._state.db for job in jobs} == {alias}
        assert jobs[0].time_slot_start == jobs[-1].time_slot_start

    def test_have_ids_where_the_database_tells_one_at_a_time(self, alias, monkeypatch):
        """As MySQL does."""
        monkeypatch.setattr(type(connections[alias].features), "can_return_rows_from_bulk_insert", False)
        jobs = schedule_jobs([Job("1h", f"{PATH}add", args=[n]) for n in range(3)], using=alias)

        assert [row_of(job)["args_text"] for job in jobs] == [f"[{n}]" for n in range(3)]

    def test_run(self, alias):
        schedule_jobs([Job("0s", f"{PATH}note", args=[f"entry {n}"]) for n in range(3)], using=alias)
        run_jobs(using=alias, now=timezone.now() + timedelta(seconds=1))

        entries = Ledger.objects.using(alias).order_by("pk").values_list("entry", flat=True)
        assert list(entries) == ["entry 0", "entry 1", "entry 2"]

    def test_are_inserted_in_few_statements(self, alias, monkeypatch):
        monkeypatch.setattr(bulk, "CHUNK", 20)
        jobs = [Job("1h", f"{PATH}add", args=[n]) for n in range(40)]
        with CaptureQueriesContext(connections[alias]) as queries:
            schedule_jobs(jobs, using=alias)

        assert sum(query["sql"].startswith("INSERT") for query in queries) == 2

    def test_may_be_all_the_same(self, alias, rows):
        jobs = schedule_jobs([Job(START, f"{PATH}nothing") for _ in range(3)], using=alias)

        assert len({job.pk for job in jobs}) == rows.count() == 3

    def test_may_differ_in_whether_there_is_a_value(self, alias):
        ends = [None, START + timedelta(hours=1), None]
        options = [{"time_limit": 2.5}, {}, {"max_attempts": 4, "queue": "slow"}]
        jobs = schedule_jobs(
            [Job(START, f"{PATH}nothing", expires=end, **more) for end, more in zip(ends, options, strict=True)],
            using=alias,
        )

        stored = [row_of(job) for job in jobs]
        assert [row["time_slot_end"] for row in stored] == ends
        assert [row["time_limit"] for row in stored] == [2.5, None, None]
        assert [(row["max_attempts"], row["queue"]) for row in stored] == [(1, ""), (1, ""), (4, "slow")]

    def test_keep_text_as_it_is(self, alias):
        texts = ["", " ", "NULL", '"', "\\", "{a,b}", "'; --", "%s", "ü\n\t", "\x00"]
        jobs = schedule_jobs([Job(START, f"{PATH}add", args=[text]) for text in texts], using=alias)

        assert [ScheduledJob.objects.using(alias).get(pk=job.pk).args for job in jobs] == [[text] for text in texts]

    def test_are_on_time_though_their_times_are_equal(self, alias, settings):
        """To Python, two datetimes of a zone that differ in ``fold`` alone are equal, and an hour apart."""
        settings.USE_TZ = True
        berlin = ZoneInfo("Europe/Berlin")
        times = [datetime(2040, 10, 28, 2, 30, fold=fold, tzinfo=berlin) for fold in (0, 1)]
        first, second = schedule_jobs([Job(time, f"{PATH}nothing") for time in times], using=alias)

        assert second.due_at - first.due_at == 3600 * 1_000_000

    def test_have_the_object_as_it_was_at_each_job(self, alias):
        """Copying an object by giving it another key is an idiom of Django's."""
        order = Order()

        def copies():
            for _ in range(3):
                order.pk, order._state.adding = None, True
                order.save(using=alias)
                yield Job(START, f"{PATH}note_object", content_object=order)

        jobs = schedule_jobs(copies(), using=alias)

        assert len({job.object_id for job in jobs}) == 3
        assert [job.fetch_content_object().pk for job in jobs] == [int(job.object_id) for job in jobs]

    def test_are_instances_as_any(self, alias):
        [job] = schedule_jobs([Job(START, f"{PATH}nothing")], using=alias)
        stored = ScheduledJob.objects.using(alias).get(pk=job.pk)

        assert vars(job).keys() == vars(stored).keys() == vars(ScheduledJob()).keys()
        assert model_to_dict(job) == model_to_dict(stored)
        assert job == stored
        assert not job._state.adding

    def test_are_gone_with_the_callers_transaction(self, alias, rows):
        with transaction.atomic(using=alias):
            schedule_jobs([Job("1h", f"{PATH}nothing")], using=alias)
            transaction.set_rollback(True, using=alias)

        assert not rows.exists()

    def test_of_no_jobs_are_none(self, alias):
        assert schedule_jobs([], using=alias) == []


class TestAnError:
    @pytest.mark.parametrize(
        ("job", "error", "builtin"),
        [
            (Job("5 parsecs", f"{PATH}nothing"), InvalidTime, ValueError),
            (Job(5, f"{PATH}nothing"), InvalidTimeType, TypeError),
            (Job("5d", f"{PATH}missing"), UnknownCallable, ImportError),
            (Job("5d", "remind"), CallableNotFound, ImportError),
            (Job("5d", "os.getcwd"), CallableNotAllowed, ValueError),
            (Job("5d", f"{PATH}add", args=[1, 2, 3]), InvalidArguments, TypeError),
            (Job("5d", f"{PATH}add", args=["x" * 70_000]), ArgumentsTooLarge, ValueError),
            (Job("5d", f"{PATH}nothing", Order()), InvalidContentObject, ValueError),
            (Job("5d", f"{PATH}nothing", priority=101), InvalidOption, ValueError),
            (Job("5d", f"{PATH}nothing", time_limit=-1), InvalidOption, ValueError),
            ({"date": "5d"}, InvalidArguments, TypeError),
        ],
        ids=lambda value: getattr(value, "__name__", None),
    )
    def test_tells_the_position_keeps_its_class_and_nothing_is_written(
        self, rows, alias, settings, job, error, builtin
    ):
        settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["tests.*"]
        good = Job("5d", f"{PATH}nothing")

        with pytest.raises(error, match=r"^jobs\[2\]: ") as raised:
            schedule_jobs([good, good, job, good], using=alias)

        assert isinstance(raised.value, builtin)
        assert isinstance(raised.value, FutureCeleryError)
        assert not rows.exists()

    def test_of_arguments_is_found_however_many_like_them_were_right(self, alias):
        """What a callable takes is remembered by the number and the names of arguments."""
        right = [Job("5d", f"{PATH}add", args=[1], kwargs={"second": 2}) for _ in range(3)]
        for wrong in ({"args": [1, 2], "kwargs": {"second": 2}}, {"args": [1], "kwargs": {"third": 2}}, {}):
            with pytest.raises(InvalidArguments, match=r"jobs\[3\]"):
                schedule_jobs([*right, Job("5d", f"{PATH}add", **wrong)], using=alias)

    def test_of_a_misspelt_option_comes_with_the_job(self):
        with pytest.raises(TypeError, match="prio"):
            Job("5d", f"{PATH}nothing", prio=3)


def test_a_job_is_a_value():
    job = Job("5d", f"{PATH}nothing")

    assert job == Job("5d", f"{PATH}nothing")
    with pytest.raises(AttributeError):
        job.date = "6d"
