"""What a migration does to a table of millions, while the processes of the version before are at work."""

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import models
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader

from django_future_celery.indexes import PartialIndex
from django_future_celery.models import ScheduledJob

APP = "django_future_celery"

#: The rows of the other tables are as few as the processes.
BIG = "scheduledjob"

#: (migration, operation by its description): why it may stay, in spite of what is told of it.
EXPLAINED: dict[tuple[str, str], str] = {}

#: These touch no row.
SHORT = (
    operations.CreateModel,
    operations.AlterModelOptions,
    operations.AlterModelManagers,
)
#: What a field says to people and to forms, and the database never hears.
WORDS = {"verbose_name", "help_text", "choices", "editable", "blank", "validators", "error_messages", "default"}


def trouble(operation, fields):
    """Tell what is wrong with an operation on a big table in use; '' if nothing is.

    Args:
        fields: of the big table, by name, as they are before.
    """
    if isinstance(operation, SHORT):
        return ""
    if isinstance(operation, operations.AddField | operations.AlterField) and operation.model_name_lower != BIG:
        return ""
    if isinstance(operation, operations.AddField):
        return of_new(operation.field)
    if isinstance(operation, operations.AlterField):
        return of_altered(fields[operation.name], operation.field)
    return "it may lock or read the whole table, or take away what the version before still uses"


def of_new(field):
    if field.unique or field.db_index or field.remote_field:
        return "its index is built while nobody can write"
    if field.null or field.has_db_default():
        return ""
    return "the version before inserts rows without it: give it null=True, or a db_default"


def of_altered(before, after):
    old, new = before.deconstruct(), after.deconstruct()
    changed = {name for name in old[3].keys() | new[3].keys() if old[3].get(name) != new[3].get(name)}
    if old[1:3] == new[1:3] and changed <= WORDS:
        return ""
    return "the table may be written anew"


def after_the_first():
    """Each operation of the migrations after 0001, with the fields of the big table before it."""
    loader = MigrationLoader(None)
    nodes = [key for key in loader.graph.forwards_plan(loader.graph.leaf_nodes(APP)[0]) if key[0] == APP]
    for key in nodes[1:]:
        state = loader.project_state(key, at_end=False)
        for operation in loader.get_migration(*key).operations:
            yield key[1], operation, dict(state.models[APP, BIG].fields)
            operation.state_forwards(APP, state)


def test_no_migration_keeps_a_big_table_for_long():
    found = {(name, operation.describe()): trouble(operation, fields) for name, operation, fields in after_the_first()}

    assert {key: text for key, text in found.items() if text and key not in EXPLAINED} == {}
    assert set(EXPLAINED) <= {key for key, text in found.items() if text}


# -- the rule itself --------------------------------------------------------------------------------------------------

FIELDS = {field.name: field for field in ScheduledJob._meta.concrete_fields}


@pytest.mark.parametrize(
    "operation",
    [
        operations.AddField(BIG, "note", models.TextField(null=True)),
        operations.AddField("ScheduledJob", "note", models.CharField(max_length=9, db_default="")),
        operations.AddField("process", "version", models.CharField(max_length=20, default="", db_index=True)),
        operations.AlterField(BIG, "status", models.CharField("state", max_length=16, default="scheduled")),
        operations.AlterModelOptions("scheduledjob", {"verbose_name": "job"}),
        operations.CreateModel("note", [("id", models.BigAutoField(primary_key=True))]),
    ],
    ids=lambda operation: operation.describe(),
)
def test_what_touches_no_row_is_fine(operation):
    assert trouble(operation, FIELDS) == ""


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        (operations.AddField(BIG, "note", models.TextField(default="")), "null=True"),
        (operations.AddField(BIG, "note", models.TextField(null=True, db_index=True)), "index"),
        (operations.AddField(BIG, "note", models.CharField(max_length=9, null=True, unique=True)), "index"),
        (operations.AlterField(BIG, "status", models.CharField(max_length=20)), "anew"),
        (operations.AlterField(BIG, "priority", models.IntegerField(default=0)), "anew"),
        (operations.RemoveField(BIG, "trace_context"), "still uses"),
        (operations.RenameField(BIG, "queue", "lane"), "still uses"),
        (operations.AddIndex(BIG, PartialIndex(fields=["queue"], name="q", where=models.Q())), "lock"),
        (AddIndexConcurrently(BIG, models.Index(fields=["queue"], name="q")), "lock"),
        (operations.AddConstraint(BIG, models.UniqueConstraint(fields=["task_id"], name="u")), "lock"),
        (operations.RunPython(operations.RunPython.noop), "lock"),
        (operations.RunSQL("UPDATE django_future_celery_scheduledjob SET queue = ''"), "lock"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.describe(),
)
def test_what_may_take_long_is_told(operation, word):
    assert word in trouble(operation, FIELDS)
