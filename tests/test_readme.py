"""The README, followed word for word: its blocks make a project, its commands run in it."""

import re

import pytest

from tests.documents import BEFORE_THE_EXAMPLES, ROOT, Document, Project
from tests.processes import wait_until

README = Document("README.md")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    with Project(tmp_path_factory.mktemp("readme")) as project:
        project.make(README)
        yield project


def test_the_first_screen_has_code():
    assert "```python" in "\n".join(README.text.splitlines()[:25])


def test_the_checks_have_nothing_to_say(project):
    assert "no issues" in project.run("manage.py", "check", "--database", "default")


def test_the_examples_run_one_after_the_other(project):
    assert README.examples
    project.follow(README.examples)


def test_each_management_command_works(project):
    found = [command for command in README.commands("python ") if command[0] == "manage.py"]
    assert ["manage.py", "runscheduledjobs"] in found
    for command in found:
        project.run(*command)


def test_a_job_goes_through_beat_and_worker(project):
    schedule = "from django_future_celery import schedule_job as s; print(s('0s', 'shop.jobs.send_reminder', order).pk)"
    pk = project.run("-c", BEFORE_THE_EXAMPLES + schedule).strip()
    for command in README.commands("celery "):
        project.start("-m", "celery", *command)

    look = f"from django_future_celery import ScheduledJob as S; print(S.objects.filter(pk={pk}, status='complete'))"
    # The broker of files may trip over a half-written one; the job is then sent again a minute later.
    wait_until(lambda: "complete" in project.run("-c", BEFORE_THE_EXAMPLES + look), 180, what="the end of the job")


def test_all_commands_of_celery_are_those_that_were_tried():
    assert [command[-1] for command in README.commands("celery ")] == ["worker", "future"]


def test_the_tests_that_show_what_is_promised_are_there():
    table = README.text.partition("## What is promised")[2].partition("## ")[0]
    named = re.findall(r"`([\w/]+\.py)`", table)

    assert len(named) >= 5
    assert [name for name in named if not (ROOT / "tests" / name).is_file()] == []
