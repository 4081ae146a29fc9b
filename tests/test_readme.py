"""The README, followed word for word: its blocks make a project, its commands run in it."""

import inspect
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

import django_future_celery
from django_future_celery import checks, project_checks
from django_future_celery.checks import RULES
from django_future_celery.conf import Settings
from tests.processes import transport_options, wait_until

README = (Path(__file__).parent.parent / "README.md").read_text()

#: What whoever follows the README has in his project already, or chooses: the app with the jobs, and a broker.
CHOSEN = """
INSTALLED_APPS += ["shop"]
if "MAILERS" not in globals():  # From Django 6.1 on, a new project has a backend that prints.
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {options!r}
"""

BEFORE_THE_EXAMPLES = """
import django
django.setup()
from shop.models import Order
order = Order.objects.create(email="ada@example.com")
"""


class Block(NamedTuple):
    language: str
    text: str

    @property
    def path(self):
        """The file that the block belongs into; the first line of the block names it."""
        named = re.match(r"# (\S+\.py)\n", self.text)
        return named and named[1]


def blocks(language):
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", README, re.DOTALL | re.MULTILINE)
    return [block for _, name, text in found if (block := Block(name, textwrap.dedent(text))).language == language]


def commands(start):
    lines = [line for block in blocks("shell") for line in block.text.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith(start)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run Python with the project as the working directory; ``run.start`` leaves the process running."""
    folder = tmp_path_factory.mktemp("readme")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "CELERY_"))}
    options = {
        "cwd": folder,
        "env": inherited | {"DJANGO_SETTINGS_MODULE": "mysite.settings"},
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
    }

    def run(*command):
        done = subprocess.run([sys.executable, *command], timeout=120, **options)
        assert done.returncode == 0, done.stdout
        return done.stdout

    started = []

    def start(*command):
        with (folder / f"{command[-1]}.log").open("w") as log:
            process = subprocess.Popen([sys.executable, *command], **options | {"stdout": log})
        started.append(process)
        return process

    run.folder, run.start = folder, start
    make_project(run)
    yield run
    for process in started:
        process.terminate()
        process.wait(30)


def make_project(run):
    run("-m", "django", "startproject", "mysite", ".")
    run("manage.py", "startapp", "shop")
    (run.folder / "shop" / "tests.py").unlink()
    (run.folder / "shop" / "models.py").unlink()
    for block in blocks("python"):
        if block.path:
            with (run.folder / block.path).open("a") as file:
                file.write(f"\n{block.text}")
    with (run.folder / "mysite" / "settings.py").open("a") as file:
        file.write(CHOSEN.format(options=transport_options("filesystem://", run.folder)))
    if os.environ.get("TEST_WITHOUT_BEAT") == "1":
        settings = run.folder / "mysite" / "settings.py"
        settings.write_text(re.sub(r".*django_celery_beat.*\n", "", settings.read_text()))
    run("manage.py", "makemigrations", "shop")
    run("manage.py", "migrate")


def test_the_first_screen_has_code():
    assert "```python" in "\n".join(README.splitlines()[:25])


def test_the_checks_have_nothing_to_say(run):
    assert "no issues" in run("manage.py", "check", "--database", "default")


def test_the_tests_in_it_pass(run):
    assert "OK" in run("manage.py", "test")


def test_the_examples_run_one_after_the_other(run):
    examples = [block.text for block in blocks("python") if not block.path]
    assert len(examples) >= 3
    output = run("-c", BEFORE_THE_EXAMPLES + "\n".join(examples))
    assert output.splitlines()[-1].startswith("scheduled")


def test_the_other_beat_has_the_tick(run):
    assert "django_future_celery.tick" in run("-c", "import mysite.other_beat as o; print(o.app.conf.beat_schedule)")


def test_each_management_command_works(run):
    found = [command for command in commands("python ") if command[0] == "manage.py"]
    assert ["manage.py", "runscheduledjobs"] in found
    for command in found:
        run(*command)


def test_a_job_goes_through_beat_and_worker(run):
    schedule = "from django_future_celery import schedule_job as s; print(s('0s', 'shop.jobs.send_reminder', order).pk)"
    pk = run("-c", BEFORE_THE_EXAMPLES + schedule).strip()
    for command in commands("celery "):
        run.start("-m", "celery", *command)

    look = f"from django_future_celery import ScheduledJob as S; print(S.objects.filter(pk={pk}, status='complete'))"
    # The broker of files may trip over a half-written one; the job is then sent again a minute later.
    wait_until(lambda: "complete" in run("-c", BEFORE_THE_EXAMPLES + look), 180, what="the end of the job")


def test_all_commands_of_celery_are_those_that_were_tried():
    assert [command[-1] for command in commands("celery ")] == ["worker", "future"]


def test_the_tests_that_show_what_is_promised_are_there():
    table = README.partition("## What is promised")[2].partition("## ")[0]
    named = re.findall(r"`([\w/]+\.py)`", table)

    assert len(named) >= 5
    assert [name for name in named if not (Path(__file__).parent / name).is_file()] == []


def test_the_signature_is_the_real_one():
    shown = re.search(r"`(schedule_job\(date.*?\))`", README, re.DOTALL)[1]
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
    rows = re.findall(r"^\| `([EW]\d+)`(?: to `([EW]\d+)`)? \|", README, re.MULTILINE)
    (first, last), *others = rows

    assert {first, last} == {"E001", max(rule.id for rule in RULES.values())}
    assert {name for name, _ in others} == made - {rule.id for rule in RULES.values()}


def test_the_settings_are_all_there_with_their_defaults():
    shown = dict(re.findall(r"^\| `([A-Z_]+)` \| `(.+?)` \|", README, re.MULTILINE))
    assert shown == {name: str(getattr(Settings, name)) for name in RULES}
