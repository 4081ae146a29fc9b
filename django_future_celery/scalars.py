"""The values without parts that JSON has no word for: how each is written and read."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

# Python's limit on the digits of an int may be set as low as 640; these have 617 at most.
MAX_INT_BITS = 2048

# JSON would join the two halves into one character.
_BETWEEN_SURROGATES = re.compile("(?<=[\ud800-\udbff])(?=[\udc00-\udfff])")


class Scalar(NamedTuple):
    kind: type
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]

    @property
    def tag(self) -> str:
        return f"${self.kind.__name__.lower()}"


def is_json(value: Any) -> bool:
    """Tell whether JSON gives the value back as it is. Subclasses never are: they would lose their type."""
    kind = type(value)
    if kind is str:
        return value.isascii() or not _BETWEEN_SURROGATES.search(value)
    if kind is int:
        return bool(value.bit_length() < MAX_INT_BITS)
    return value is None or kind is bool or (kind is float and isfinite(value))


def write_scalar(value: object) -> dict[str, Any] | None:
    """Give the tagged form, None if there is none from which the value comes back as it is."""
    scalar = _BY_KIND.get(type(value))
    if scalar is None:
        return None
    # A time zone is anybody's code, and may fail or be more than its offset.
    try:
        data = scalar.write(value)
        same = repr(scalar.read(data)) == repr(value)
    except Exception:
        return None
    return {scalar.tag: data} if same else None


def show_scalar(tag: str, data: Any) -> str:
    """Give a readable form, nearly Python."""
    value = SCALARS[tag].read(data)
    return repr(value) if isinstance(value, str | bytes | float) else f"{type(value).__name__}({value})"


def _write_clock(value: datetime | time) -> list[Any]:
    """Give ISO 8601, ``fold``, and the name of the zone if it has one."""
    if isinstance(value.tzinfo, ZoneInfo):
        return [value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo.key]
    return [value.isoformat(), value.fold, None]


def _read_clock(kind: type[datetime] | type[time], data: list[Any]) -> datetime | time:
    text, fold, zone = data
    value = kind.fromisoformat(text).replace(fold=fold)
    return value if zone is None else value.replace(tzinfo=ZoneInfo(zone))


def _write_timedelta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


_ALL = (
    Scalar(str, _BETWEEN_SURROGATES.split, "".join),
    Scalar(float, repr, float),
    Scalar(bytes, lambda value: b64encode(value).decode(), lambda data: b64decode(data, validate=True)),
    Scalar(date, date.isoformat, date.fromisoformat),
    Scalar(datetime, _write_clock, lambda data: _read_clock(datetime, data)),
    Scalar(time, _write_clock, lambda data: _read_clock(time, data)),
    Scalar(timedelta, _write_timedelta, lambda data: timedelta(*data)),
    Scalar(Decimal, str, Decimal),
    Scalar(UUID, str, UUID),
)
SCALARS = {scalar.tag: scalar for scalar in _ALL}
_BY_KIND = {scalar.kind: scalar for scalar in _ALL}
