"""The overview, which follows what happens as long as somebody looks."""

import pytest
from playwright.sync_api import expect

from django_future_celery.states import Status
from tests.browser.steps import OVERVIEW, callables, number, told
from tests.factories import due_job, job_in
from tests.shop.models import Order

DB = "default"
#: Milliseconds; longer than the page waits.
A_WHILE = 16_000
SHOWN_OR_HIDDEN = """(hidden) => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def overview(page):
    """The page, with a clock that the test turns."""
    page.clock.install()
    page.goto(OVERVIEW)
    return page


@pytest.fixture
def asked(overview):
    """The requests for what is new."""
    requests = []
    overview.on("request", lambda request: request.resource_type == "fetch" and requests.append(request))
    return requests


def refreshed(page):
    return page.expect_response(lambda response: response.request.resource_type == "fetch")


def test_a_tile_leads_to_its_jobs_and_the_list_back(page):
    job_in(Status.FAILED, DB)
    due_job(DB)
    page.goto(OVERVIEW)
    expect(number(page, "Failed in 24 hours")).to_have_text("1")
    page.get_by_role("link", name="Failed in 24 hours").click()
    expect(callables(page)).to_have_count(1)
    page.get_by_role("link", name="Overview").click()
    expect(number(page, "Due now")).to_have_text("1")


def test_a_filter_is_chosen_here_and_kept_on_the_way_to_the_list(page):
    due_job(DB)
    due_job(DB, callable_name="remind", content_object=Order.objects.create())
    page.goto(OVERVIEW)
    page.locator("#future-filters > summary").click()
    page.get_by_role("link", name="Shop | order").click()
    expect(number(page, "Due now")).to_have_text("1")
    page.get_by_role("link", name="Due now").click()
    expect(callables(page)).to_have_text(["remind"])


def test_all_that_failed_alike_is_retried(page):
    for _ in "12":
        job_in(Status.FAILED, DB)
    page.goto(OVERVIEW)
    page.get_by_role("link", name="Retry all…").click()
    expect(page.get_by_text("2 jobs of tests.shop.jobs.note failed")).to_be_visible()
    page.get_by_role("button", name="Retry all").click()
    expect(told(page)).to_have_text(["2 jobs had ended: new ones like them were scheduled."])


def test_it_follows_by_itself_and_leaves_open_what_is_open(overview):
    expect(number(overview, "Due now")).to_have_text("0")
    overview.locator("#future-hours > summary").click()
    overview.get_by_role("heading", name="Overview").click()
    overview.evaluate("document.activeElement.blur()")
    due_job(DB)
    overview.clock.run_for(A_WHILE)
    expect(number(overview, "Due now")).to_have_text("1")
    expect(overview.locator("#future-hours table").first).to_be_visible()


def test_a_pause_lasts_over_the_next_visit_until_somebody_goes_on(overview, asked):
    overview.get_by_role("button", name="Pause").click()
    overview.reload()
    overview.clock.run_for(A_WHILE)
    due_job(DB)
    with refreshed(overview):
        overview.get_by_role("button", name="Go on").click()
    expect(number(overview, "Due now")).to_have_text("1")
    assert len(asked) == 1
    expect(overview.get_by_role("button", name="Pause")).to_be_visible()


def test_nobody_looks_so_nothing_is_asked(overview, asked):
    overview.evaluate(SHOWN_OR_HIDDEN, True)
    overview.clock.run_for(4 * A_WHILE)
    due_job(DB)
    with refreshed(overview):
        overview.evaluate(SHOWN_OR_HIDDEN, False)
    expect(number(overview, "Due now")).to_have_text("1")
    assert len(asked) == 1


def test_nothing_is_changed_under_the_hands_of_who_is_at_work(overview, asked):
    overview.get_by_role("link", name="Due now").focus()
    overview.clock.run_for(4 * A_WHILE)
    overview.evaluate("document.activeElement.blur()")
    with refreshed(overview):
        overview.clock.run_for(A_WHILE)
    assert len(asked) == 1


def test_who_was_logged_out_is_told_that_nothing_is_new(overview, asked):
    overview.context.clear_cookies()
    overview.clock.run_for(A_WHILE)
    expect(overview.get_by_role("status")).to_have_text("The page can no longer be brought up to date: load it again.")
    expect(overview.locator("#future-refresh")).to_be_hidden()
    asked.clear()
    overview.clock.run_for(4 * A_WHILE)
    assert asked == []


def test_a_server_that_is_away_for_a_while_is_asked_again(overview, complaints):
    overview.route("**/overview/", lambda route: route.fulfill(status=503, body=""))
    with refreshed(overview):
        overview.clock.run_for(A_WHILE)
    overview.unroute("**/overview/")
    due_job(DB)
    overview.clock.run_for(A_WHILE)
    expect(number(overview, "Due now")).to_have_text("1")
    assert "503" in complaints.pop()
