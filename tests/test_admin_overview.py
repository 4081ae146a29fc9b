"""The overview in the admin: who may see it, what it follows, and that it shows nothing but text."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape
from django.utils.translation import override

from django_future_celery.clock import database_now
from django_future_celery.models import Process, ScheduledJob
from django_future_celery.states import Kind, Status
from tests.factories import MINUTE, due_job, job_in, row_of
from tests.shop.models import Order

pytestmark = pytest.mark.django_db

LIST = "/admin/django_future_celery/scheduledjob/"
OVERVIEW = f"{LIST}overview/"
HOSTILE = "<script>alert('x')</script>"
DB = "default"


@pytest.fixture(autouse=True)
def fresh_content_types():
    yield
    ContentType.objects.clear_cache()


def client_with(client, *codenames, **columns):
    user = User.objects.create_user("clerk", is_staff=True, **columns)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


@pytest.fixture
def viewer(client):
    return client_with(client, "view_scheduledjob")


@pytest.fixture
def changer(client):
    return client_with(client, "view_scheduledjob", "change_scheduledjob")


def failed_job(error="KeyError: 1", **columns):
    job = job_in(Status.FAILED, DB, **columns)
    ScheduledJob.objects.filter(pk=job.pk).update(error=f'  File "a.py", line 1, in b\n{error}\n')
    return job


def text_of(response):
    assert response.status_code == 200
    return response.content.decode()


def told(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def number(response, label):
    [tile] = [tile for tile, _ in response.context["tiles"] if str(tile.label) == label]
    return tile.value


# -- who may look -----------------------------------------------------------------------------------------------------


def test_who_may_view_jobs_sees_the_overview_but_cannot_retry(viewer):
    failed_job()
    text = text_of(viewer.get(OVERVIEW))
    assert "KeyError" in text
    assert "/retry/" not in text


def test_who_may_not_view_jobs_does_not(client):
    assert client_with(client, "view_user").get(OVERVIEW).status_code == 403
    client.logout()
    assert "/login/" in client.get(OVERVIEW)["Location"]


def test_the_list_and_the_overview_link_to_each_other_and_keep_the_filters(viewer):
    query = "?callable_name=shop.note"
    assert f'<a href="{OVERVIEW}{query}">Overview</a>' in text_of(viewer.get(LIST + query))
    assert f'<a href="{LIST}{query}">List of jobs</a>' in text_of(viewer.get(OVERVIEW + query))


# -- what it follows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "due"),
    [
        ({}, "3"),
        ({"callable_name": "tests.shop.jobs.add"}, "1"),
        ({"queue__exact": "slow"}, "1"),
        ({"q": "needle"}, "1"),
        ({"status__exact": "failed", "time_slot_start__year": "1999", "p": "7", "o": "-2"}, "3"),
    ],
)
def test_it_follows_the_filters_of_the_list_but_those_of_status_and_time(viewer, query, due):
    due_job(DB, callable_name="tests.shop.jobs.add")
    due_job(DB, queue="slow")
    due_job(DB, unique_key="the-needle")
    assert number(viewer.get(OVERVIEW, query), "Due now") == due


def test_a_filter_of_the_list_can_be_chosen_here(viewer):
    orders = ContentType.objects.get_for_model(Order)
    due_job(DB)
    due_job(DB, callable_name="remind", content_object=Order.objects.create())
    choice = f"?content_type__id__exact={orders.pk}"
    assert f'href="{choice}"' in text_of(viewer.get(OVERVIEW))
    response = viewer.get(OVERVIEW + choice)
    assert number(response, "Due now") == "1"
    assert "Clear all filters" in text_of(response)


@pytest.mark.parametrize("query", ["?nonsense=1", "?priority__exact=x"])
def test_a_filter_that_cannot_be_understood_is_dropped(viewer, query):
    response = viewer.get(OVERVIEW + query)
    assert (response.status_code, response["Location"]) == (302, OVERVIEW)


def test_each_tile_leads_to_the_jobs_that_it_counts(viewer):
    due_job(DB, time_slot_start=timezone.now() - 5 * MINUTE)
    due_job(DB, time_slot_start=timezone.now() + 5 * MINUTE)
    sent = due_job(DB)
    now = database_now(DB)
    ScheduledJob.objects.filter(pk=sent.pk).update(dispatched_at=timezone.now(), wake_at=now + 60_000_000)
    failed_job()
    job_in(Status.RUNNING, DB)
    counted = [1, 2, 1, 1, 1]
    found = [(tile, link) for tile, link in viewer.get(OVERVIEW).context["tiles"] if tile.value.isdecimal()]
    assert [int(tile.value) for tile, _ in found] == counted
    assert [len(viewer.get(link).context["cl"].result_list) for _, link in found] == counted


# -- how it looks -----------------------------------------------------------------------------------------------------


def hostile_rows():
    now = database_now(DB)
    Process.objects.create(name=HOSTILE, kind=Kind.BEAT, host=HOSTILE, pid=1, since=now, seen=now)
    lost = job_in(Status.FAILED, DB, callable_name=HOSTILE, queue=HOSTILE)
    ScheduledJob.objects.filter(pk=lost.pk).update(error=HOSTILE)
    return lost


def test_hostile_content_is_text(changer):
    lost = hostile_rows()
    text = text_of(changer.get(OVERVIEW, {"q": HOSTILE}))
    assert HOSTILE not in text
    assert text.count(escape(HOSTILE)) >= 4  # error, callable twice, process
    confirmation = text_of(changer.get(f"{OVERVIEW}retry/{lost.pk}/"))
    assert HOSTILE not in confirmation
    assert escape(HOSTILE) in confirmation


def test_a_strict_content_security_policy_breaks_nothing(changer):
    hostile_rows()
    for page in (OVERVIEW, f"{OVERVIEW}retry/{failed_job().pk}/"):
        text = text_of(changer.get(page))
        assert not re.findall(r"<style|<script(?![^>]* src=)|\sstyle=|\son\w+=|javascript:", text)


def test_what_the_charts_show_is_also_there_in_numbers(viewer):
    failed_job()
    for _ in range(2):
        due_job(DB)
    text = text_of(viewer.get(OVERVIEW))
    assert text.count('role="img" aria-labelledby="future-') == 2
    assert re.search(r"<title>[^<]*: 1 failed</title>", text)
    assert re.search(r"<title>[^<]*: 2 due</title>", text)
    assert text.count('<tr><th scope="row">') == 50
    assert '<td class="future-right">2</td>' in text


def test_the_numbers_of_the_drawing_are_those_of_svg_in_every_language(viewer, settings):
    settings.USE_THOUSAND_SEPARATOR = True
    failed_job()
    with override("de"):
        text = text_of(viewer.get(OVERVIEW))
    drawn = re.findall(r'\s(?:x|y|x1|x2|y1|y2|width|height)="([^"]*)"', text[text.index("future-charts") :])
    assert len(drawn) > 100
    assert [each for each in drawn if not re.fullmatch(r"-?\d+(\.\d+)?(rem)?", each)] == []


def test_the_number_of_queries_does_not_grow_with_the_jobs(viewer):
    def queries_with_more(count):
        for n in range(count):
            failed_job(f"Error{n}")
            for status in Status.values:
                job_in(status, DB, callable_name=f"tests.shop.jobs.n{n}")
        with CaptureQueriesContext(connection) as queries:
            text_of(viewer.get(OVERVIEW))
        return len(queries)

    assert queries_with_more(1) == queries_with_more(4)


# -- retry ------------------------------------------------------------------------------------------------------------


def retry_page(job):
    return f"{OVERVIEW}retry/{job.pk}/"


def test_all_that_failed_alike_is_scheduled_again_once_that_is_confirmed(changer):
    alike = [failed_job(callable_name="tests.shop.jobs.add", args_text="[1, 2]") for _ in range(2)]
    other = failed_job("OSError: 5", callable_name="tests.shop.jobs.add")
    before = [row_of(job) for job in (*alike, other)]

    confirmation = changer.get(retry_page(alike[1]))
    assert "2 jobs of tests.shop.jobs.add failed with KeyError." in text_of(confirmation)
    assert not ScheduledJob.objects.scheduled().exists()

    form = {name: confirmation.context[name] for name in ("action", "select_across")}
    chosen = {confirmation.context["checkbox"]: confirmation.context["selected"]}
    response = changer.post(confirmation.context["list_link"], form | chosen)
    assert told(response) == ["2 jobs had ended: new ones like them were scheduled."]
    assert [row_of(job) for job in (*alike, other)] == before
    assert [job.args for job in ScheduledJob.objects.scheduled()] == [[1, 2], [1, 2]]


def test_who_may_not_change_jobs_retries_nothing(viewer):
    assert viewer.get(retry_page(failed_job())).status_code == 403


def test_a_job_that_is_none_of_the_latest_failures_is_told_so(changer):
    job = due_job(DB)
    response = changer.get(retry_page(job))
    assert response["Location"] == f"{OVERVIEW}?"
    assert told(response) == [f"Job {job.pk} is none of the latest failures."]


def test_the_confirmation_follows_the_filters(changer):
    slow, _ = failed_job(queue="slow"), failed_job()
    response = changer.get(retry_page(slow) + "?queue__exact=slow")
    assert response.context["selected"] == [slow.pk]
    assert response.context["overview_link"] == f"{OVERVIEW}?queue__exact=slow"
