"""The nudge: a commit that wakes beat, on PostgreSQL, and what becomes of it elsewhere and when it fails."""

import logging

import pytest
from django.conf import settings as django_settings
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from django_future_celery import schedule_job
from django_future_celery.nudges import Nudges

pytestmark = pytest.mark.django_db(databases=list(django_settings.DATABASES), transaction=True)

#: Enough for what is on its way to arrive; a test that passes does not wait for it.
ARRIVES = 30.0


@pytest.fixture
def nudges(settings, alias):
    settings.FUTURE_CELERY_NUDGE = True
    nudges = Nudges()
    yield nudges
    nudges.close()


@pytest.fixture
def listening(nudges, alias, vendor):
    if vendor != "postgresql":
        pytest.skip("PostgreSQL only")
    assert nudges.heard([alias], 0) is True
    return nudges


def schedule(alias, date="0s"):
    return schedule_job(date, "tests.shop.jobs.nothing", using=alias)


def notifies(alias, **options):
    with CaptureQueriesContext(connections[alias]) as queries:
        schedule(alias, **options)
    return [query["sql"] for query in queries if "NOTIFY" in query["sql"]]


def test_without_the_setting_there_is_none(alias):
    assert notifies(alias) == []
    assert Nudges().heard([alias], ARRIVES) is None


def test_elsewhere_beat_sleeps_as_before(alias, vendor, nudges):
    if vendor == "postgresql":
        pytest.skip("PostgreSQL has it")
    assert notifies(alias) == []
    assert nudges.heard([alias], ARRIVES) is None


def test_is_heard_at_the_commit_and_once(alias, listening):
    with transaction.atomic(using=alias):
        schedule(alias)
        schedule(alias)
        assert listening.heard([alias], 0) is False
    assert listening.heard([alias], ARRIVES) is True
    assert listening.heard([alias], 0) is False


def test_is_not_heard_of_what_is_rolled_back(alias, listening):
    with transaction.atomic(using=alias):
        schedule(alias)
        transaction.set_rollback(True, using=alias)
    assert listening.heard([alias], 0) is False


def test_is_not_sent_for_what_is_due_after_the_longest_sleep(alias, listening):
    assert notifies(alias, date="1m") == []


def test_a_cut_connection_is_told_once_and_opened_anew(alias, listening, caplog):
    caplog.set_level(logging.INFO)
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    assert listening.heard([alias], ARRIVES) is True

    assert listening.heard([alias], ARRIVES) is True
    schedule(alias)
    assert listening.heard([alias], ARRIVES) is True
    assert [message.partition(":")[0].partition(" after")[0] for message in caplog.messages] == [
        f"Beat hears no nudges from {alias!r}",
        f"The nudge of {alias!r} is back",
    ]


def test_where_no_connection_can_be_had_beat_sleeps_as_before(alias, vendor, nudges, monkeypatch, caplog):
    if vendor != "postgresql":
        pytest.skip("PostgreSQL only")
    monkeypatch.setitem(connections.settings[alias], "NAME", "not there")
    assert nudges.heard([alias], ARRIVES) is None
    assert nudges.heard([alias], ARRIVES) is None
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
