"""Takes the pictures of README and documentation: ``uv run python docs/pictures [FOLDER]``, with Chromium installed.

The website of the example project is started on an empty database, which is filled with the jobs of a day. The pictures
go to docs, if no other folder is named.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import django
from playwright.sync_api import sync_playwright

DOCS = Path(__file__).resolve().parent.parent
LIST = "/admin/django_future_celery/scheduledjob/"
SCREEN = {"width": 1280, "height": 800}
#: (file, page, theme) of each picture.
PICTURES = [
    ("overview.png", f"{LIST}overview/", "light"),
    ("overview-dark.png", f"{LIST}overview/", "dark"),
    ("list.png", LIST, "light"),
]


def main():
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        from day import fill

        fill()
        serve_and_take(session(), Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)


def prepare(folder):
    os.environ |= {"EXAMPLE_VAR": folder, "DJANGO_SETTINGS_MODULE": "config.settings"}
    sys.path.insert(0, str(DOCS.parent / "example_project"))
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def session():
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_user("ada", is_staff=True, is_superuser=True))
    return client.cookies["sessionid"].value


def serve_and_take(session, folder):
    from reminders.demo.processes import Children, web
    from reminders.management.commands.demo import free_port, wait_for_web

    port = free_port()
    with Children() as children:
        children.start("web", web(port))
        wait_for_web(children, port)
        take_all(f"http://127.0.0.1:{port}", session, folder)


def take_all(url, session, folder):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for name, address, theme in PICTURES:
            page = browser.new_page(base_url=url, viewport=SCREEN, color_scheme=theme, locale="en-GB")
            page.context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
            page.goto(address)
            # What other apps have is not of interest here; and the click scrolls.
            page.get_by_role("button", name="Toggle navigation").click()
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=folder / name, animations="disabled", full_page="overview" in name)


main()
