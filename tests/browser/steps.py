"""What people do on the pages, in the words of a browser."""

LIST = "/admin/django_future_celery/scheduledjob/"
OVERVIEW = f"{LIST}overview/"
ADD = f"{LIST}add/"


def page_of(job):
    return f"{LIST}{job.pk}/change/"


def tab(page, name):
    return page.get_by_role("navigation", name="Status").get_by_role("link", name=name)


def row(page, job):
    return page.locator("#result_list tbody tr").filter(has=page.locator(f"input[value='{job.pk}']"))


def callables(page):
    """What the list shows, the first row first."""
    return page.locator("#result_list .field-callable_name")


def number(page, label):
    """What a tile of the overview tells."""
    return page.locator(".future-tiles li", has_text=label).locator(".future-number")


def told(page):
    """What the page answers to an action."""
    return page.locator(".messagelist li")


def choose(page, action, *jobs):
    """Tick the jobs in the list, all that it shows if none is given, and choose the action."""
    for job in jobs:
        row(page, job).get_by_role("checkbox").check()
    if not jobs:
        page.locator("#action-toggle").check()
    page.get_by_label("Action:").select_option(label=action)


def go(page):
    page.get_by_role("button", name="Go").click()


def confirm(page, title):
    page.locator(".submit-row").get_by_role("button", name=title).click()


def without_script(page):
    """Have a long action wait for a button at each of its steps."""
    page.route("**/progress.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
