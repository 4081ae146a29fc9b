import pytest
from django.conf import settings as django_settings

from tests.processes import Project
from tests.services import URLS, available


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


@pytest.fixture
def project(tmp_path, request, transactional_db):
    """Make projects: ``project("postgresql", "redis", SETTING=…)``; their processes end with the test."""
    made = []

    def make(database, broker, **settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Project(alias_of(database), broker_url(broker), folder, **settings))
        made[-1].alias = alias_of(database)
        return made[-1]

    yield make
    failed = getattr(request.node, "failed", False)
    for each in made:
        each.__exit__(AssertionError if failed else None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed
    return report
