"""What the search of the list looks into."""

from __future__ import annotations

import json
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.text import smart_split, unescape_string_literal

#: As they are stored, and so also what is masked where it is shown.
PLAIN = ("callable_name", "object_id", "unique_key", "task_id", "worker", "return_value", "error")
#: JSON, which escapes what is not ASCII.
ENCODED = ("args_text", "kwargs_text")


def search(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Give the rows that have each word in any of the columns, or as their number; quotes hold words together."""
    for bit in smart_split(text):
        word = unescape_string_literal(bit) if bit[0] in "\"'" and bit[-1] == bit[0] and len(bit) > 1 else bit
        rows = rows.filter(_anywhere(word))
    return rows


def _anywhere(word: str) -> Q:
    escaped = json.dumps(word)[1:-1]
    plain = [Q(**{f"{column}__icontains": word}) for column in PLAIN]
    number = [Q(pk=int(word))] if word.isdecimal() and len(word) < 19 else []
    return reduce(or_, number + plain + [Q(**{f"{column}__icontains": escaped}) for column in ENCODED])
