"""Real workers and beats over a real broker, on the database of the test."""

import json
import os
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
from celery import Celery
from django.conf import settings as django_settings
from django.db import connections
from kombu import Connection, Queue

from tests.services import URLS, available

ROOT = Path(__file__).parent.parent


def wait_until(condition, seconds=60, what="it"):
    """Wait until ``condition()`` is true; fail with ``what`` if it does not become so."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.1)
    return result


class Project:
    """The processes of one test; each writes a log, which is shown if the test fails."""

    def __init__(self, alias, broker, folder, **settings):
        self.folder = folder
        self.broker = broker
        self.queue = f"test-{uuid.uuid4().hex[:12]}"
        self.processes = []
        self.settings = {
            "DATABASES": {"default": database_of(alias)},
            "CELERY_BROKER_URL": broker,
            "CELERY_TASK_DEFAULT_QUEUE": self.queue,
            "CELERY_BROKER_TRANSPORT_OPTIONS": transport_options(broker, folder),
            "FUTURE_CELERY_TICK_SECONDS": 1.0,
        } | settings

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        for process in reversed(self.processes):
            self.stop(process)
        self.forget_queue()
        if kind is not None:
            self.show_logs()

    def start(self, *command, log, **environment):
        output = (self.folder / f"{log}.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=os.environ | self.environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        output.close()
        self.processes.append(process)
        return process

    def environment(self):
        return {
            "DJANGO_SETTINGS_MODULE": "tests.project.settings",
            "PROJECT_SETTINGS": json.dumps(self.settings),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }

    def worker(self, *options, name="worker", **environment):
        node = f"{name}-{self.queue}@test"
        options = ("-n", node, "-c", "2", "-Q", self.queue, "--loglevel=INFO", *options)
        process = self.celery("worker", *options, log=name, **environment)
        wait_until(lambda: " ready." in self.log(name), what=f"the start of {name}")
        return process

    def beat(self, *options, name="beat"):
        pidfile = f"--pidfile={self.folder / name}.pid"
        process = self.celery("beat", "--loglevel=INFO", pidfile, *(options or ("-S", "future")), log=name)
        wait_until(lambda: "beat: Starting" in self.log(name), what=f"the start of {name}")
        return process

    def celery(self, *command, log, **environment):
        return self.start("celery", "-A", "tests.project", *command, log=log, **environment)

    def stop(self, process):
        """Ask the process to end, then make it."""
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait(10)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def show_logs(self):
        for path in sorted(self.folder.glob("*.log")):
            print(f"--- {path.name}\n{path.read_text(errors='replace')[-6000:]}")

    def purge(self):
        """Lose all messages, as a flushed broker does."""
        with self.connection() as connection:
            return Queue(self.queue, channel=connection.default_channel).purge()

    def forget_queue(self):
        if self.broker.startswith("amqp"):
            with self.connection() as connection:
                Queue(self.queue, channel=connection.default_channel).delete()

    def app(self):
        """A Celery app that talks to the same broker, to steer the processes."""
        return Celery(broker=self.broker, set_as_current=False)

    def connection(self):
        return Connection(self.broker, transport_options=self.settings["CELERY_BROKER_TRANSPORT_OPTIONS"])


def broker_url(name):
    if name == "filesystem":
        return "filesystem://"
    if not available(name):
        pytest.skip(f"{name} does not answer")
    return URLS[name]


def alias_of(name):
    """The alias of a database by the name of its engine."""
    for alias, config in django_settings.DATABASES.items():
        if config["ENGINE"].rpartition(".")[2] == name:
            return alias
    pytest.skip(f"{name} does not answer")


def database_of(alias):
    """The settings by which another process finds the test database."""
    found = connections[alias].settings_dict
    names = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    return {name: found[name] if name == "OPTIONS" else str(found[name]) for name in names}


def transport_options(broker, folder):
    if not broker.startswith("filesystem"):
        return {}
    messages, control = folder / "messages", folder / "control"
    messages.mkdir()
    control.mkdir()
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
    }
