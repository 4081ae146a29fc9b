from __future__ import annotations

from typing import Any

from django.db.models import Index, Q


class PartialIndex(Index):
    """An index over the rows that fulfil ``where``; over all rows on databases that know no partial indexes.

    Django's own conditional index would be left out on MySQL and MariaDB, and with a warning.
    """

    def __init__(self, *, where: Q, **options: Any) -> None:
        super().__init__(**options)
        self.where = where

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **options: Any) -> Any:
        partial = schema_editor.connection.features.supports_partial_indexes
        condition = self.where if partial else None
        index = Index(fields=[name for name, _ in self.fields_orders], name=self.name, condition=condition)
        return index.create_sql(model, schema_editor, using, **options)

    def deconstruct(self) -> Any:
        path, expressions, options = super().deconstruct()
        return path, expressions, options | {"where": self.where}
