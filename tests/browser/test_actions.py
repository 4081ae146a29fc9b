"""What may be done to jobs, from the list and from a job's page."""

import re
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import expect

from django_future_celery import schedule_job
from django_future_celery.models import ScheduledJob
from django_future_celery.states import Status
from tests.browser.steps import LIST, choose, confirm, go, page_of, row, tab, told, without_script
from tests.factories import job_in, row_of, started_job
from tests.processes import wait_until

DB = "default"
NOTE = "tests.shop.jobs.note"


def test_a_failed_job_is_retried(page):
    failed = job_in(Status.FAILED, DB)
    page.goto(f"{LIST}?state=failed")
    choose(page, "Retry what has ended", failed)
    go(page)

    expect(told(page)).to_have_text(["1 job had ended: a new one like it was scheduled."])
    tab(page, "Due 1").click()
    again = ScheduledJob.objects.scheduled().get()
    row(page, again).get_by_role("link", name=NOTE).click()
    page.get_by_role("link", name=f"job {failed.pk}").click()
    expect(page.locator(".future-why")).to_contain_text("Attempt 1 of 1 failed")


def test_jobs_are_rescheduled_once_the_new_start_is_understood(page):
    first, second = (schedule_job("1d", NOTE) for _ in "12")
    page.goto(LIST)
    choose(page, "Reschedule…", first, second)
    go(page)
    expect(page.locator(".future-scope")).to_have_text("This applies to 2 jobs:")
    start = page.get_by_label("New start")
    expect(start).to_be_focused()
    start.fill("soon")
    start.press("Enter")
    expect(page.locator(".form-row.errors")).to_contain_text("'soon'")
    expect(start).to_have_value("soon")
    start.fill("2h30m")
    confirm(page, "Reschedule jobs")

    expect(told(page)).to_have_text(["2 jobs were moved to their new start."])
    expect(row(page, first).locator("time")).to_have_text("in 2 h")
    distance = ScheduledJob.objects.get(pk=second.pk).time_slot_start - timezone.now()
    assert timedelta(hours=2, minutes=28) < distance <= timedelta(hours=2, minutes=30)


def test_a_job_is_rescheduled_to_a_time_from_its_page(page):
    job = schedule_job("1d", NOTE)
    page.goto(page_of(job))
    page.get_by_role("button", name="Reschedule…").click()
    page.get_by_label("New start").fill("2099-01-31T09:00Z")
    confirm(page, "Reschedule jobs")

    expect(page.locator(".future-why")).to_contain_text("31 Jan 2099")
    assert ScheduledJob.objects.get().time_slot_start.isoformat() == "2099-01-31T09:00:00+00:00"


def test_a_waiting_job_is_cancelled_on_its_page(page):
    job = schedule_job("1d", NOTE)
    page.goto(page_of(job))
    page.get_by_role("button", name="Cancel the job").click()

    expect(told(page)).to_have_text(["1 job was cancelled."])
    expect(page.locator(".field-state .future-badge")).to_have_text("cancelled")
    expect(page.locator(".future-buttons button")).to_have_text(["Run again now", "Run again later…"])


def test_what_runs_is_asked_to_stop_and_the_page_says_so(page):
    page.goto(page_of(started_job(DB)))
    expect(page.locator(".future-buttons button")).to_have_text(["Ask it to stop", "Kill it"])
    page.get_by_role("button", name="Ask it to stop").click()

    expect(told(page)).to_have_text(["1 running job was asked to stop."])
    expect(page.locator(".field-state .future-badge")).to_have_text("asked to stop")


def test_a_job_is_run_now_from_its_page(page):
    job = schedule_job("1d", NOTE)
    page.goto(page_of(job))
    page.get_by_role("button", name="Run now").click()

    expect(told(page)).to_have_text(["1 job was moved to its new start."])
    assert ScheduledJob.objects.get().time_slot_start <= timezone.now()


def test_a_priority_that_is_none_is_told_at_its_field(page):
    job = schedule_job("1d", NOTE)
    page.goto(LIST)
    choose(page, "Change priority…", job)
    go(page)
    page.get_by_label("New priority").fill("101")
    confirm(page, "Change the priority of jobs")
    expect(page.locator(".form-row.errors")).to_contain_text("less than or equal to 100")
    page.get_by_label("New priority").fill("-7")
    confirm(page, "Change the priority of jobs")

    expect(told(page)).to_have_text(["1 job has its new priority."])
    expect(row(page, job).locator(".field-priority")).to_have_text("-7")


def test_jobs_are_deleted_only_if_one_is_sure(page):
    ended, waiting = job_in(Status.COMPLETE, DB), schedule_job("1d", NOTE)
    page.goto(LIST)
    choose(page, "Delete…")
    go(page)
    expect(page.locator(".future-jobs li")).to_have_text(
        [f"{waiting.pk} {NOTE} (scheduled)", f"{ended.pk} {NOTE} (complete)"]
    )
    page.get_by_role("button", name="No, take me back").click()
    expect(row(page, ended)).to_be_visible()
    assert ScheduledJob.objects.count() == 2

    choose(page, "Delete…", ended)
    go(page)
    confirm(page, "Delete jobs")
    expect(told(page)).to_have_text(["1 job was deleted."])
    assert [*ScheduledJob.objects.all()] == [waiting]


def test_what_destroys_looks_dangerous(page):
    job = schedule_job("1d", NOTE)
    colours = {}
    for action, title in (("Delete…", "Delete jobs"), ("Reschedule…", "Reschedule jobs")):
        page.goto(LIST)
        choose(page, action, job)
        go(page)
        button = page.locator(".submit-row").get_by_role("button", name=title)
        colours[title] = button.evaluate("(each) => getComputedStyle(each).backgroundColor")
    assert colours["Delete jobs"] != colours["Reschedule jobs"]
    red, green, blue = map(int, re.findall(r"\d+", colours["Delete jobs"]))
    assert red > 2 * max(green, blue)


# -- all that match ---------------------------------------------------------------------------------------------------


def choose_all(page, action):
    page.goto(f"{LIST}?queue=slow")
    choose(page, action)
    expect(page.locator(".action-counter")).to_have_text("50 of 50 selected")
    page.get_by_role("button", name="Select all 250 scheduled jobs").click()
    go(page)
    expect(page.locator(".future-scope")).to_contain_text("all jobs that match the list's filters, on all pages: 250.")


def hold(page):
    """Keep back the script by which a long action goes on; gives a function that lets it go, once."""
    held = []
    page.route("**/progress.js", lambda route: held.append(route))

    def release():
        wait_until(lambda: page.wait_for_timeout(10) or held, what="the request of the script")
        held.pop().continue_()

    return release


def test_an_action_on_all_that_match_shows_how_far_it_is(page, many):
    choose_all(page, "Change priority…")
    release = hold(page)
    page.get_by_label("New priority").fill("9")
    confirm(page, "Change the priority of jobs")

    expect(page.get_by_role("progressbar")).to_have_attribute("value", "40")
    expect(page.get_by_text("40% of the table is done.")).to_be_visible()
    expect(page.get_by_text("100 jobs have their new priority.")).to_be_visible()
    release()
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "80")
    release()
    expect(told(page)).to_have_text(["250 jobs have their new priority."])
    assert set(ScheduledJob.objects.filter(queue="slow").values_list("priority", flat=True)) == {9}
    assert row_of(ScheduledJob.objects.get(queue="fast")) == many


def test_where_no_script_goes_on_a_button_does(page, many):
    without_script(page)
    choose_all(page, "Cancel")
    confirm(page, "Cancel jobs")
    for percent in ("40", "80"):
        expect(page.get_by_role("progressbar")).to_have_attribute("value", percent)
        page.get_by_role("button", name="Continue").click()
    expect(told(page)).to_have_text(["250 jobs were cancelled."])


def test_a_long_action_can_be_stopped(page, many):
    without_script(page)
    choose_all(page, "Delete…")
    confirm(page, "Delete jobs")
    page.get_by_role("button", name="Stop here").click()

    expect(page.locator(".paginator")).to_contain_text("150 scheduled jobs")
