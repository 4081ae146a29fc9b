"""What people who watch Flower see."""

import json
import socket
import urllib.request
from base64 import b64encode
from contextlib import suppress
from urllib.error import HTTPError

import pytest

from django_future_celery import ScheduledJob, schedule_job
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


def test_flower_shows_where_the_job_of_a_task_is_in_the_admin(project, tmp_path):
    config = tmp_path / "flowerconfig.py"
    config.write_text(
        "from django_future_celery.flower import task_formatter\n"
        "basic_auth = ['ada:secret']\n"
        "format_task = task_formatter('https://example.com/admin/')\n"
    )
    stack = project("sqlite", "redis")
    flower = Flower(stack, f"--conf={config}", login="ada:secret")
    stack.worker("-E")
    wait_until(lambda: stack.queue in flower.get("workers?json=1"), what="the worker in Flower")
    stack.beat()
    job = schedule_job("0s", "tests.shop.jobs.echo", using=stack.alias)
    row = ScheduledJob.objects.using(stack.alias).filter(pk=job.pk)
    wait_until(lambda: row.get().status == "complete", what="the end of the job")

    def page():
        with suppress(HTTPError):
            return flower.get(f"task/{row.get().task_id}")

    address = f"https://example.com/admin/django_future_celery/scheduledjob/{job.pk}/change/"
    assert address in wait_until(page, what="the task in Flower")


class Flower:
    def __init__(self, stack, *options, login=None):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
        options = [*options, "--address=127.0.0.1", f"--port={self.port}"]
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
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", headers=self.headers)
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.read().decode()
