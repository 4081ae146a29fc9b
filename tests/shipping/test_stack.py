"""The services of docker-compose.yml as processes of this machine, with their own commands, variables and checks."""

import json
import re
import socket
import urllib.parse
import urllib.request
from base64 import b64encode
from http.cookiejar import CookieJar
from urllib.error import HTTPError

import psycopg
import pytest

from tests.processes import wait_until
from tests.servers import PrivatePostgreSQL, free_port, installed
from tests.shipping.compose import Containers, example_environment, in_order, read

SECRETS = example_environment()
PROGRAMS = ("initdb", "pg_ctl", "pg_isready", "redis-server", "redis-cli")


@pytest.fixture
def postgresql():
    if not installed(*PROGRAMS):
        pytest.skip(f"needs {', '.join(PROGRAMS)}: apt-get install postgresql redis-server")
    server = PrivatePostgreSQL()
    try:
        yield server
    finally:
        server.remove()


class Stack:
    """What ``docker compose up`` does."""

    def __init__(self, folder, postgresql):
        self.services, self.postgresql = read(SECRETS), postgresql
        self.ports = {"8000": free_port(), "5555": free_port(), "6379": free_port(), "5432": postgresql.port}
        places = {"@postgres:": "@127.0.0.1:", "//redis:": "//127.0.0.1:", "0.0.0.0": "127.0.0.1"}
        self.containers = Containers(
            folder,
            places | {there: str(here) for there, here in self.ports.items()},
            {"EXAMPLE_VAR": str(folder / "var"), "HOSTNAME": socket.gethostname(), "PGPORT": str(postgresql.port)},
        )
        self.web, self.flower = (f"http://127.0.0.1:{self.ports[port]}" for port in ("8000", "5555"))

    def up(self):
        for name in in_order(self.services):
            self.wait_for_what_it_needs(name)
            if name == "postgres":
                self.start_postgresql()
            else:
                self.containers.start(name, self.services[name])
        for name in self.services:
            self.wait_for_health(name)

    def stop(self):
        """Stop all but PostgreSQL."""
        self.containers.stop()

    def wait_for_what_it_needs(self, name):
        for other, how in self.services[name].get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                self.wait_for_health(other)
            else:
                wait_until(lambda other=other: self.containers.has_ended_well(other), what=f"the end of {other}")

    def wait_for_health(self, name):
        service = self.services[name]
        if "healthcheck" in service:
            wait_until(lambda: self.containers.is_healthy(service), what=f"the health of {name}")

    def start_postgresql(self):
        """Start it as the image does: with a user and a database of the names that it is told."""
        told = self.services["postgres"]["environment"]
        self.postgresql.start()
        with psycopg.connect(
            f"postgres://postgres@127.0.0.1:{self.postgresql.port}/postgres", autocommit=True
        ) as admin:
            admin.execute(f"CREATE ROLE {told['POSTGRES_USER']} LOGIN PASSWORD '{told['POSTGRES_PASSWORD']}'")
            admin.execute(f"CREATE DATABASE {told['POSTGRES_DB']} OWNER {told['POSTGRES_USER']}")

    def healthy(self):
        return {
            name
            for name, service in self.services.items()
            if "healthcheck" in service and self.containers.is_healthy(service)
        }


@pytest.fixture
def stack(request, tmp_path, postgresql):
    stack = Stack(tmp_path, postgresql)
    yield stack
    stack.stop()
    if getattr(request.node, "failed", False):
        stack.containers.show_logs()


def test_a_reminder_of_the_page_is_delivered_and_listed_in_flower(stack):
    stack.up()
    schedule(stack.web, "Water the plants", "ada@example.com")

    wait_until(lambda: "mailed to ada@example.com" in get(f"{stack.web}/jobs/"), what="the end of the job")
    wait_until(lambda: "SUCCESS" in states_in(stack.flower), what="the job in Flower")
    assert get(f"{stack.web}/static/admin/css/base.css")
    assert refusal(f"{stack.flower}/api/tasks").code == 401
    assert "DEBUG" not in refusal(f"{stack.web}/no-such-page/").read().decode()

    stack.stop()
    assert stack.healthy() == {"postgres"}


def schedule(web, text, recipient):
    """Fill in the form on the page, as a person does."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    page = browser.open(f"{web}/", timeout=10).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    form = {"csrfmiddlewaretoken": token, "text": text, "recipient": recipient, "when": "1s", "expires": "1h"}
    sent = urllib.request.Request(f"{web}/", urllib.parse.urlencode(form).encode(), {"Referer": f"{web}/"})
    assert "The reminder is scheduled." in browser.open(sent, timeout=10).read().decode()


def states_in(flower):
    """The states of the tasks that Flower lists for the callable, given its password."""
    login = b64encode(SECRETS["FLOWER_BASIC_AUTH"].encode()).decode()
    tasks = json.loads(get(f"{flower}/api/tasks", Authorization=f"Basic {login}")).values()
    return [task["state"] for task in tasks if task["name"] == "reminders.jobs.deliver"]


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
        return response.read().decode()


def refusal(url):
    with pytest.raises(HTTPError) as error:
        get(url)
    return error.value
