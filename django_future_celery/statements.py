"""Statements that run for each job: Django composes them once, and only their values differ from run to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connections, transaction
from django.db.models import Expression, QuerySet
from django.db.models.sql import UpdateQuery

#: A text and its parameters, some of them still to be given.
SQL = tuple[str, Sequence[Any]]

#: The name of a value; which method of the database's operations makes of it what the driver gets; its last argument.
Binding = tuple[str, Callable[..., Any] | None, tuple[str, ...]]


class Given(Expression):
    """Stands for a value of ``field`` that is named now and given at each run."""

    def __init__(self, name: str, field: Any) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        return "%s", [self]


class Statement:
    """An UPDATE, or several in one. ``compose`` writes it for a database, and for each ``variant`` of its text."""

    def __init__(self, compose: Callable[..., SQL]) -> None:
        self.compose = compose
        self.composed: dict[tuple[Any, ...], tuple[str, list[Binding]]] = {}

    def execute(self, rows: QuerySet[Any], *variant: Any, **values: Any) -> Any:
        """Run it in the database of ``rows``, with its values; give the cursor."""
        key = (rows.db, *variant)
        if key not in self.composed:
            # Django composes a lock inside a transaction only; here the statement itself is one.
            with transaction.atomic(using=rows.db, savepoint=False):
                sql, params = written_out(connections[rows.db], *self.compose(rows, *variant))
            self.composed[key] = sql, [binding(each, type(connections[rows.db].ops)) for each in params]
        sql, bindings = self.composed[key]
        connection = connections[rows.db]
        cursor, ops = cursor_of(connection), connection.ops
        cursor.execute(
            sql,
            [values[name] if adapt is None else adapt(ops, values[name], *kind) for name, adapt, kind in bindings],
        )
        return cursor


def cursor_of(connection: Any) -> Any:
    """Give a cursor; where the project lets psycopg prepare statements, one that does.

    Those of Django bind parameters themselves, unless the option ``server_side_binding`` is on for all its queries, and
    then nothing is left to prepare. PostgreSQL takes longer to plan these statements than to run them.
    """
    connection.ensure_connection()
    if getattr(connection.connection, "prepare_threshold", None) is None:
        return connection.cursor()
    from django.db.backends.postgresql.base import ServerBindingCursor

    return connection._prepare_cursor(ServerBindingCursor(connection.connection))  # type: ignore[call-arg]


def written_out(connection: Any, sql: str, params: Sequence[Any]) -> tuple[str, list[Given]]:
    """Write the parameters that are always the same into the text: half of them, which no run has to bind and send."""
    quote = connection.schema_editor().quote_value
    sql %= tuple("%s" if isinstance(param, Given) else quote(param) for param in params)
    return sql, [param for param in params if isinstance(param, Given)]


def binding(param: Given, operations: Any) -> Binding:
    kind = param.output_field.get_internal_type().replace("AutoField", "IntegerField")
    if kind == "DateTimeField":
        return param.name, operations.adapt_datetimefield_value, ()
    if kind.endswith("IntegerField"):
        return param.name, operations.adapt_integerfield_value, (kind,)
    return param.name, None, ()


def update_sql(rows: QuerySet[Any], changes: Mapping[str, Any]) -> SQL:
    """Give what ``rows.update(**changes)`` would run, for rows that are named by their id."""
    query = rows.query.chain(UpdateQuery)
    query.add_update_values(dict(changes))  # type: ignore[attr-defined]
    sql, params = query.get_compiler(rows.db).as_sql()
    if connections[rows.db].vendor == "mysql":
        # Where few rows have a status it may choose the index on that, and lock that first and then the row: a deadlock
        # with whoever has the row, and wants to write its index.
        sql = sql.replace(" SET ", " FORCE INDEX (PRIMARY) SET ", 1)
    return sql, params
