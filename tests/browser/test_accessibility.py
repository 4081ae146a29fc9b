"""Whoever cannot see well, or has a small screen, or reads from right to left, can use the pages, too."""

from itertools import product

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser import scene
from tests.browser.steps import ADD, LIST, OVERVIEW, choose, confirm, go, page_of, without_script

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

#: (rule, element) of what is Django's own, on every page that has it.
NOT_OURS = {
    # The label of the search is a picture, whose alternative text axe does not count here.
    ("label-title-only", "#searchbar"),
    # Links in the breadcrumbs are told from other text by their colour alone.
    ("link-in-text-block", ".breadcrumbs"),
}

PAGES = {
    "list": lambda jobs: LIST,
    "filtered list": lambda jobs: f"{LIST}?state=failed&queue=reports&q=add",
    "empty list": lambda jobs: f"{LIST}?queue=none",
    "overview": lambda jobs: OVERVIEW,
    "filtered overview": lambda jobs: f"{OVERVIEW}?queue=none",
    "waiting job": lambda jobs: page_of(jobs.waiting),
    "pausing job": lambda jobs: page_of(jobs.pausing),
    "running job": lambda jobs: page_of(jobs.running),
    "job asked to stop": lambda jobs: page_of(jobs.stopping),
    "complete job": lambda jobs: page_of(jobs.complete),
    "failed job": lambda jobs: page_of(jobs.failed),
    "choice of callables": lambda jobs: ADD,
    "form to add a job": lambda jobs: f"{ADD}?callable_name=tests.shop.jobs.note_object",
    "retry of all": lambda jobs: f"{OVERVIEW}retry/{jobs.failed.pk}/",
    "object": lambda jobs: f"/admin/shop/order/{jobs.order.pk}/change/",
}


@pytest.fixture
def jobs(website):
    return scene.build()


@pytest.fixture
def page(open_as, boss):
    # axe measures with styles of its own, which the policy forbids.
    return open_as(boss, bypass_csp=True)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody(page, jobs, name):
    page.goto(PAGES[name](jobs))
    is_for_everybody(page)


def test_the_page_of_a_mistake_is_for_everybody(page, jobs):
    page.goto(f"{ADD}?callable_name=tests.shop.jobs.add")
    page.get_by_label("Start").fill("soon")
    page.get_by_role("button", name="Schedule", exact=True).click()
    expect(page.locator(".errornote")).to_be_visible()
    is_for_everybody(page)


@pytest.mark.parametrize("action", ["Reschedule…", "Delete…"])
def test_the_page_that_asks_is_for_everybody(page, jobs, action):
    page.goto(LIST)
    choose(page, action)
    go(page)
    expect(page.locator(".future-scope")).to_be_visible()
    is_for_everybody(page)


def test_the_page_of_progress_is_for_everybody(page, jobs, many):
    without_script(page)
    page.goto(f"{LIST}?queue=slow")
    choose(page, "Cancel")
    page.get_by_role("button", name="Select all 250 scheduled jobs").click()
    go(page)
    confirm(page, "Cancel jobs")
    expect(page.get_by_role("progressbar")).to_be_visible()
    is_for_everybody(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody_from_right_to_left(open_as, boss, jobs, name):
    page = open_as(boss, bypass_csp=True, locale="he")
    page.goto(PAGES[name](jobs))
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    is_for_everybody(page)


def is_for_everybody(page):
    """In both themes and on both screens axe finds nothing serious, and a phone scrolls in one direction only."""
    for screen, theme in product((DESKTOP, PHONE), ("light", "dark")):
        page.set_viewport_size(screen)
        page.emulate_media(color_scheme=theme)
        # Colours fade from one theme to the other.
        page.evaluate("document.getAnimations().forEach((each) => each.finish())")
        assert set(serious(page)) == set()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def serious(page):
    for violation in Axe().run(page).response["violations"]:
        if violation["impact"] in ("serious", "critical"):
            for node in violation["nodes"]:
                if not is_djangos(page, violation["id"], node["target"][0]):
                    yield violation["id"], node["target"][0], node["failureSummary"]


def is_djangos(page, rule, target):
    return any(
        rule == excused and page.locator(target).evaluate("(each, their) => each.closest(their) !== null", selector)
        for excused, selector in NOT_OURS
    )
