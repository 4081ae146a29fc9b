"""The list: who comes there finds what they look for."""

import re

from django.contrib.auth.models import User
from playwright.sync_api import expect

from django_future_celery.states import Status
from tests.browser.steps import LIST, callables, row, tab
from tests.factories import due_job, job_in

DB = "default"


def test_somebody_logs_in_and_goes_to_the_jobs(open_as):
    User.objects.create_superuser("ada", password="lovelace")
    due_job(DB)
    page = open_as(None)
    page.goto("/admin/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("lovelace")
    page.get_by_role("button", name="Log in").click()
    page.locator("#content-main").get_by_role("link", name="Scheduled jobs").last.click()

    expect(page).to_have_url(re.compile(re.escape(LIST) + "$"))
    expect(callables(page)).to_have_text(["tests.shop.jobs.note"])


def test_each_tab_tells_its_number_and_shows_its_jobs(page):
    jobs = {status: job_in(status, DB) for status in Status.values}
    page.goto(LIST)
    expect(tab(page, "All 6")).to_have_attribute("aria-current", "page")
    for status, job in jobs.items():
        tab(page, f"{status.capitalize()} 1").click()
        expect(tab(page, status.capitalize())).to_have_attribute("aria-current", "page")
        expect(callables(page)).to_have_count(1)
        expect(row(page, job).locator(".future-badge")).to_have_text(status)


def test_filters_and_search_work_together_and_can_be_cleared(page):
    due_job(DB, callable_name="tests.shop.jobs.add", queue="slow", args_text='["needle"]')
    due_job(DB, callable_name="tests.shop.jobs.add", queue="fast", args_text='["needle"]')
    due_job(DB, callable_name="tests.shop.jobs.add", queue="slow")
    due_job(DB, callable_name="tests.shop.jobs.note", queue="slow", args_text='["needle"]')
    page.goto(LIST)
    expect(callables(page)).to_have_count(4)

    page.get_by_role("textbox", name="Callable").fill("tests.shop.jobs.a*")
    page.get_by_role("textbox", name="Callable").press("Enter")
    expect(callables(page)).to_have_text(["tests.shop.jobs.add"] * 3)

    page.locator("#changelist-filter").get_by_role("link", name="slow").click()
    expect(callables(page)).to_have_count(2)

    page.locator("#searchbar").fill("needle")
    page.get_by_role("button", name="Search").click()
    expect(callables(page)).to_have_count(1)
    expect(page.locator(".paginator")).to_contain_text("1 scheduled job")

    page.get_by_role("link", name="Clear all filters").click()
    expect(callables(page)).to_have_count(3)
