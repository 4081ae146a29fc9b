"""The README, followed word for word: its blocks make a project, its commands run in it."""

import inspect
import re
from pathlib import Path

import pytest

import django_future_celery
from django_future_celery import checks, project_checks
from django_future_celery.checks import RULES
from django_future_celery.conf import Settings
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


def test_the_tests_in_it_pass(project):
    assert "OK" in project.run("manage.py", "test")


def test_the_examples_run_one_after_the_other(project):
    assert README.examples
    project.follow(README.examples)


def test_the_other_beat_has_the_tick(project):
    shown = project.run("-c", "import mysite.other_beat as o; print(o.app.conf.beat_schedule)")
    assert "django_future_celery.tick" in shown


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
    wait_until(lambda: "complete" in project.run("-c", BEFORE_THE_EXAMPLES + look), what="the end of the job")


def test_all_commands_of_celery_are_those_that_were_tried():
    assert [command[-1] for command in README.commands("celery ")] == ["worker", "future"]


def test_the_tests_that_show_what_is_promised_are_there():
    table = README.text.partition("## What is promised")[2].partition("## ")[0]
    named = re.findall(r"`([\w/]+\.py)`", table)

    assert len(named) >= 5
    assert [name for name in named if not (ROOT / "tests" / name).is_file()] == []


def test_the_signature_is_the_real_one():
    shown = re.search(r"`(schedule_job\(date.*?\))`", README.text, re.DOTALL)[1]
    parameters = inspect.signature(django_future_celery.schedule_job).parameters.values()
    words, keyword_only = [], False
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not keyword_only:
            words, keyword_only = [*words, "*"], True
        default = "" if each.default is each.empty else f"={each.default!r}".replace("'", '"')
        stars = "**" if each.kind is each.VAR_KEYWORD else ""
        words.append(stars + each.name + default)
    assert " ".join(shown.split()) == f"schedule_job({', '.join(words)})"


def test_the_system_checks_are_all_there():
    sources = (Path(checks.__file__), Path(project_checks.__file__))
    made = set(re.findall(r"\b[EW]\d{3}\b", "".join(map(Path.read_text, sources))))
    rows = re.findall(r"^\| `([EW]\d+)`(?: to `([EW]\d+)`)? \|", README.text, re.MULTILINE)
    (first, last), *others = rows

    assert {first, last} == {"E001", max(rule.id for rule in RULES.values())}
    assert {name for name, _ in others} == made - {rule.id for rule in RULES.values()}


def test_the_settings_are_all_there_with_their_defaults():
    shown = dict(re.findall(r"^\| `([A-Z_]+)` \| `(.+?)` \|", README.text, re.MULTILINE))
    assert shown == {name: str(getattr(Settings, name)) for name in RULES}
