"""Messages that an earlier version has left with a broker, for a worker of today; and a beat for its other rows."""

import pytest

from django_future_celery.models import ScheduledJob
from tests.processes import wait_until
from tests.upgrade import messages
from tests.upgrade.releases import RELEASES
from tests.upgrade.upgrading import differences, load_and_migrate, stored, waits

pytestmark = [
    pytest.mark.django_db(databases="__all__", transaction=True),
    pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version),
    pytest.mark.parametrize(
        ("database", "broker"), [("sqlite3", "filesystem"), ("postgresql", "redis"), ("mysql", "rabbitmq")]
    ),
]


def post(release, stack, database):
    """Put each message of a version into the worker's queue, twice; give the task id that each job gets by it."""
    task_ids = {}
    with stack.connection() as connection:
        for message in release.read("messages"):
            if message["database"] == database:
                first = message["headers"]["id"]
                several = len(message["jobs"]) > 1
                task_ids |= {pk: f"{first}.{pk}" if several else first for pk in message["jobs"]}
                for _ in range(2):
                    messages.put(message, stack.queue, connection)
    return task_ids


def wait_for_ends(alias, pks):
    ended = ScheduledJob.objects.using(alias).ended().filter(pk__in=pks)
    wait_until(lambda: ended.count() == len(pks), what="the end of what the messages name")


def test_a_worker_runs_what_the_messages_name_and_a_beat_sends_the_rest(release, project, database, broker):
    stack = project(database, broker)
    load_and_migrate(release, stack.alias)
    before = stored(stack.alias)
    stack.worker("-c", "1")
    task_ids = post(release, stack, "default")
    wait_for_ends(stack.alias, task_ids)
    assert {pk: stored(stack.alias)[pk]["task_id"] for pk in task_ids} == task_ids

    stack.beat()
    wait_until(lambda: not waits(stored(stack.alias), release), 120, what="the end of all rows")
    assert differences(before, stored(stack.alias), release) == {}


def test_a_worker_runs_what_the_messages_name_in_another_database(release, project, database, broker):
    stack = project(database, broker, FUTURE_CELERY_DATABASES=["archive"])
    stack.settings["DATABASES"] = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(stack.folder / "default.sqlite3")},
        "archive": stack.settings["DATABASES"]["default"],
    }
    stack.settings["INSTALLED_APPS"] = ["django.contrib.contenttypes", "django_future_celery", "tests.shop"]
    load_and_migrate(release, stack.alias, "archive")
    before = stored(stack.alias)
    stack.worker("-c", "1")
    task_ids = post(release, stack, "archive")
    wait_for_ends(stack.alias, task_ids)

    assert {pk: stored(stack.alias)[pk]["task_id"] for pk in task_ids} == task_ids
    assert differences(before, stored(stack.alias), release, "archive") == {}
