"""Who may only look."""

import pytest
from playwright.sync_api import expect

from django_future_celery.models import ScheduledJob
from django_future_celery.states import Status
from tests.browser.steps import ADD, LIST, OVERVIEW, callables, page_of
from tests.factories import due_job, job_in, row_of, user_with


@pytest.fixture
def viewer(open_as):
    return open_as(user_with("view_scheduledjob"))


def post(page, address, **data):
    """Send what no button of the page sends, with the token that the page has for logging out."""
    page.goto(LIST)
    token = page.locator("#logout-form [name=csrfmiddlewaretoken]").input_value()
    return page.request.post(address, form={"csrfmiddlewaretoken": token, **data}, max_redirects=0)


def test_who_may_look_sees_all_and_finds_nothing_to_press(viewer):
    job, failed = due_job("default"), job_in(Status.FAILED, "default")
    viewer.goto(LIST)
    expect(viewer.locator("#result_list tbody tr")).to_have_count(2)
    expect(viewer.get_by_role("checkbox")).to_have_count(0)
    expect(viewer.get_by_label("Action:")).to_have_count(0)
    expect(viewer.get_by_role("link", name="Add scheduled job")).to_have_count(0)
    callables(viewer).last.get_by_role("link").click()
    expect(viewer.locator(".future-why")).to_be_visible()
    expect(viewer.locator(".future-timeline")).to_be_visible()
    expect(viewer.locator("#content").get_by_role("button")).to_have_count(0)
    expect(viewer.get_by_role("link", name="Delete")).to_have_count(0)
    viewer.goto(OVERVIEW)
    expect(viewer.locator("#future-failures tbody tr")).to_have_count(1)
    expect(viewer.get_by_role("link", name="Retry all…")).to_have_count(0)
    assert {job.pk, failed.pk} == set(ScheduledJob.objects.values_list("pk", flat=True))


def test_what_is_sent_without_a_button_is_refused(viewer):
    job = due_job("default")
    before = row_of(job)
    assert post(viewer, page_of(job), action="cancel").status == 403
    assert post(viewer, f"{LIST}{job.pk}/delete/", post="yes").status == 403
    assert post(viewer, ADD, callable_name="tests.shop.jobs.note").status == 403
    for across in "01":
        post(viewer, LIST, action="delete_selected", sure="1", _selected_action=str(job.pk), select_across=across)
    assert row_of(job) == before
    assert ScheduledJob.objects.count() == 1


def test_who_may_not_look_sees_nothing(open_as):
    due_job("default")
    page = open_as(user_with("view_user"))
    for address in (LIST, OVERVIEW, page_of(ScheduledJob.objects.get())):
        assert page.request.get(address).status == 403
