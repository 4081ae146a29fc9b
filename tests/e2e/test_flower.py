"""What people who watch Flower see."""

import json
import socket
import urllib.request

import pytest

from django_future_celery import schedule_job
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


def test_flower_lists_jobs_by_callable_with_state_arguments_and_traceback(project):
    stack = project("postgresql", "redis")
    flower = Flower(stack)
    stack.worker("-E")
    # Events that were sent before it listens are lost on Flower.
    wait_until(lambda: stack.queue in flower.get("workers?json=1"), what="the worker in Flower")
    stack.beat()
    schedule_job("0s", "tests.shop.jobs.echo", args=["<b>", 2], kwargs={"n": 3}, using=stack.alias)
    schedule_job("0s", "tests.shop.jobs.write_and_raise", args=["no money"], using=stack.alias)

    def ended():
        tasks = {task["name"]: task for task in flower.tasks().values()}
        jobs = [tasks.get(f"tests.shop.jobs.{name}") for name in ("echo", "write_and_raise")]
        return all(job and job["state"] in ("SUCCESS", "FAILURE") for job in jobs) and jobs

    good, bad = wait_until(ended, what="both jobs in Flower")

    assert (good["state"], good["args"], good["kwargs"]) == ("SUCCESS", "['<b>', 2]", "{'n': 3}")
    assert bad["state"] == "FAILURE"
    assert "ValueError: no money" in bad["traceback"] and "in write_and_raise" in bad["traceback"]
    assert "django_future_celery.run" not in {task["name"] for task in flower.tasks().values()}


class Flower:
    def __init__(self, stack):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        options = ["--address=127.0.0.1", f"--port={self.port}"]
        stack.start(
            "celery", "-A", "tests.project", "flower", *options, log="flower", FLOWER_UNAUTHENTICATED_API="true"
        )
        wait_until(self.answers, what="the start of Flower")

    def answers(self):
        try:
            return self.tasks() is not None
        except OSError:
            return False

    def tasks(self):
        return json.loads(self.get("api/tasks"))

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as response:
            return response.read().decode()
