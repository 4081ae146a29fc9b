"""What the package says about itself is true. That it holds all its files is seen where it is built, in .ci/package."""

import ast
import re
import tomllib
from importlib.metadata import distribution, packages_distributions

import pytest

from tests.documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGE = ROOT / "django_future_celery"
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def name_of(requirement):
    return re.match(r"[\w-]+", requirement)[0]


REQUIRED = set(map(name_of, PROJECT["dependencies"]))
OPTIONAL = {extra: set(map(name_of, wanted)) for extra, wanted in PROJECT["optional-dependencies"].items()}
#: What comes along with a package that is required, and is imported beside it.
BROUGHT = {"asgiref", "billiard", "kombu", "redis"}


def imported():
    """For each foreign module that the package imports, wherever in a file: the distributions that it may come from."""
    nodes = [node for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    found = packages_distributions()
    tops = {module.partition(".")[0] for module in modules} - {PACKAGE.name}
    return {top: {name.lower().replace("_", "-") for name in found[top]} for top in tops & set(found)}


def test_the_version_has_one_place():
    assert distribution("django-future-celery").version == PROJECT["version"]
    assert [path for path in PACKAGE.rglob("*.py") if f'"{PROJECT["version"]}"' in path.read_text()] == []


def test_all_that_is_imported_is_required_and_all_that_is_required_is_imported():
    optional = set().union(*OPTIONAL.values())
    assert {top for top, names in imported().items() if not names & (REQUIRED | optional | BROUGHT)} == set()
    assert (REQUIRED | optional) - set().union(*imported().values()) == set()


@pytest.mark.parametrize("extra", OPTIONAL)
def test_each_extra_is_explained(extra):
    pages = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    assert f"django-future-celery[{extra}]" in pages


@pytest.mark.parametrize(
    ("name", "prefix"), [("Python", "Programming Language :: Python"), ("Django", "Framework :: Django")]
)
def test_the_versions_named_are_those_of_the_documentation(name, prefix):
    first, last = re.search(rf"^\| {name} \| ([\d.]+) to ([\d.]+) \|", QUICKSTART, re.MULTILINE).groups()
    named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.fullmatch(rf"{prefix} :: \d+\.\d+", each)]
    named.sort(key=lambda version: [*map(int, version.split("."))])

    assert (named[0], named[-1]) == (first, last)
    required = PROJECT["requires-python"] if name == "Python" else "".join(PROJECT["dependencies"])
    assert f">={first}" in required


def test_type_checkers_may_rely_on_its_types():
    assert (PACKAGE / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_the_languages_named_are_those_of_the_catalogues():
    languages = {"de": "German", "es": "Spanish", "fr": "French"}
    named = {each.rpartition(" ")[2] for each in PROJECT["classifiers"] if each.startswith("Natural Language")}
    assert named == {"English"} | {languages[path.name] for path in (PACKAGE / "locale").iterdir()}


def test_the_changelog_has_the_form_that_it_names():
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert [
        heading for heading in headings[1:] if not re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading)
    ] == []
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
