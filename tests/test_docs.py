"""The pages in ``docs/``: their code runs, their commands are real, and what they name is there.

The quickstart is followed word for word; each other page goes on where it ends, in a copy of its project.
"""

import configparser
import inspect
import re
import shlex
import tomllib

import pytest
import yaml
from celery.bin.celery import celery
from click.testing import CliRunner
from django.core.management import get_commands

import django_future_celery
from django_future_celery import checks, checkup, gauges, project_checks, signals
from django_future_celery.checks import RULES
from django_future_celery.conf import Settings
from django_future_celery.states import Status
from tests.documents import BEFORE_THE_EXAMPLES, ROOT, Document, Project
from tests.shipping.compose import example_environment, read
from tests.test_layering import LAYERS, ON_TOP

PAGES = {path.stem: Document(f"docs/{path.name}") for path in sorted((ROOT / "docs").glob("*.md"))}
ALL = [*PAGES.values(), *(Document(name) for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
QUICKSTART = PAGES["quickstart"]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    with Project(tmp_path_factory.mktemp("docs")) as project:
        project.make(QUICKSTART)
        yield project


@pytest.fixture
def follower(quickstart, tmp_path):
    """Give the project in which a page is followed, with the files of the page."""

    def follow(page):
        project = quickstart.copy(tmp_path)
        if page is not QUICKSTART:
            project.write(page.files)
            if any(block.path.endswith("models.py") for block in page.files):
                project.migrate()
        return project

    return follow


# -- code and commands ------------------------------------------------------------------------------------------------

#: In one process, since most of the time would go into starting others.
FOLLOW = """
import django
django.setup()
from importlib import import_module
from django.core.management import call_command
for module in {modules!r}:
    import_module(module)
call_command("check", databases=["default"], fail_level="WARNING")
for command in {commands!r}:
    if command[1] == "checkscheduledjobs":
        call_command("runscheduledjobs", "-i")  # Somebody must have looked for jobs.
    # What --deploy says of a project that was just begun is not about the page.
    call_command(*command[1:], **({{"fail_level": "CRITICAL"}} if command[1] == "check" else {{}}))
"""


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_the_code_of_a_page_runs(follower, page):
    modules = sorted({block.path.removesuffix(".py").replace("/", ".") for block in page.files} - {"shop.tests"})
    commands = [command for command in page.commands("python ") if command[0] == "manage.py"]
    if modules or commands or page.examples:
        code = FOLLOW.format(modules=modules, commands=commands)
        follower(page).run("-c", code + BEFORE_THE_EXAMPLES + "\n".join(page.examples))


def test_the_tests_of_the_page_about_them_pass(follower):
    assert re.search(r"Ran [1-9].*\n\nOK", follower(PAGES["testing"]).run("manage.py", "test"))


def test_the_other_beat_has_the_tick(follower):
    project = follower(PAGES["running"])
    assert "django_future_celery.tick" in project.run(
        "-c", "import mysite.other_beat as o; print(o.app.conf.beat_schedule)"
    )


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_each_shell_line_could_be_typed(page):
    for line in page.shell_lines:
        if line.startswith("pip install uv && "):
            words = shlex.split(line.partition(" && ")[2])
            assert words[:2] == ["uv", "run"]
            assert (ROOT / words[2]).is_file()
        elif line.startswith("pip install "):
            assert re.fullmatch(r'pip install "django-future-celery\[(\w+)\]"', line)[1] in EXTRAS
        elif line.startswith("python manage.py "):
            assert line.split()[2] in get_commands()
        elif line.startswith("cp "):
            assert (ROOT / line.split()[1]).is_file()
        elif line.startswith("docker compose "):
            check_compose(line.split()[2:])
        else:
            check_celery(shlex.split(line))


def check_compose(words):
    """Fail unless what is executed in a service is one of Django's commands, and the service is there."""
    if words[0] == "exec":
        _, service, *python, command = words
        assert service in read(example_environment())
        assert python == ["python", "manage.py"] and command in get_commands()
    else:
        assert words[0] in ("up", "ps")


def check_celery(words):
    """Fail unless Celery knows the command and its options."""
    while "=" in words[0]:
        words = words[1:]
    assert words[0] == "celery"
    options = words[words.index("mysite") + 1 :]
    done = CliRunner().invoke(celery, [*options, "--help"])
    assert done.exit_code == 0, done.output
    assert "Usage" in done.output


def test_the_units_of_systemd_start_what_can_be_started():
    blocks = [block.text for page in PAGES.values() for block in page.blocks("ini")]
    assert len(blocks) >= 2
    for text in blocks:
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str
        unit.read_string(text)
        binary, *options = shlex.split(unit["Service"]["ExecStart"])
        check_celery([binary.rpartition("/")[2], *options])


@pytest.mark.django_db
def test_the_rules_for_prometheus_ask_for_metrics_that_are_there():
    told = re.findall(r"^# TYPE (\w+)", gauges.exposition()[0].decode(), re.MULTILINE)
    blocks = [yaml.safe_load(block.text) for page in PAGES.values() for block in page.blocks("yaml")]
    rules = [rule for block in blocks for group in block["groups"] for rule in group["rules"]]
    asked = {name for rule in rules for name in re.findall(r"future_celery_\w+", rule["expr"])}

    assert len(rules) >= 5
    assert asked <= set(told)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_every_block_is_of_a_kind_that_is_tested(page):
    languages = set(re.findall(r"^ *```(\S+)$", page.text, re.MULTILINE))
    directives = {"{toctree}", "{settings-table}", "{settings}", "{measured-on}", "{measured-with}", "{eval-rst}"}
    assert languages <= {"python", "shell", "ini", "text", "yaml"} | directives


# -- what is named is there -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.path)
def test_every_setting_that_is_named_exists(page):
    assert set(re.findall(r"FUTURE_CELERY_([A-Z_]+)", page.text)) <= set(RULES)


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.path)
def test_every_management_command_that_is_named_exists(page):
    assert set(re.findall(r"manage\.py ([a-z]+)", page.text)) - {"demo"} <= set(get_commands())


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.path)
def test_every_test_that_is_named_is_there(page):
    found = re.findall(r"`((?:[\w]+/)?test_\w+\.py)`", page.text)
    assert [name for name in found if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.path)
def test_every_link_within_the_repository_leads_to_a_file(page):
    links = re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", page.text)
    assert [link for link in links if not ((ROOT / page.path).parent / link).is_file()] == []


def test_the_promises_name_the_tests_that_show_them():
    assert len(set(re.findall(r"`((?:[\w]+/)?test_\w+\.py)`", PAGES["promises"].text))) >= 15


def test_every_setting_says_what_it_means_and_when_to_change_it():
    comments = re.findall(r"((?:^ +#:.*\n)+) +([A-Z_]+):", inspect.getsource(Settings), re.MULTILINE)
    two_paragraphs = {
        name for comment, name in comments if re.fullmatch(r"(( +#: .+\n)+) +#:\n(( +#: .+\n)+)", comment)
    }

    assert two_paragraphs == set(RULES)


def test_every_setting_is_documented_once():
    named = re.findall(r"```{settings}\n(.*?)```", PAGES["settings"].text, re.DOTALL)
    assert sorted(" ".join(named).split()) == sorted(RULES)


def test_the_system_checks_are_all_there():
    sources = "".join(map(inspect.getsource, (checks, project_checks)))
    made = set(re.findall(r"\b[EW]\d{3}\b", sources))
    rows = re.findall(r"^\| `([EW]\d+)`(?: to `([EW]\d+)`)? \|", PAGES["checks"].text, re.MULTILINE)
    (first, last), *others = rows

    assert {first, last} == {"E001", max(rule.id for rule in RULES.values())}
    assert {name for name, _ in others} == made - {rule.id for rule in RULES.values()}


def test_each_word_for_a_problem_is_explained_and_has_a_cure():
    words = set(re.findall(r'(?:yield |Report\(\{)"(\w+)"', inspect.getsource(checkup)))
    assert len(words) >= 5
    assert words | {"ok"} == set(re.findall(r"^\| \d \| `(\w+)` \|", PAGES["monitoring"].text, re.MULTILINE))
    assert words == set(re.findall(r"^## `(\w+)`:", PAGES["alerts"].text, re.MULTILINE))


def test_every_public_name_is_in_the_reference():
    for name in [*django_future_celery.__all__, *(name for name in vars(signals) if name.startswith("job_"))]:
        assert re.search(rf"^\.\. auto\w+:: (?:[\w.]*\.)?{name}\b", PAGES["reference"].text, re.MULTILINE), name


def test_every_module_has_its_room():
    table = PAGES["how-it-works"].text.partition("## The rooms")[2]
    named = set(re.findall(r"`(\w+)`", table))
    assert set().union(*LAYERS) | ON_TOP - {"__init__"} <= named


def test_the_picture_of_the_statuses_has_all_of_them():
    picture = (ROOT / "docs" / "lifecycle.html").read_text()
    assert [status for status in Status if f">{status}</text>" not in picture] == []
