"""Reads from a replica that is behind, writes to the primary: what a router says holds for rows and objects."""

import pytest
from django.conf import settings as django_settings

from django_future_celery import run_jobs, schedule_job
from django_future_celery.models import ScheduledJob
from tests.factories import row_of
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(databases="__all__")


class Replicated:
    def db_for_read(self, model, **hints):
        return list(django_settings.DATABASES)[1]

    def db_for_write(self, model, **hints):
        return "default"


@pytest.fixture
def read(settings):
    """A stored job, as it is read from the replica."""
    if len(settings.DATABASES) == 1:
        pytest.skip("one database only")
    settings.DATABASE_ROUTERS = [Replicated()]
    job = schedule_job("1h", "tests.shop.jobs.nothing")
    ScheduledJob.objects.using(list(settings.DATABASES)[1]).bulk_create([ScheduledJob.objects.using("default").get()])
    read = ScheduledJob.objects.get(pk=job.pk)
    assert read._state.db != "default"
    return read


def primary(job):
    return ScheduledJob.objects.using("default").get(pk=job.pk)


def test_cancel_reaches_the_primary(read):
    assert read.cancel() is True
    assert primary(read).status == "cancelled"


def test_save_reaches_the_primary(read):
    read.priority = 7
    read.save()
    assert primary(read).priority == 7


def test_reschedule_inserts_into_the_primary(read):
    assert primary(read.reschedule("2h")).status == "scheduled"


def test_a_content_object_is_fetched_from_where_it_was_written(settings, read):
    job = schedule_job("0s", "tests.shop.jobs.echo", Order.objects.create())
    run_jobs()
    assert row_of(primary(job))["status"] == "complete"
