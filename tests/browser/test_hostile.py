"""Whatever a row holds is text: no page makes an element of it, and none runs it."""

import pytest
from django.contrib.contenttypes.models import ContentType
from playwright.sync_api import expect

from django_future_celery.clock import database_now
from django_future_celery.models import Process, ScheduledJob
from django_future_celery.states import Kind, Status
from tests.browser.steps import LIST, OVERVIEW, choose, go, page_of, told
from tests.factories import started_job
from tests.shop.models import Coupon, Order

DB = "default"
#: Each would be seen by a dialog, by a request or by its element.
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1) class=hostile><b class=hostile>{{ 7|add:7 }}</b>"
SHORT = "'\"><b class=hostile>&lt;"


@pytest.fixture
def job(website):
    job = started_job(
        DB,
        callable_name=HOSTILE,
        args_text='["<b class=hostile>"]',
        kwargs_text='{"<b class=hostile>": "<script>alert(1)</script>"}',
        queue=HOSTILE,
        object_id=HOSTILE[:190],
        unique_key=HOSTILE,
        content_type=ContentType.objects.get_for_model(Coupon),
    )
    ScheduledJob.objects.filter(pk=job.pk).update(
        status=Status.FAILED,
        wake_at=None,
        worker=HOSTILE,
        task_id=HOSTILE,
        error=f"Traceback\n{HOSTILE}: {HOSTILE}",
        return_value=HOSTILE,
    )
    now = database_now(DB)
    Process.objects.create(name=HOSTILE, kind=Kind.BEAT, host=HOSTILE, pid=1, since=now, seen=now)
    return job


def is_text(page, times):
    """Whether no element has come of it, and it can be read so many times at least."""
    expect(page.locator(".hostile")).to_have_count(0)
    assert page.locator("#content").inner_text().count("class=hostile") >= times
    assert "{{ 7|add:7 }}" in page.locator("#content").inner_text()


def test_in_the_list_and_its_filters(page, job):
    page.goto(LIST)
    is_text(page, 4)
    page.goto(f"{LIST}?state=failed")
    page.get_by_role("textbox", name="Queue").fill(HOSTILE)
    page.get_by_role("textbox", name="Queue").press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    expect(page.get_by_role("textbox", name="Queue")).to_have_value(HOSTILE)
    is_text(page, 4)


def test_on_the_page_of_a_job(page, job):
    page.goto(page_of(job))
    is_text(page, 10)


def test_on_the_overview_also_when_it_brings_itself_up_to_date(page, job):
    page.clock.install()
    page.goto(f"{OVERVIEW}?q=hostile")
    is_text(page, 4)
    page.evaluate("document.getElementById('future-panels').dataset.old = 'yes'")
    with page.expect_response(lambda response: response.request.resource_type == "fetch"):
        page.clock.run_for(16_000)
    expect(page.locator("#future-panels[data-old]")).to_have_count(1)
    is_text(page, 4)


def test_where_one_is_asked_and_told(page, job):
    page.goto(LIST)
    choose(page, "Reschedule…", job)
    go(page)
    is_text(page, 1)
    page.get_by_label("New start").fill(HOSTILE[:100])
    page.get_by_label("New start").press("Enter")
    expect(page.locator(".form-row.errors")).to_contain_text("alert(1)")
    expect(page.locator(".hostile")).to_have_count(0)
    page.goto(LIST)
    choose(page, "Run now", job)
    go(page)
    expect(told(page).first).to_contain_text("<script>")
    is_text(page, 4)


def test_on_the_page_that_asks_before_a_retry_of_all(page, job):
    page.goto(f"{OVERVIEW}retry/{job.pk}/")
    is_text(page, 2)


def test_on_the_page_of_an_object(page):
    order = Order.objects.create(note=SHORT)
    started_job(DB, callable_name=HOSTILE, queue=HOSTILE, content_object=order)
    page.goto(f"/admin/shop/order/{order.pk}/change/")
    is_text(page, 2)


def test_in_what_somebody_types_to_add_a_job(page):
    page.goto(f"{LIST}add/?callable_name=tests.shop.jobs.add")
    page.locator("[name=args]").fill("[1]")
    page.locator("[name=kwargs]").fill('{"<b class=hostile>": 1}')
    page.get_by_label("Start").fill(SHORT)
    page.get_by_role("button", name="Schedule", exact=True).click()
    expect(page.locator(".field-date .errorlist")).to_contain_text("<b class=hostile>")
    page.get_by_label("Start").fill("1d")
    page.get_by_role("button", name="Schedule", exact=True).click()
    expect(page.locator(".field-kwargs .errorlist")).to_contain_text("<b class=hostile>")
    expect(page.locator(".hostile")).to_have_count(0)
