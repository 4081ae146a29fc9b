"""Rows of an earlier version in a database of today, and what became of them."""

from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from django_future_celery.models import ScheduledJob
from tests.upgrade.releases import APP


def then(release, alias):
    """The models as that version had them."""
    return MigrationExecutor(connections[alias]).loader.project_state([release.migration]).apps


def load_and_migrate(release, alias, database="default"):
    """Insert the rows into the tables of then, and migrate: what an upgrade is."""
    newest = MigrationExecutor(connections[alias]).loader.graph.leaf_nodes(APP)
    try:
        MigrationExecutor(connections[alias]).migrate([release.migration])
        release.load(database, alias, then(release, alias))
    finally:
        MigrationExecutor(connections[alias]).migrate(newest)


def load_beside(release, alias, database="default"):
    """Insert the rows into the tables of today, as a process does that has not been restarted yet."""
    release.load(database, alias, then(release, alias))


def stored(alias):
    return {row["id"]: row for row in ScheduledJob.objects.using(alias).values()}


def waits(rows, release, database="default"):
    """The names of the rows that are not yet where they should be."""
    return [each["name"] for each in release.rows(database) if not is_as_told(rows[each["columns"]["id"]], each["end"])]


def is_as_told(row, end):
    return end is None or row["status"] == end["status"]


def differences(before, after, release, database="default"):
    """What became of rows, where it is something else than their version has said."""
    found = {}
    for each in release.rows(database):
        pk, end = each["columns"]["id"], each["end"]
        told = before[pk] if end is None else end
        became = after[pk] if end is None else {name: shown(after[pk], name, end[name]) for name in end}
        if became != told:
            found[each["name"]] = (became, told)
    return found


def shown(row, column, expected):
    if column == "failures":
        return len(row["failures"] or ())
    if column == "error" and expected and expected in row["error"]:
        return expected
    return row[column]
