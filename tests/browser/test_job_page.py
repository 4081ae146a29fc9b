"""The page of a job, and those of an object."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import scene
from tests.browser.steps import page_of


@pytest.fixture
def jobs(website):
    return scene.build()


def steps(page):
    return page.locator(".future-step-text")


def test_a_job_that_waits_says_why_and_what_is_to_come(page, jobs):
    page.goto(page_of(jobs.waiting))
    expect(page.locator(".future-why")).to_contain_text("It is not due until")
    expect(steps(page)).to_have_text(["Scheduled", "Due", "Slot ends"])
    expect(page.locator(".future-step-ahead")).to_contain_text(
        [re.compile("in (23:59|1 day)"), re.compile("in (7 days, 23:59|8 days)")]
    )
    expect(page.locator(".field-target_link").get_by_role("link")).to_have_text(f"order {jobs.order.pk}")


def test_a_job_between_two_attempts_tells_of_both(page, jobs):
    page.goto(page_of(jobs.pausing))
    expect(page.locator(".future-why")).to_contain_text("Attempt 1 of 3 failed; the next one is due")
    expect(page.locator(".future-step-ahead .future-step-text")).to_have_text(["Due again", "Slot ends"])


def test_the_attempts_open_one_by_one_the_latest_first(page, jobs):
    page.goto(page_of(jobs.failed))
    latest, first = (page.locator(".future-attempt", has_text=f"Attempt {number} of 2") for number in (2, 1))
    expect(latest.get_by_text("ConnectionRefusedError: [Errno 111]")).to_be_visible()
    expect(first.get_by_text("ConnectionRefusedError: [Errno 111]")).to_be_hidden()
    first.locator("summary").click()
    expect(first.get_by_text("ConnectionRefusedError: [Errno 111]")).to_be_visible()
    expect(steps(page)).to_contain_text(["Started attempt 1 of 2", "Failed", "Started attempt 2 of 2", "Failed"])


def test_a_complete_job_shows_its_result(page, jobs):
    page.goto(page_of(jobs.complete))
    expect(page.locator(".field-result")).to_contain_text("'to': ['ada@example.com', 'bob@example.com']")
    expect(page.locator(".future-step-complete")).to_contain_text("Complete")


def test_an_object_shows_its_jobs_and_leads_to_them(page, jobs):
    page.goto(f"/admin/shop/order/{jobs.order.pk}/change/")
    inline = page.get_by_role("group", name="Latest scheduled jobs")
    expect(inline.locator(".future-badge")).to_have_text(["complete", "scheduled"])
    inline.get_by_role("link", name="View").first.click()
    expect(page.locator(".field-callable_name")).to_contain_text("remind")
