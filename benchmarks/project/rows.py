"""Many rows like one, by a single statement, whatever columns the table has."""

from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.db.models import Model


def copy(row: Model, count: int, **different: str) -> None:
    """Insert ``count`` copies of a stored row; ``different`` are SQL expressions, in which ``i`` counts from 1."""
    if count < 1:
        return
    fields = [field for field in row._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    values = ", ".join(different.get(field.name, connection.ops.quote_name(field.column)) for field in fields)
    execute(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %(count)s) "
        f"INSERT INTO {row._meta.db_table} ({columns}) SELECT {values} FROM n, {row._meta.db_table} WHERE id = %(id)s",
        {"count": count, "id": row.pk},
    )


def execute(sql: str, params: Mapping[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
