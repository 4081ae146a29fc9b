import pytest
from django.conf import settings
from django.db import connections

from django_future_celery.clock import database_now
from django_future_celery.models import ScheduledJob
from django_future_celery.outages import outages


def pytest_generate_tests(metafunc):
    """Tests that take ``alias`` run once on each database that answers."""
    if "alias" in metafunc.fixturenames:
        aliases = list(settings.DATABASES)
        metafunc.parametrize(
            "alias", aliases, ids=[settings.DATABASES[a]["ENGINE"].rpartition(".")[2] for a in aliases]
        )


@pytest.fixture
def rows(alias):
    """The queryset of the jobs in the database under test."""
    return ScheduledJob.objects.using(alias)


@pytest.fixture
def now(alias):
    """The clock of the database under test, in microseconds."""
    return database_now(alias)


@pytest.fixture
def vendor(alias):
    return connections[alias].vendor


@pytest.fixture(autouse=True)
def nothing_is_away(monkeypatch):
    """What was away in one test is news in the next."""
    monkeypatch.setattr(outages, "_since", {})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed
    return report
