"""Many rows by one INSERT on PostgreSQL: what they have in common is sent once, what differs as an array a column."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import Model


class Column(NamedTuple):
    name: str
    #: The type without its length: the table refuses what is too long, a cast would cut it off.
    kind: str
    #: Of each row, if they differ; else the one of all.
    value: Any
    differs: bool

    def repeated(self, times: int) -> Column:
        return self._replace(value=[self.value] * times, differs=True)


def insert(rows: Sequence[Model], using: str) -> None:
    """Insert new rows of one model, in their order and with the values that they have; give each its id.

    Django's ``bulk_create`` sends each value of each row, and most of ours are the same in all.
    """
    connection = connections[using]
    meta: Any = rows[0]._meta
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    values = zip(*map(attrgetter(*(field.attname for field in fields)), rows), strict=True)
    columns = [column_of(field, each, connection) for field, each in zip(fields, values, strict=True)]
    same = [each for each in columns if not each.differs]
    # Of arrays there has to be one.
    differ = [each for each in columns if each.differs] or [same.pop().repeated(len(rows))]
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(meta.db_table)} ({', '.join(quote(each.name) for each in [*same, *differ])}) "
            f"SELECT {''.join(f'(%s)::{each.kind}, ' for each in same)}each.* "
            f"FROM UNNEST({', '.join(f'(%s)::{each.kind}[]' for each in differ)}) AS each "
            f"RETURNING {quote(meta.pk.column)}",
            [each.value for each in [*same, *differ]],
        )
        for row, (key,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk, row._state.adding, row._state.db = key, False, using


def column_of(field: Any, values: Sequence[Any], connection: Any) -> Column:
    differs = values.count(values[0]) < len(values)
    stored = [field.get_db_prep_save(value, connection) for value in (values if differs else values[:1])]
    kind = field.db_type(connection).partition("(")[0]
    return Column(field.column, kind, stored if differs else stored[0], differs)
