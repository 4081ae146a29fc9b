"""A job that real processes take from one status to the next, while somebody watches."""

import pytest
from playwright.sync_api import expect

from django_future_celery.models import ScheduledJob
from tests.browser.steps import ADD, LIST, OVERVIEW, number, page_of, row, told
from tests.processes import wait_until


@pytest.fixture
def at_work(website):
    """A worker and a beat, gone before the database is emptied."""
    started = [website.worker("-c", "1"), website.beat()]
    yield
    for process in reversed(started):
        website.stop(process)


def come_to(page, locator, text):
    """Load the page again until it shows the text."""

    def is_shown():
        page.reload()
        return text in locator.inner_text()

    wait_until(is_shown, what=f"{text!r} on the page")


def test_a_job_is_added_runs_and_ends_before_ones_eyes(page, at_work):
    page.goto(f"{ADD}?callable_name=tests.shop.jobs.work_until_told_to_stop")
    page.get_by_label("Start").fill("2s")
    page.get_by_role("button", name="Schedule", exact=True).click()
    expect(told(page)).to_contain_text(["was added successfully"])
    job = ScheduledJob.objects.get()
    badge = row(page, job).locator(".future-badge")
    come_to(page, badge, "running")

    overview = page.context.new_page()
    overview.clock.install()
    overview.goto(OVERVIEW)
    expect(number(overview, "Running")).to_have_text("1")
    expect(overview.locator("#future-processes tbody")).to_contain_text("worker")

    page.goto(page_of(job))
    expect(page.locator(".future-why")).to_contain_text("It has been running since")
    page.get_by_role("button", name="Ask it to stop").click()
    expect(told(page)).to_have_text(["1 running job was asked to stop."])
    come_to(page, page.locator(".future-why"), "It was completed")
    expect(page.locator(".field-result")).to_contain_text("stopped in good order")

    overview.clock.run_for(16_000)
    expect(number(overview, "Running")).to_have_text("0")
    expect(overview.locator(".future-hour title", has_text="1 complete")).to_have_count(1)
    page.goto(LIST)
    expect(badge).to_have_text("complete")
