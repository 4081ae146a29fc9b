import pytest

from tests.processes import Project, alias_of, broker_url


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
