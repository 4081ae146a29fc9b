"""The list of jobs: what each tab and filter shows, and that a table of any size costs it nothing."""

import json
import os
import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_future_celery.admin import ScheduledJobAdmin, chunks, filters, windows
from django_future_celery.admin.lists import JobList
from django_future_celery.admin.texts import describe_when
from django_future_celery.clock import to_micros
from django_future_celery.models import ScheduledJob
from django_future_celery.states import END_STATES, Status
from tests.factories import MINUTE, due_job, job_in, started_job
from tests.plans import insert
from tests.shop.models import Coupon, Order, Parcel
from tests.test_admin import HOSTILE, LIST, admin_client, text_of, waiting_job  # noqa: F401

pytestmark = pytest.mark.django_db(databases="__all__")

HOUR = timedelta(hours=1)
DB = "default"


class Lists(ScheduledJobAdmin):
    """The admin of the database under test."""

    def __init__(self, alias):
        super().__init__(ScheduledJob, admin.site)
        self.alias = alias

    def get_queryset(self, request):
        return super().get_queryset(request).using(self.alias)

    def list(self, **parameters) -> JobList:
        request = RequestFactory().get(LIST, parameters)
        request.user = User(is_active=True, is_staff=True, is_superuser=True)
        return self.get_changelist_instance(request)

    def ids(self, **parameters):
        return [job.pk for job in self.list(**parameters).result_list]


@pytest.fixture
def lists(alias):
    return Lists(alias)


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(windows, "MOST_FOUND", 5)
    monkeypatch.setattr(windows, "MOST_SEARCHED", 10)
    monkeypatch.setattr("django_future_celery.admin.lists.MOST_FOUND", 5)
    monkeypatch.setattr("django_future_celery.admin.lists.MOST_SEARCHED", 10)


def sent_job(alias):
    job = due_job(alias)
    ScheduledJob.objects.using(alias).filter(pk=job.pk).update(dispatched_at=timezone.now(), wake_at=2**62)
    return job


# -- tabs -------------------------------------------------------------------------------------------------------------


def test_each_tab_shows_its_jobs_and_counts_them(lists, alias):
    start = timezone.now() + HOUR
    jobs = {status: job_in(status, alias) for status in Status.values}
    sent, future = sent_job(alias), due_job(alias, time_slot_start=start, time_slot_end=None)

    expected = {status: [jobs[status].pk] for status in [*END_STATES, Status.RUNNING]} | {
        "due": [jobs["scheduled"].pk],
        "sent": [sent.pk],
        "scheduled": [jobs["scheduled"].pk, future.pk, sent.pk],
        "all": sorted((job.pk for job in [*jobs.values(), sent, future]), reverse=True),
    }
    assert {name: lists.ids(state=name) for name in expected} == expected
    assert {tab["name"]: tab["count"] for tab in lists.list().tabs} == {
        str(name): str(len(ids)) for name, ids in expected.items()
    }


def test_due_jobs_are_listed_in_the_order_in_which_they_are_taken(lists, alias):
    low = due_job(alias, priority=-1, time_slot_start=timezone.now() - HOUR)
    later = due_job(alias, priority=5)
    first = due_job(alias, priority=5, time_slot_start=timezone.now() - HOUR)
    assert lists.ids(state="due") == [first.pk, later.pk, low.pk]


def test_scheduled_jobs_are_listed_the_next_one_first_whatever_their_priority(lists, alias):
    starts = [timezone.now() + HOUR * n for n in (3, 1, 2)]
    three, one, two = (due_job(alias, priority=n, time_slot_start=start) for n, start in enumerate(starts))
    assert lists.ids(state="scheduled") == [one.pk, two.pk, three.pk]


def test_an_unknown_tab_is_the_one_of_all(lists, alias):
    job = due_job(alias)
    assert lists.ids(state=HOSTILE) == [job.pk]


def test_numbers_are_counted_up_to_a_cap_and_older_jobs_are_a_link_away(lists, alias, small_windows):
    jobs = [job_in(Status.COMPLETE, alias).pk for _ in range(7)][::-1]
    shown = lists.list()
    assert [job.pk for job in shown.result_list] == jobs[:5]
    assert shown.count_text == "5+"
    assert {tab["name"]: tab["count"] for tab in shown.tabs}["complete"] == "5+"
    assert shown.older_link == f"?before={jobs[4]}"
    rest = lists.list(before=str(jobs[4]))
    assert [job.pk for job in rest.result_list] == jobs[5:]
    assert (rest.count_text, rest.older_link, rest.newest_link) == ("2", "", "?")


def test_jobs_that_have_ended_are_listed_by_their_end_the_latest_first(lists, alias, rows):
    first, second = (job_in(Status.COMPLETE, alias) for _ in range(2))
    rows.filter(pk=first.pk).update(execution_end=second.execution_end + MINUTE)
    assert [job.pk for job in lists.list(state="complete").result_list] == [first.pk, second.pk]


@pytest.mark.parametrize("before", ["", "x", "-1", "9" * 30, "²"])
def test_a_place_to_go_on_that_is_none_breaks_nothing(lists, alias, before):
    job = due_job(alias)
    assert lists.ids(before=before) == [job.pk]


def test_pages_are_those_of_what_was_found(lists, alias, small_windows, monkeypatch):
    monkeypatch.setattr(lists, "list_per_page", 2)
    jobs = [due_job(alias).pk for _ in range(6)][::-1]
    assert lists.ids(p=3) == jobs[4:5]


def test_a_page_that_is_not_there_leads_back(admin_client):  # noqa: F811
    due_job(DB)
    assert admin_client.get(LIST, {"p": "9"}).status_code == 302


# -- filters and search -----------------------------------------------------------------------------------------------


def test_jobs_are_filtered_by_callable_whole_or_from_its_beginning(lists, alias):
    add, add_all = due_job(alias, callable_name="shop.add"), due_job(alias, callable_name="shop.add_all")
    other = due_job(alias, callable_name="mail.send")
    assert lists.ids(callable_name="shop.add") == [add.pk]
    assert lists.ids(callable_name="shop.*") == [add_all.pk, add.pk]
    assert lists.ids(callable_name="", state="all") == [other.pk, add_all.pk, add.pk]
    [spec] = [spec for spec in lists.list().filter_specs if getattr(spec, "parameter_name", "") == "callable_name"]
    assert [value for value, _ in spec.lookup_choices] == ["mail.send", "shop.add", "shop.add_all"]


def test_a_filter_of_strange_characters_breaks_nothing(lists, alias):
    job = due_job(alias, callable_name="shop.add")
    assert lists.ids(callable_name="shop.add\0") == [job.pk]
    assert lists.ids(callable_name="%*") == lists.ids(queue=HOSTILE) == []


def test_jobs_are_filtered_by_queue(lists, alias):
    slow = due_job(alias, queue="slow")
    due_job(alias)
    assert lists.ids(queue="slow") == [slow.pk]


def test_late_jobs_and_those_that_expire_soon_are_found_from_every_tab(lists, alias):
    now = timezone.now()
    late = due_job(alias, time_slot_start=now - HOUR, time_slot_end=now + 2 * HOUR)
    soon = due_job(alias, time_slot_start=now + MINUTE, time_slot_end=now + 2 * MINUTE)
    job_in(Status.COMPLETE, alias, time_slot_start=now - HOUR)
    for state in ("all", "scheduled", "complete"):
        assert lists.ids(state=state, timing="late") == [late.pk]
        assert lists.ids(state=state, timing="expiring") == [soon.pk]
    assert lists.ids(state="due", timing="expiring") == []


def test_the_jobs_of_an_object_are_found_however_many_others_there_are(lists, alias, small_windows):
    kind = ContentType.objects.db_manager(alias).get_for_model(Order)
    mine = due_job(alias, content_type=kind, object_id="7")
    for _ in range(12):
        due_job(alias, content_type=kind, object_id="8")
    query = {"content_type__id__exact": kind.pk, "object_id": "7"}
    assert lists.ids(**query) == [mine.pk]
    assert lists.ids(**query, state="complete") == []


def test_a_search_is_bounded_says_so_and_may_be_continued(lists, alias, small_windows):
    old = due_job(alias, queue="x", callable_name="needle")
    jobs = [due_job(alias).pk for _ in range(10)]
    first = lists.list(q="needle")
    assert [*first.result_list] == []
    assert first.searched_text == "10"
    assert first.older_link == f"?before={jobs[0]}&q=needle"
    assert lists.ids(q="needle", before=jobs[0]) == [old.pk]
    assert lists.list(q="needle", before=jobs[0]).searched_text == ""


@pytest.mark.parametrize("column", ["args_text", "kwargs_text", "error", "return_value", "worker", "task_id"])
def test_the_search_looks_into_arguments_results_and_errors(lists, alias, column):
    job = due_job(alias)
    due_job(alias)
    text = json.dumps(["häy 'n' needle\\"])
    value = text if column.endswith("_text") else json.loads(text)[0]
    ScheduledJob.objects.using(alias).filter(pk=job.pk).update(**{column: value})
    for query in ("needle", "HÄY".lower(), "häy needle", "\"y 'n' n\"", "needle\\"):
        assert lists.ids(q=query) == [job.pk], query
    assert lists.ids(q="häy missing") == []
    assert lists.ids(q="%") == []


def test_the_search_takes_a_number_whatever_is_between(lists, alias, small_windows):
    job = due_job(alias)
    others = [due_job(alias) for _ in range(12)]
    assert lists.ids(q=str(job.pk)) == [job.pk]
    assert lists.ids(q=str(others[-1].pk + 10**6)) == []
    assert lists.ids(q="9" * 40) == []


@pytest.mark.parametrize("query", ["'", '"', "\\", HOSTILE, "' OR 1=1"])
def test_strange_searches_find_nothing(admin_client, query):  # noqa: F811
    due_job(DB)
    text = text_of(admin_client.get(LIST, {"q": query}))
    assert "0 scheduled jobs" in text
    assert HOSTILE not in text


# -- columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.4, "now"),
        (30, "in 30 s"),
        (-90, "1 min ago"),
        (7300, "in 2 h"),
        (-86400 * 3, "3 d ago"),
        (86400 * 800, "in 2 y"),
    ],
)
def test_times_are_told_by_how_far_they_are(seconds, text):
    now = timezone.now()
    assert describe_when(now + timedelta(seconds=seconds), now) == text


def test_a_late_job_is_marked_and_the_exact_time_is_the_tooltip(admin_client):  # noqa: F811
    job = due_job(DB, time_slot_start=timezone.now() - HOUR)
    text = text_of(admin_client.get(LIST))
    assert re.search(
        r'<time class="future-when future-late" datetime="[^"]+" title="[^"]+"><bdi>1 h ago</bdi></time>', text
    )
    ScheduledJob.objects.cancel()
    assert "future-late" not in text_of(admin_client.get(LIST))
    assert job.pk


def test_a_job_that_waits_for_its_next_attempt_tells_when_that_is(admin_client):  # noqa: F811
    job = started_job(DB, max_attempts=3)
    ScheduledJob.objects.try_again(job, "boom", timezone.now(), waiting_job().due_at)
    assert text_of(admin_client.get(LIST, {"state": "scheduled"})).count("in 23 h") == 2


def test_content_objects_are_looked_up_by_one_query_for_each_model(admin_client):  # noqa: F811
    gone = Order.objects.create()
    coupon, parcel = Coupon.objects.create(code="a/b"), Parcel.objects.create()
    objects = [Order.objects.create(), Order.objects.create(), coupon, parcel]
    for each in [*objects, gone]:
        due_job(DB, callable_name="remind", content_object=each)
    due_job(DB, content_type=ContentType.objects.get_for_model(Parcel), object_id="no uuid")
    key = gone.pk
    gone.delete()
    with CaptureQueriesContext(connections[DB]) as queries:
        text = text_of(admin_client.get(LIST))
    assert len([query for query in queries if "shop_" in query["sql"]]) == 3
    assert f'<span class="future-gone" title="no longer in the database">order {key}</span>' in text
    assert text.count("future-gone") == 2
    assert f"parcel {parcel.pk}" in text


# -- the cost ---------------------------------------------------------------------------------------------------------

ROWS = int(os.environ.get("TEST_PLAN_ROWS", "20000"))


@pytest.fixture
def full(alias, monkeypatch):
    """Nearly all rows are complete, many wait for their day; what is looked for is the oldest. The windows match."""
    for name, size in (("MOST_FOUND", 100), ("MOST_SEARCHED", 500)):
        monkeypatch.setattr(windows, name, size)
        monkeypatch.setattr(f"django_future_celery.admin.lists.{name}", size)
    monkeypatch.setattr(filters, "LOOKED_AT", 100)
    for status in Status.values:
        job_in(status, alias)
    now = timezone.now()
    columns = {"created_at": now, "time_slot_start": now + 24 * HOUR, "priority": "0"}
    ended = {"wake_at": "NULL", "execution_start": now, "execution_end": now}
    insert(alias, ROWS // 10, status="'scheduled'", wake_at=str(to_micros(now + 24 * HOUR)), **columns)
    insert(alias, ROWS * 9 // 10, status="'complete'", **columns | ended)
    if connections[alias].vendor == "mysql":  # There it would commit, and InnoDB looks for itself.
        return alias
    with connections[alias].cursor() as cursor:
        table = ScheduledJob._meta.db_table
        cursor.execute(f"ANALYZE {table}")
    return alias


def rows_read(alias, ask):
    return {"postgresql": by_plans, "mysql": by_handlers, "sqlite": by_steps}[connections[alias].vendor](alias, ask)


def by_plans(alias, ask):
    with CaptureQueriesContext(connections[alias]) as queries:
        ask()
    return sum(scanned(alias, query["sql"]) for query in queries if "scheduledjob" in query["sql"])


def scanned(alias, sql):
    with connections[alias].cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        [row] = cursor.fetchone()
    [plan] = row if isinstance(row, list) else json.loads(row)
    scans = [node for node in nodes(plan["Plan"]) if "Scan" in node["Node Type"]]
    return sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def by_handlers(alias, ask):
    def count():
        with connections[alias].cursor() as cursor:
            cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
            return sum(int(value) for _name, value in cursor.fetchall())

    before = count()
    ask()
    return count() - before


def by_steps(alias, ask):
    """SQLite tells the steps of its machine only: a row that is read takes ten and more."""
    steps = []
    connection = connections[alias].connection
    connection.set_progress_handler(lambda: steps.append(1) or 0, 100)
    try:
        ask()
    finally:
        connection.set_progress_handler(None, 0)
    return len(steps) * 100 // 10


PAGES = [
    {},
    *({"state": name} for name in ("due", "scheduled", "sent", "running", "complete", "failed", "expired")),
    {"callable_name": "no.such"},
    {"state": "complete", "q": "no such"},
    {"state": "scheduled", "queue": "none"},
    {"timing": "expiring"},
    {"content_type__id__exact": "1", "object_id": "7"},
    {"before": "100", "q": "needle"},
]


def test_a_page_of_the_list_reads_a_few_rows_of_many(full):
    def ask(query):
        shown = Lists(full).list(**query)
        assert len(shown.tabs) == 9
        for spec in shown.filter_specs:
            list(spec.choices(shown))

    costs = {str(query): rows_read(full, lambda query=query: ask(query)) for query in PAGES}
    assert max(costs.values()) < 6_000 < ROWS, costs


def test_an_action_on_few_of_many_rows_reads_bounded_pieces(full, monkeypatch):
    monkeypatch.setattr(chunks, "SCANNED", 500)
    rows = ScheduledJob.objects.using(full)
    progress = chunks.Progress.begin(rows.all(), True, {})
    few = rows.filter(queue="no such")
    assert rows_read(full, lambda: next(progress.chunks(few))) < 3_000 < ROWS
    assert progress.after - progress.first < 2_000
