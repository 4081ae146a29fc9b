"""schedule_job: all of the call is checked, then one row is inserted; the broker is never touched."""

import json
import subprocess
import sys
import uuid
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from django_future_celery import exceptions, job_as_parameter, run_jobs, schedule_job
from django_future_celery.clock import to_micros
from django_future_celery.exceptions import (
    ArgumentsTooLarge,
    CallableNotAllowed,
    CallableNotFound,
    CorruptArguments,
    FutureCeleryError,
    InvalidArguments,
    InvalidCallable,
    InvalidContentObject,
    InvalidOption,
    InvalidTime,
    InvalidTimeType,
)
from django_future_celery.models import ScheduledJob
from tests.factories import due_job, row_of
from tests.shop import jobs
from tests.shop.models import Coupon, Ledger, Order, Parcel

pytestmark = pytest.mark.django_db(databases="__all__")

PATH = "tests.shop.jobs."
BERLIN = ZoneInfo("Europe/Berlin")


class Line(models.Model):
    """A model whose key no single column holds."""

    pk = models.CompositePrimaryKey("order", "number")
    order = models.IntegerField()
    number = models.IntegerField()

    class Meta:
        app_label = "shop"
        managed = False


def ledger(alias):
    return list(Ledger.objects.using(alias).order_by("pk").values_list("entry", flat=True))


def stored(job):
    """The job as another process reads it."""
    return ScheduledJob.objects.using(job._state.db).get(pk=job.pk)


class Thing:
    """Equal by value, and known to pickle only."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return type(other) is Thing and other.value == self.value

    __hash__ = None


# -- the row ----------------------------------------------------------------------------------------------------------


class TestTheRow:
    def test_is_one_insert_and_nothing_else(self, alias):
        """Whatever the call says; and nothing at all in the other databases."""
        order = Order.objects.using(alias).create()
        options = {"args": ["paid", Thing(1), order], "kwargs": {"when": timezone.now()}, "using": alias}
        schedule_job("5d", f"{PATH}echo", order, **options)  # content types are known from here on

        with ExitStack() as stack:
            queries = {name: stack.enter_context(CaptureQueriesContext(connections[name])) for name in connections}
            schedule_job("5d", f"{PATH}echo", order, **options)

        [query] = queries.pop(alias)
        assert query["sql"].startswith("INSERT INTO")
        assert not any(map(len, queries.values()))

    def test_is_given_back_as_it_is_stored(self, alias):
        job = schedule_job("5d", f"{PATH}add", args=[1], queue="slow", priority=-7, max_attempts=4, using=alias)
        row = row_of(job)

        assert {name: getattr(job, name) for name in row} == row
        assert (row["queue"], row["priority"], row["max_attempts"]) == ("slow", -7, 4)
        assert row["wake_at"] == to_micros(row["time_slot_start"])

    def test_goes_where_the_router_says_unless_an_alias_is_given(self, settings):
        settings.DATABASE_ROUTERS = [ToTheLast()]
        last = list(settings.DATABASES)[-1]

        assert schedule_job("5d", f"{PATH}nothing")._state.db == last
        assert schedule_job("5d", f"{PATH}nothing", using="default")._state.db == "default"

    def test_is_gone_with_the_callers_transaction(self, alias):
        class Undo(Exception):
            pass

        with pytest.raises(Undo), transaction.atomic(using=alias):
            job = schedule_job("5d", f"{PATH}nothing", using=alias)
            assert ScheduledJob.objects.using(alias).filter(pk=job.pk).exists()
            raise Undo

        assert not ScheduledJob.objects.using(alias).exists()

    def test_is_there_with_the_callers_transaction(self, alias):
        with transaction.atomic(using=alias):
            job = schedule_job("5d", f"{PATH}nothing", using=alias)

        assert row_of(job)["status"] == "scheduled"

    def test_leaves_a_failed_check_without_a_scratch_on_the_callers_transaction(self, alias):
        with transaction.atomic(using=alias):
            with pytest.raises(CallableNotFound):
                schedule_job("5d", f"{PATH}missing", using=alias)
            job = schedule_job("5d", f"{PATH}nothing", using=alias)

        assert ScheduledJob.objects.using(alias).get() == job


class ToTheLast:
    def db_for_write(self, model, **hints):
        from django.conf import settings

        return list(settings.DATABASES)[-1] if model is ScheduledJob else None


WITHOUT_CELERY = """
import sys
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django_future_celery"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SECRET_KEY="x",
    CELERY_BROKER_URL="amqp://nobody:nothing@127.0.0.1:1//",
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django_future_celery import ScheduledJob, schedule_job
job = schedule_job("5d", "json.dumps", args=[{"a": 1}])
job.reschedule("5d")
job.cancel()
assert ScheduledJob.objects.count() == 2
print(sorted({name.partition(".")[0] for name in sys.modules} & {"celery", "kombu", "amqp", "redis"}))
"""


def test_scheduling_imports_neither_celery_nor_a_broker():
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_CELERY],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (run.stdout.strip(), run.returncode) == ("[]", 0), run.stderr


# -- what is refused --------------------------------------------------------------------------------------------------

NEXT_YEAR = datetime(datetime.now().year + 1, 6, 1)


def refused(error, match, *args, alias, **options):
    """The call raises, with words that help, and writes nothing."""
    with pytest.raises(error, match=match) as raised, CaptureQueriesContext(connections[alias]) as queries:
        schedule_job(*args, using=alias, **options)

    assert isinstance(raised.value, FutureCeleryError)
    assert not [query["sql"] for query in queries if "INSERT" in query["sql"]]
    assert not ScheduledJob.objects.using(alias).exists()


BAD_DATES = {
    "": (InvalidTime, "is empty"),
    "5": (InvalidTime, "has no unit"),
    "-5d": (InvalidTime, "has a sign"),
    "5x": (InvalidTime, "cannot be understood"),
    "5d5d": (InvalidTime, "names a unit twice"),
    "P1Y": (InvalidTime, "years or months"),
    "2027-01-01": (InvalidTime, "is a date without a time"),
    "2027-02-30T10:00": (InvalidTime, "is no datetime"),
    "99999999999w": (InvalidTime, "is longer than time lasts here"),
    5: (InvalidTimeType, "is a int, which says no time"),
    5.5: (InvalidTimeType, "is a float, which says no time"),
    None: (InvalidTimeType, "is a NoneType"),
    True: (InvalidTimeType, "is a bool"),
    date(2027, 1, 1): (InvalidTimeType, "is a date, which says no time"),
    timedelta(-1): (InvalidTime, "is negative"),
    timedelta(days=4_000_000): (InvalidTime, "outside the years 1 to 9999"),
}


@pytest.mark.parametrize("given", BAD_DATES, ids=repr)
def test_a_date_that_says_no_time_is_refused(alias, given):
    error, words = BAD_DATES[given]
    refused(error, words, given, f"{PATH}nothing", alias=alias)


@pytest.mark.parametrize(
    ("expires", "error", "words"),
    [
        ("0s", InvalidTime, "is not after the start"),
        (timedelta(), InvalidTime, "is not after the start"),
        (datetime(2011, 1, 1), InvalidTime, "is not after the start"),
        (timedelta(-1), InvalidTime, "is negative"),
        ("-1d", InvalidTime, "has a sign"),
        ("soon", InvalidTime, "cannot be understood"),
        (7, InvalidTimeType, "is a int"),
        (False, InvalidTimeType, "is a bool"),
    ],
    ids=repr,
)
def test_an_expiry_that_says_no_time_after_the_start_is_refused(alias, expires, error, words):
    refused(error, words, NEXT_YEAR, f"{PATH}nothing", expires=expires, alias=alias)


def outer():
    def inner():
        pass

    return inner


BAD_CALLABLES = {
    "missing attribute": (f"{PATH}nothink", CallableNotFound, "Did you mean 'nothing'"),
    "missing module": ("no.such.module", CallableNotFound, "there is no module 'no'"),
    "not callable": ("tests.settings.SECRET_KEY", CallableNotFound, "cannot be called"),
    "no path": ("shop jobs", CallableNotFound, "is no path"),
    "empty": ("", CallableNotFound, "is no path"),
    "too long": ("a." * 127 + "bcd", InvalidCallable, "longer than 255 characters"),
    "method without an object": ("remind", CallableNotFound, "has no dot.*content_object="),
    "lambda": (lambda: None, InvalidCallable, "top level of its module"),
    "nested": (outer(), InvalidCallable, "top level of its module"),
    "bound method": (Order().remind, InvalidCallable, "pass the object as content_object"),
    "number": (5, InvalidCallable, "pass a function of a module"),
    "none": (None, InvalidCallable, "pass a function of a module"),
}


@pytest.mark.parametrize("name", BAD_CALLABLES)
def test_a_callable_that_no_worker_could_find_is_refused(alias, name):
    given, error, words = BAD_CALLABLES[name]
    refused(error, words, "5d", given, alias=alias)


@pytest.mark.parametrize("name", ["no path", "empty", "too long", "method without an object", "lambda", "number"])
def test_check_false_still_refuses_what_can_be_no_callable_anywhere(alias, name):
    given, error, words = BAD_CALLABLES[name]
    refused(error, words, "5d", given, check=False, alias=alias)


@pytest.mark.parametrize(
    ("callable_name", "args", "kwargs", "words"),
    [
        ("add", [], None, "missing a required argument: 'first'"),
        ("add", [1, 2, 3], None, "too many positional arguments"),
        ("add", [1], {"third": 3}, "unexpected keyword argument 'third'"),
        ("add", [1], {"first": 1}, "multiple values for argument 'first'"),
        ("note_object", [], None, "the first 1 from us"),
    ],
)
def test_arguments_that_the_callable_does_not_take_are_refused(alias, callable_name, args, kwargs, words):
    refused(InvalidArguments, words, "5d", f"{PATH}{callable_name}", args=args, kwargs=kwargs, alias=alias)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ("ab", None, "args='ab': use a list or a tuple"),
        (5, None, "args=5: use a list or a tuple"),
        (None, None, "args=None: use a list or a tuple"),
        ({1, 2}, None, "use a list or a tuple"),
        (range(2), None, "use a list or a tuple"),
        ((), [("a", 1)], "use a dict with strings as keys"),
        ((), [], "use a dict with strings as keys"),
        ((), {1: 2}, "use a dict with strings as keys"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("check", [True, False])
def test_arguments_that_are_no_arguments_are_refused(alias, args, kwargs, words, check):
    refused(InvalidArguments, words, "5d", f"{PATH}echo", args=args, kwargs=kwargs, check=check, alias=alias)


@pytest.mark.parametrize("with_object", [False, True], ids=["alone", "with a content object"])
@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"args": [1, [outer()]]}, r"^args\[1\]\[0\] is a builtins.function"),
        ({"kwargs": {"when": iter([])}}, r"^kwargs\['when'\] is a builtins.list_iterator"),
        ({"args": [Order()]}, r"^args\[0\] is a shop.Order that is not saved"),
    ],
    ids=["args", "kwargs", "unsaved"],
)
def test_arguments_that_cannot_be_stored_are_refused_with_their_place(alias, options, place, with_object):
    order = Order.objects.using(alias).create() if with_object else None
    if "list_iterator" in place:  # this one can be pickled, so it takes the setting to refuse it
        options = {"kwargs": {"when": (each for each in "ab")}}
        place = place.replace("list_iterator", "generator")
    refused(InvalidArguments, place, "5d", f"{PATH}echo", order, alias=alias, **options)


def test_a_pickle_is_refused_where_pickles_are_off(alias, settings):
    settings.FUTURE_CELERY_PICKLE = False
    refused(InvalidArguments, "FUTURE_CELERY_PICKLE is off", "5d", f"{PATH}echo", args=[Thing(1)], alias=alias)


def test_arguments_up_to_the_limit_are_stored_and_longer_ones_refused(alias, settings):
    settings.FUTURE_CELERY_MAX_ARGUMENTS_SIZE = 30
    fits = "x" * (30 - len('[""]') - len("{}"))
    job = schedule_job("5d", f"{PATH}echo", args=[fits], using=alias)
    assert stored(job).args == [fits]
    job.delete()

    for options in ({"args": [fits + "x"]}, {"args": [fits], "kwargs": {"a": 1}}):
        refused(ArgumentsTooLarge, "MAX_ARGUMENTS_SIZE is 30", "5d", f"{PATH}echo", alias=alias, **options)


class TestContentObjects:
    @pytest.mark.parametrize(
        ("given", "words"),
        [
            (Order(), "is not saved: save it first"),
            (Order(pk=5), "is not saved: save it first"),
            (Parcel(), "is not saved: save it first"),
            (Order, "is no model instance"),
            ("order", "is no model instance"),
            (5, "is no model instance"),
            (SimpleNamespace(pk=5), "is no model instance"),
            (Line(order=1, number=2), "has a composite primary key"),
        ],
        ids=["new", "with a key", "default key", "class", "text", "number", "other", "composite"],
    )
    @pytest.mark.parametrize("check", [True, False])
    def test_that_no_query_could_find_are_refused(self, alias, given, words, check):
        refused(InvalidContentObject, words, "5d", f"{PATH}nothing", given, check=check, alias=alias)

    def test_that_were_deleted_are_refused(self, alias):
        order = Order.objects.using(alias).create()
        order.delete()
        refused(InvalidContentObject, "is not saved", "5d", f"{PATH}add", order, alias=alias)

    def test_of_another_database_are_refused(self, alias, settings):
        if len(settings.DATABASES) == 1:
            pytest.skip("one database only")
        other = next(name for name in settings.DATABASES if name != alias)
        order = Order.objects.using(other).create()
        refused(InvalidContentObject, f"schedule with using='{other}'", "5d", f"{PATH}echo", order, alias=alias)

    @pytest.mark.parametrize(("name", "words"), [("remember", "no method 'remember'"), ("note", "is a Deferred")])
    def test_need_the_method(self, alias, name, words):
        order = Order.objects.using(alias).create()
        refused(CallableNotFound, words, "5d", name, order, alias=alias)

    def test_need_a_method_that_takes_the_arguments(self, alias):
        order = Order.objects.using(alias).create()
        refused(InvalidArguments, "too many positional", "5d", "remind", order, args=["a", "b"], alias=alias)

    @pytest.mark.parametrize(
        ("model", "key"),
        [(Order, 2**40), (Parcel, uuid.UUID(int=7)), (Coupon, "50 % | off"), (Coupon, "ünï"), (Coupon, "0")],
        ids=lambda value: getattr(value, "__name__", str(value)),
    )
    def test_with_any_key_are_fetched_when_the_job_runs(self, alias, model, key):
        thing = model.objects.using(alias).create(pk=key)
        job = schedule_job("0s", f"{PATH}note_object", thing, using=alias)
        run_jobs(using=alias)

        assert row_of(job)["return_value"] == str(key)
        assert ledger(alias) == [f"{model._meta.model_name} {key} seen"]

    def test_are_fetched_as_they_are_when_the_job_runs(self, alias):
        order = Order.objects.using(alias).create(note="old")
        job = schedule_job("0s", f"{__name__}.note_of", order, using=alias)
        Order.objects.using(alias).filter(pk=order.pk).update(note="new")
        run_jobs(using=alias)

        assert row_of(job)["return_value"] == "new"

    def test_may_be_lazy_as_request_user_is(self, alias):
        order = Order.objects.using(alias).create()
        lazy = SimpleLazyObject(lambda: Order.objects.using(alias).get(pk=order.pk))
        job = schedule_job("0s", f"{PATH}note_object", lazy, using=alias)
        method = schedule_job("0s", "remind", lazy, using=alias)
        run_jobs(using=alias)

        assert (row_of(job)["status"], row_of(method)["status"]) == ("complete", "complete")

    def test_are_found_where_each_database_numbers_content_types_its_own_way(self, alias, own_content_type):
        order = Order.objects.using(alias).create()
        job = schedule_job("0s", f"{PATH}note_object", order, args=["x"], using=alias)
        assert row_of(job)["content_type_id"] == own_content_type
        run_jobs(using=alias)

        assert row_of(job)["status"] == "complete"

    def test_may_come_with_pickles_where_content_types_are_numbered_otherwise(self, alias, own_content_type):
        order = Order.objects.using(alias).create()
        job = schedule_job("0s", f"{PATH}note_object", order, kwargs={"entry": Decimal("NaN")}, using=alias)
        thing = schedule_job("5d", f"{PATH}note_object", order, args=[Thing(1)], using=alias)

        assert stored(thing).args == [Thing(1)]
        assert stored(job).kwargs["entry"].is_nan()


def note_of(order):
    return order.note


@pytest.fixture
def own_content_type(alias):
    """A number for Order's content type that no other database has."""
    ContentType.objects.clear_cache()
    types = ContentType.objects.using(alias)
    types.filter(app_label="shop", model="order").delete()
    yield types.create(pk=30_000, app_label="shop", model="order").pk
    ContentType.objects.clear_cache()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("queue", 5, "queue.s name|name of a queue"),
        ("queue", ["slow"], "queue.s name|name of a queue"),
        ("queue", "q" * 101, "at most 100 characters"),
        ("priority", 101, "from -100 to 100"),
        ("priority", -101, "from -100 to 100"),
        ("priority", 1.0, "whole number"),
        ("priority", "high", "whole number"),
        ("priority", None, "whole number"),
        ("priority", True, "whole number"),
        ("max_attempts", 0, "from 1 to"),
        ("max_attempts", -1, "from 1 to"),
        ("max_attempts", 32_768, "from 1 to 32767"),
        ("max_attempts", "3", "whole number"),
        ("max_attempts", False, "whole number"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_an_option_out_of_its_range_is_refused_by_name(alias, option, value, words, check):
    options = {option: value, "check": check}
    refused(InvalidOption, f"^{option}=.*{words}", "5d", f"{PATH}nothing", alias=alias, **options)


@pytest.mark.parametrize(
    ("option", "value"),
    [("queue", "q" * 100), ("priority", 100), ("priority", -100), ("max_attempts", 1), ("max_attempts", 32_767)],
)
def test_an_option_at_the_edge_of_its_range_is_stored(alias, option, value):
    assert row_of(schedule_job("5d", f"{PATH}nothing", using=alias, **{option: value}))[option] == value


@pytest.mark.parametrize("using", ["nowhere", 5])
def test_a_database_that_is_none_of_the_projects_is_refused(using):
    with pytest.raises(InvalidOption, match="is no database of this project"):
        schedule_job("5d", f"{PATH}nothing", using=using)


def test_every_error_is_also_the_built_in_one_that_a_caller_would_expect():
    ours = [each for each in vars(exceptions).values() if isinstance(each, type)]
    expected = (ValueError, TypeError, ImportError, LookupError, RuntimeError, ConnectionError)

    assert len(ours) > 10
    assert all(issubclass(each, FutureCeleryError) for each in ours)
    plain = {each.__name__ for each in ours if not issubclass(each, expected)}
    assert plain == {"FutureCeleryError", "JobCancelled", "JobFailed"}


# -- what is accepted -------------------------------------------------------------------------------------------------


class TestCallables:
    def test_may_be_function_objects(self, alias):
        job = schedule_job("0s", jobs.add, args=[1], using=alias)
        run_jobs(using=alias)

        assert row_of(job)["callable_name"] == "tests.shop.jobs.add"
        assert row_of(job)["return_value"] == "2"

    def test_are_not_looked_for_with_check_false(self, alias):
        job = schedule_job("5d", "only.on.the.worker", args=[1], check=False, using=alias)

        assert row_of(job)["callable_name"] == "only.on.the.worker"
        assert "only" not in sys.modules

    def test_are_not_asked_for_their_signature_with_check_false(self, alias):
        schedule_job("5d", f"{PATH}add", args=[1, 2, 3], check=False, using=alias)

        assert ScheduledJob.objects.using(alias).count() == 1


class TestAllowedCallables:
    @pytest.fixture(autouse=True)
    def patterns(self, settings):
        settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["tests.shop.jobs.*", "tests.shop.models.Order.remind"]

    def test_are_those_that_a_pattern_names(self, alias):
        order = Order.objects.using(alias).create()
        schedule_job("5d", f"{PATH}nothing", using=alias)
        schedule_job("5d", "remind", order, using=alias)

        assert ScheduledJob.objects.using(alias).count() == 2

    @pytest.mark.parametrize("check", [True, False])
    @pytest.mark.parametrize("path", ["json.dumps", "tests.shop.models.Order.delete", "os.system"])
    def test_are_no_others(self, alias, path, check):
        refused(CallableNotAllowed, "fits no pattern", "5d", path, args=["{}"], check=check, alias=alias)

    @pytest.mark.parametrize("check", [True, False])
    def test_include_no_other_method_of_a_content_object(self, alias, check):
        """A method is named by the path of its class: tests.shop.models.Order.delete."""
        order = Order.objects.using(alias).create()
        refused(CallableNotAllowed, r"models\.Order\.delete", "5d", "delete", order, check=check, alias=alias)

    def test_hold_for_methods_also_when_they_run(self, alias, settings):
        order = Order.objects.using(alias).create()
        job = schedule_job("0s", "remind", order, using=alias)
        settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["tests.shop.jobs.*"]
        run_jobs(ignore_errors=True, using=alias)

        assert row_of(job)["status"] == "failed"
        assert "CallableNotAllowed" in row_of(job)["error"]
        assert ledger(alias) == []

    def test_hold_for_what_is_rescheduled(self, alias, settings):
        job = schedule_job("5d", f"{PATH}nothing", using=alias)
        settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["other.*"]
        with pytest.raises(CallableNotAllowed):
            job.reschedule("5d")

    @pytest.mark.parametrize("check", [True, False])
    @pytest.mark.parametrize("path", ["__loader__.set_data", "Ledger.__init__"])
    def test_are_no_names_of_pythons_own(self, alias, path, check):
        refused(CallableNotFound, "Python's own", "5d", f"{PATH}{path}", args=["/", b""], check=check, alias=alias)

    def test_are_nothing_in_a_module_that_theirs_imported(self, alias):
        refused(CallableNotFound, "write its own path", "5d", f"{PATH}os.system", args=["true"], alias=alias)

    def test_are_nothing_that_their_module_only_imported(self, alias, settings):
        given = ("5d", "tests.test_scheduling.schedule_job", None, "7d", ["5d", f"{PATH}nothing"])
        settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["tests.test_scheduling.*"]
        refused(
            CallableNotAllowed, "only imported there, from 'django_future_celery.schedule_job'", *given, alias=alias
        )

        settings.FUTURE_CELERY_ALLOWED_CALLABLES.append("tests.test_scheduling.schedule_job")
        schedule_job(*given, using=alias)

    @pytest.mark.parametrize("path", ["__loader__.set_data", "os.system", "job_as_parameter"])
    def test_hold_for_rows_that_somebody_wrote(self, alias, path):
        """Also what only this module imported."""
        job = due_job(alias, callable_name=f"{PATH}{path}", args_text='["/", ""]')
        run_jobs(ignore_errors=True, using=alias)

        assert row_of(job)["status"] == "failed"
        assert "CallableNot" in row_of(job)["error"]

    def test_are_none_where_the_list_is_empty(self, alias, settings):
        settings.FUTURE_CELERY_ALLOWED_CALLABLES = []
        refused(CallableNotAllowed, "fits no pattern", "5d", f"{PATH}nothing", alias=alias)


# -- arguments --------------------------------------------------------------------------------------------------------


class TestArguments:
    @pytest.mark.parametrize(
        "args",
        [(), [], (1,), [None, True, 1.5, "ü\0\ud800", b"\0"], [Decimal("1.10"), uuid.UUID(int=1), {1: {2}}]],
        ids=repr,
    )
    def test_come_back_equal_and_of_the_same_type(self, alias, args):
        found = stored(schedule_job("5d", f"{PATH}echo", args=args, using=alias)).args

        assert found == args
        assert [type(found), *map(type, found)] == [type(args), *map(type, args)]

    def test_are_a_copy(self, alias):
        given = [[1]]
        job = schedule_job("5d", f"{PATH}echo", args=given, using=alias)
        given[0].append(2)

        assert job.args == stored(job).args == [[1]]

    def test_that_are_model_instances_come_back_as_they_are_then(self, alias):
        order = Order.objects.using(alias).create(note="old")
        job = schedule_job("5d", f"{PATH}echo", args=[order], kwargs={"one": {"deep": order}}, using=alias)
        Order.objects.using(alias).filter(pk=order.pk).update(note="new")

        found = stored(job)
        [fresh] = found.args
        assert (fresh, fresh.note, fresh._state.db) == (order, "new", alias)
        assert found.kwargs["one"]["deep"].note == "new"
        assert order.note == "old"

    def test_that_are_gone_fail_the_job_with_their_place(self, alias):
        order = Order.objects.using(alias).create()
        key = order.pk
        job = schedule_job("0s", f"{PATH}echo", args=[1, order], using=alias)
        order.delete()
        run_jobs(ignore_errors=True, using=alias)

        assert f"ObjectGone: args[1]: shop.Order {key} is gone" in row_of(job)["error"]


class TestPickledArguments:
    """Each pickle was signed for its own place: callable, content object, column and part."""

    @pytest.fixture
    def job(self, alias):
        order = Order.objects.using(alias).create()
        options = {"args": [Thing(1), Thing(2)], "kwargs": {"entry": Thing(3)}, "using": alias}
        return schedule_job("0s", f"{PATH}echo", order, **options)

    def tamper(self, job, **columns):
        ScheduledJob.objects.using(job._state.db).filter(pk=job.pk).update(**columns)
        return stored(job)

    def test_come_back(self, job):
        assert stored(job).args == [Thing(1), Thing(2)]
        assert stored(job).kwargs == {"entry": Thing(3)}

    def test_are_bound_to_the_callable(self, job):
        with pytest.raises(CorruptArguments, match=r"^args\[0\] is a pickle that was changed, moved"):
            self.tamper(job, callable_name="os.system").args  # noqa: B018

    def test_are_bound_to_the_content_object(self, alias, job):
        other = Order.objects.using(alias).create()
        with pytest.raises(CorruptArguments):
            self.tamper(job, object_id=str(other.pk)).args  # noqa: B018

    def test_are_bound_to_the_model_of_the_content_object(self, alias, job):
        other = ContentType.objects.db_manager(alias).get_for_model(Coupon)
        with pytest.raises(CorruptArguments):
            self.tamper(job, content_type_id=other.pk).args  # noqa: B018

    def test_are_bound_to_the_absence_of_a_content_object(self, job):
        with pytest.raises(CorruptArguments):
            self.tamper(job, content_type_id=None, object_id=None).args  # noqa: B018

    def test_are_bound_to_their_part(self, job):
        first, second = json.loads(job.args_text)
        with pytest.raises(CorruptArguments):
            self.tamper(job, args_text=json.dumps([second, first])).args  # noqa: B018

    def test_are_bound_to_their_column(self, job):
        first, _ = json.loads(job.args_text)
        with pytest.raises(CorruptArguments, match=r"^kwargs\['entry'\]"):
            self.tamper(job, kwargs_text=json.dumps({"entry": first})).kwargs  # noqa: B018

    def test_that_were_moved_fail_the_job_and_are_never_loaded(self, alias, job):
        loads.clear()
        twin = schedule_job("0s", f"{PATH}echo", args=[Loud()], using=alias)
        loads.clear()
        self.tamper(job, args_text=twin.args_text)
        run_jobs(ignore_errors=True, using=alias)

        assert "CorruptArguments" in row_of(job)["error"]
        assert loads == ["loaded"]  # by the twin alone

    def test_outlive_a_change_of_the_key_while_the_old_one_is_known(self, job, settings):
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "a new one"
        assert stored(job).args == [Thing(1), Thing(2)]

        settings.SECRET_KEY_FALLBACKS = []
        with pytest.raises(CorruptArguments):
            stored(job).args  # noqa: B018


loads = []


class Loud:
    def __setstate__(self, state):
        loads.append("loaded")

    def __getstate__(self):
        return {"loud": True}


# -- times, with and without zones ------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["USE_TZ", "naive"])
def use_tz(request, settings):
    settings.USE_TZ = request.param
    return request.param


def as_stored(local, use_tz):
    """A time in Berlin, the default zone, as Django gives it back from the database."""
    return local.replace(tzinfo=BERLIN) if use_tz else local


class TestTimes:
    def test_of_offsets_count_from_now(self, alias, use_tz):
        before = timezone.now()
        row = row_of(schedule_job("1d12h", f"{PATH}nothing", expires="PT30M", using=alias))
        after = timezone.now()

        offset = timedelta(hours=36)
        assert before + offset <= row["time_slot_start"] <= after + offset
        assert row["time_slot_end"] - row["time_slot_start"] == timedelta(minutes=30)
        assert timezone.is_aware(row["time_slot_start"]) is use_tz

    @pytest.mark.parametrize("given", [datetime(2040, 7, 1, 12), "2040-07-01T12:00", "2040-07-01 12:00:00"], ids=repr)
    def test_that_are_naive_are_in_the_zone_of_the_project(self, alias, use_tz, given):
        row = row_of(schedule_job(given, f"{PATH}nothing", using=alias))

        assert row["time_slot_start"] == as_stored(datetime(2040, 7, 1, 12), use_tz)

    @pytest.mark.parametrize(
        "given", [datetime(2040, 7, 1, 6, tzinfo=ZoneInfo("America/New_York")), "2040-07-01T10:00Z"], ids=repr
    )
    def test_that_are_aware_are_that_instant(self, alias, use_tz, given):
        row = row_of(schedule_job(given, f"{PATH}nothing", using=alias))

        assert row["time_slot_start"] == as_stored(datetime(2040, 7, 1, 12), use_tz)
        assert row["wake_at"] == datetime(2040, 7, 1, 10, tzinfo=UTC).timestamp() * 1_000_000

    def test_that_are_naive_follow_the_zone_of_the_request_where_there_are_zones(self, alias, settings):
        settings.USE_TZ = True
        with timezone.override("America/New_York"):
            job = schedule_job(datetime(2040, 7, 1, 6), f"{PATH}nothing", using=alias)

        assert row_of(job)["time_slot_start"] == datetime(2040, 7, 1, 12, tzinfo=BERLIN)

    def test_that_are_past_are_accepted(self, alias, use_tz):
        job = schedule_job(datetime(2010, 10, 10), f"{PATH}note", expires=None, using=alias)
        assert row_of(job)["time_slot_start"] == as_stored(datetime(2010, 10, 10), use_tz)
        run_jobs(using=alias)

        assert row_of(job)["status"] == "complete"

    def test_of_slots_that_are_over_are_stored_and_expire(self, alias, use_tz):
        job = schedule_job(datetime(2010, 10, 10), f"{PATH}note", using=alias)
        assert row_of(job)["status"] == "scheduled"
        run_jobs(using=alias)

        assert row_of(job)["status"] == "expired"

    @pytest.mark.parametrize("given", [datetime(2040, 3, 25, 2, 30), "2040-03-25T02:30"], ids=repr)
    def test_that_the_clocks_skip_are_refused_where_there_are_zones(self, alias, given, settings):
        settings.USE_TZ = True
        refused(InvalidTime, "does not exist in Europe/Berlin", given, f"{PATH}nothing", alias=alias)

    def test_that_the_clocks_skip_are_accepted_where_there_are_no_zones(self, alias, settings):
        settings.USE_TZ = False
        given = datetime(2040, 3, 25, 2, 30)
        row = row_of(schedule_job(given, f"{PATH}nothing", using=alias))

        # PostgreSQL alone gives back the same instant by its other name, 3:30.
        assert to_micros(row["time_slot_start"]) == row["wake_at"] == to_micros(given)

    @pytest.mark.parametrize("fold", [0, 1])
    def test_that_come_twice_are_told_apart_by_fold(self, alias, settings, fold):
        settings.USE_TZ = True
        given = datetime(2040, 10, 28, 2, 30, fold=fold)
        row = row_of(schedule_job(given, f"{PATH}nothing", using=alias))

        assert row["time_slot_start"].hour == fold  # of UTC

    def test_keep_their_microseconds(self, alias, use_tz):
        given = datetime(2040, 7, 1, 12, 0, 0, 123456)
        row = row_of(schedule_job(given, f"{PATH}nothing", using=alias))

        assert row["time_slot_start"] == as_stored(given, use_tz)
        assert row["wake_at"] % 1_000_000 == 123456

    def test_of_rescheduled_jobs_count_from_now_or_from_the_old_start(self, alias, use_tz):
        job = schedule_job(datetime(2040, 7, 1, 12), f"{PATH}nothing", using=alias)
        planned = row_of(stored(job).reschedule("1d", relative_to="scheduled"))
        from_now = row_of(stored(job).reschedule("1d"))

        assert planned["time_slot_start"] == as_stored(datetime(2040, 7, 2, 12), use_tz)
        assert abs(from_now["time_slot_start"] - timezone.now() - timedelta(days=1)) < timedelta(minutes=1)


@job_as_parameter
def takes_job_and_one(job, one):
    return one


def test_the_job_counts_as_one_of_the_arguments(alias):
    refused(InvalidArguments, "missing a required argument: 'one'", "5d", f"{__name__}.takes_job_and_one", alias=alias)
    schedule_job("5d", f"{__name__}.takes_job_and_one", args=[1], using=alias)


def test_a_rescheduled_job_knows_the_job_that_it_was_made_from(alias):
    first = schedule_job("5d", f"{PATH}nothing", using=alias)
    second = first.reschedule("6d")

    assert row_of(first)["rescheduled_from"] is None
    assert row_of(second)["rescheduled_from"] == first.pk


def test_a_job_that_is_rescheduled_into_another_database_knows_no_other(alias):
    others = [other for other in connections if other != alias]
    if not others:
        pytest.skip("needs a second database")

    assert (
        row_of(schedule_job("5d", f"{PATH}nothing", using=alias).reschedule("6d", using=others[0]))["rescheduled_from"]
        is None
    )
