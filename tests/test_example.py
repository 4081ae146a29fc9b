"""The example project as a stranger runs it: in processes of its own, in an empty folder."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.db import connections

from tests.processes import alias_of, broker_url, wait_until

MANAGE = Path(__file__).resolve().parent.parent / "example_project" / "manage.py"
NOT_INHERITED = {"CELERY_BROKER_URL", "DATABASE_URL", "DJANGO_SECRET_KEY", "DJANGO_SETTINGS_MODULE"}
TIMEOUT = 120


@pytest.fixture
def options(tmp_path):
    """How each process is started."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return {
        "env": inherited | {"EXAMPLE_VAR": str(tmp_path)},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
    }


@pytest.fixture
def manage(options):
    def run(*arguments, **environment):
        changed = options | {"env": options["env"] | environment}
        return subprocess.run([sys.executable, MANAGE, *arguments], timeout=TIMEOUT, **changed)

    return run


def rows(output):
    """The cells of the table that the demo prints, without its first column and its head."""
    return [re.split(r"\s{2,}", line)[1:] for line in output.splitlines() if "reminders.jobs.deliver  " in line]


def processes_of(output):
    return [int(pid) for pid in re.findall(r"process (\d+)", output)]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_its_own_tests_pass(manage):
    result = manage("test", "reminders")
    assert result.returncode == 0, result.stdout


def test_its_migrations_are_complete(manage):
    result = manage("makemigrations", "--check", "--dry-run", "reminders")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("broker", [{}, {"CELERY_BROKER_URL": "redis://127.0.0.1/0"}, {"CELERY_BROKER_URL": "amqp://"}])
def test_the_system_checks_have_nothing_to_say_of_it(manage, broker):
    result = manage("check", "--deploy", "--database", "default", **broker)
    assert result.returncode == 0, result.stdout
    assert "future_celery." not in result.stdout


def test_once_shows_each_end_of_a_job_twice_in_a_row(manage, tmp_path):
    for run in (1, 2):
        result = manage("demo", "--once")
        assert result.returncode == 0, result.stdout
        assert [row[1] for row in rows(result.stdout)] == ["complete", "failed", "expired", "scheduled"]
        assert rows(result.stdout)[0][3] == "mailed to ada@example.com"
        assert "Traceback (most recent call last)" in result.stdout
        assert len(list((tmp_path / "mail").iterdir())) == run
        assert not any(map(is_alive, processes_of(result.stdout)))


@pytest.mark.django_db(databases="__all__", transaction=True)
@pytest.mark.parametrize(("database", "broker"), [("postgresql", "redis"), ("mysql", "rabbitmq")])
def test_once_is_the_same_on_servers(manage, database, broker):
    result = manage("demo", "--once", DATABASE_URL=url_of(database), CELERY_BROKER_URL=broker_url(broker))
    assert result.returncode == 0, result.stdout
    assert [row[1] for row in rows(result.stdout)] == ["complete", "failed", "expired", "scheduled"]
    assert result.stdout.startswith(f"Database: {database}. Broker: {broker.replace('rabbitmq', 'amqp')}.")


def url_of(engine):
    """The address of the test database."""
    config = connections[alias_of(engine)].settings_dict
    return engine + "://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**config)


def test_once_fails_when_a_job_is_not_as_it_should_be(manage):
    result = manage("demo", "--once", "--timeout", "0")
    assert result.returncode == 1
    assert "is scheduled, it should be complete" in result.stdout


def test_a_port_that_is_taken_is_told_before_anything_is_started(manage, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = manage("demo", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert "already. Take another: --port " in result.stdout
    assert processes_of(result.stdout) == []


def test_a_child_that_dies_is_shown_with_the_end_of_its_log(options, tmp_path):
    log = tmp_path / "log" / "beat.log"
    with subprocess.Popen([sys.executable, MANAGE, "demo", "--port", "0"], **options) as demo:
        try:
            output = read_until(demo.stdout, "Ctrl-C")
            wait_until(lambda: "Starting..." in log.read_text(), what="the start of beat")
            os.kill(processes_of(output)[1], signal.SIGKILL)
            output += demo.communicate(timeout=TIMEOUT)[0]
        finally:
            demo.terminate()
    assert demo.returncode == 1
    assert "beat ended with code -9" in output
    assert "beat: Starting..." in output
    assert not any(map(is_alive, processes_of(output)))


ATTEMPT = 'future_celery_attempts_total{callable="reminders.jobs.deliver",outcome="complete"}'


def get(url):
    return urllib.request.urlopen(url, timeout=TIMEOUT).read().decode()


def is_well(url):
    try:
        return json.loads(get(f"{url}monitoring/health/"))["ok"]
    except urllib.error.HTTPError as error:
        assert error.code == 503
        return False


WITHOUT_PROMETHEUS = """
import sys
sys.modules["prometheus_client"] = None
import django
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
client = Client(SERVER_NAME="127.0.0.1")
print(client.get("/monitoring/metrics/").status_code, "metrics" in client.get("/").text)
"""


def test_without_the_client_of_prometheus_nothing_leads_to_metrics(options):
    environment = options["env"] | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_PROMETHEUS], cwd=MANAGE.parent, **options | {"env": environment}
    )
    assert result.stdout.splitlines()[-1] == "404 False", result.stdout


def read_until(stream, last):
    lines = []
    for line in stream:
        lines.append(line)
        if line.startswith(last):
            break
    return "".join(lines)


def test_the_demo_serves_the_page_until_it_is_interrupted(options):
    with subprocess.Popen([sys.executable, MANAGE, "demo", "--port", "0"], **options) as demo:
        try:
            output = read_until(demo.stdout, "Ctrl-C")
            url = re.search(r"http://\S+", output)[0]
            page = get(url)
            wait_until(lambda: is_well(url), what="a tick, which expires the job whose slot is over")
            wait_until(lambda: ATTEMPT in get(f"{url}monitoring/metrics/"), what="a run that a worker has counted")
            demo.send_signal(signal.SIGINT)
            output += demo.communicate(timeout=TIMEOUT)[0]
        finally:
            demo.terminate()
    assert "Water the plants" in page
    for name in ("health", "metrics"):
        assert f'href="/monitoring/{name}/"' in page
        assert f"{url}monitoring/{name}/" in output
    assert demo.returncode == 0, output
    assert len(processes_of(output)) == 3
    assert not any(map(is_alive, processes_of(output)))
