"""A job that somebody schedules by hand."""

from playwright.sync_api import expect

from django_future_celery.models import ScheduledJob
from tests.browser.steps import ADD, LIST, told
from tests.shop.models import Order


def errors(page, field):
    return page.locator(f".field-{field} .errorlist li")


def save(page):
    page.get_by_role("button", name="Schedule", exact=True).click()


def test_a_callable_is_chosen_and_the_rest_filled_in(page):
    order = Order.objects.create()
    page.goto(LIST)
    page.get_by_role("link", name="Add scheduled job").click()
    page.get_by_role("link", name="tests.shop.jobs.note_object", exact=True).click()
    expect(page.locator(".future-callable")).to_contain_text("note_object(job, thing, entry='seen')")
    page.get_by_label("Arguments", exact=False).first.fill('["paid"]')
    page.get_by_label("Start").fill("1d")
    page.get_by_label("Queue").fill("slow")
    page.get_by_label("Content type").select_option(label="Shop | order")
    page.get_by_label("Object id").fill(str(order.pk))
    save(page)

    expect(told(page)).to_contain_text(["was added successfully"])
    job = ScheduledJob.objects.get()
    assert (job.callable_name, job.args, job.queue, job.content_object) == (
        "tests.shop.jobs.note_object",
        ["paid"],
        "slow",
        order,
    )


def test_what_is_wrong_is_told_at_its_field_and_what_was_typed_stays(page):
    page.goto(f"{ADD}?callable_name=tests.shop.jobs.add")
    arguments = page.locator("[name=args]")
    arguments.fill("[1, 2, 3]")
    save(page)
    expect(errors(page, "kwargs")).to_contain_text(["too many positional arguments"])
    expect(arguments).to_have_value("[1, 2, 3]")

    arguments.fill("one")
    page.get_by_label("Start").fill("soon")
    page.get_by_label("Priority").fill("500")
    save(page)
    expect(errors(page, "args")).to_contain_text(["Enter a valid JSON"])
    expect(errors(page, "date")).to_contain_text(["'soon'"])
    expect(errors(page, "priority")).to_contain_text(["less than or equal to 100"])
    expect(arguments).to_have_value("one")
    assert not ScheduledJob.objects.exists()

    arguments.fill("[1]")
    page.get_by_label("Start").fill("5m")
    page.get_by_label("Priority").fill("5")
    save(page)
    expect(told(page)).to_contain_text(["was added successfully"])
