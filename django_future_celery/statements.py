"""Statements that run for each job: Django composes them once, and only their values differ from run to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connections
from django.db.models import Expression, QuerySet
from django.db.models.sql import UpdateQuery

#: A text and its parameters, some of them still to be given.
SQL = tuple[str, Sequence[Any]]


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
        self.composed: dict[tuple[Any, ...], SQL] = {}

    def execute(self, rows: QuerySet[Any], *variant: Any, **values: Any) -> Any:
        """Run it in the database of ``rows``, with its values; give the cursor."""
        key = (rows.db, *variant)
        if key not in self.composed:
            self.composed[key] = self.compose(rows, *variant)
        sql, params = self.composed[key]
        connection = connections[rows.db]
        cursor = connection.cursor()
        cursor.execute(sql, [bound(each, values, connection) for each in params])
        return cursor


def bound(param: Any, values: Mapping[str, Any], connection: Any) -> Any:
    if not isinstance(param, Given):
        return param
    return param.output_field.get_db_prep_save(values[param.name], connection)


def update_sql(rows: QuerySet[Any], changes: Mapping[str, Any]) -> SQL:
    """Give what ``rows.update(**changes)`` would run."""
    query = rows.query.chain(UpdateQuery)
    query.add_update_values(dict(changes))  # type: ignore[attr-defined]
    sql, params = query.get_compiler(rows.db).as_sql()
    return sql, params
