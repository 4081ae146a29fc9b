"""The admin as a person sees it: a real browser, and a website that is a process of its own on the test database."""

import shutil
from contextlib import ExitStack

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect, sync_playwright

from django_future_celery.models import ScheduledJob
from tests.factories import due_job, row_of
from tests.processes import Project, wait_until
from tests.servers import free_port
from tests.services import required

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Milliseconds: the machine may be busy.
PATIENCE = 20_000

WATCH = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
    `policy violated: ${event.violatedDirective} by ${event.blockedURI} ${event.sample} in ${event.sourceFile}`));
"""


@pytest.fixture(scope="package")
def executable():
    """The path of a browser that is installed here."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        required("Chromium")
        pytest.skip("there is no Chromium here: apt-get install chromium")
    return found


@pytest.fixture(scope="package")
def browser(executable):
    """One for all these tests, and gone with the last of them, as its event loop would be in the way of others."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # The loop is that of another greenlet, and does not turn while a test asks the database.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        expect.set_options(timeout=PATIENCE)
        with playwright.chromium.launch(executable_path=executable) as browser:
            yield browser


@pytest.fixture(scope="package")
def processes(executable, django_db_setup, tmp_path_factory):
    """The project with its website, whose address is ``url``; it has neither worker nor beat."""
    folder = tmp_path_factory.mktemp("website")
    address = f"127.0.0.1:{free_port()}"
    with Project("default", "filesystem://", folder, FUTURE_CELERY_ALLOWED_CALLABLES=["tests.shop.jobs.*"]) as project:
        project.start("django", "runserver", address, "--noreload", "--insecure", "--skip-checks", log="web")
        wait_until(lambda: "Quit the server" in project.log("web"), what="the start of the website")
        project.url = f"http://{address}"
        yield project


@pytest.fixture
def website(processes, transactional_db, request):
    """The project, on an empty database."""
    ContentType.objects.clear_cache()
    yield processes
    if getattr(request.node, "failed", False):
        processes.show_logs()


@pytest.fixture
def complaints():
    """What the browser has complained of."""
    return []


@pytest.fixture
def open_as(browser, website, complaints):
    """Give a page of the website, as a user sees it. What the browser complains of fails the test."""

    def open_as(user, **options):
        context = contexts.enter_context(browser.new_context(base_url=website.url, **SCREEN | options))
        context.set_default_timeout(PATIENCE)
        context.add_init_script(WATCH)
        context.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}") or dialog.dismiss())
        if user is not None:
            context.add_cookies([{"name": "sessionid", "value": session_of(user), "url": website.url}])
        return context.new_page()

    with ExitStack() as contexts:
        yield open_as
    assert complaints == []


SCREEN = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", "timezone_id": "UTC"}


def session_of(user):
    """Log in without the form, and without a password, whose hash takes long."""
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


@pytest.fixture
def boss(website):
    return User.objects.create_user("boss", is_staff=True, is_superuser=True)


@pytest.fixture
def page(open_as, boss):
    """As somebody sees it who may do everything."""
    return open_as(boss)


@pytest.fixture
def many(website):
    """More jobs than a page shows and a request does, and one that is none of them."""
    other = due_job("default", queue="fast")
    ScheduledJob.objects.bulk_create(
        ScheduledJob(callable_name=other.callable_name, time_slot_start=timezone.now(), queue="slow")
        for _ in range(250)
    )
    return row_of(other)
