"""Arguments to text and back, equal and of the same type.

JSON where JSON has a word, else an object whose one key is a tag (``{"$tuple": [1, 2]}``); last a signed
pickle, for the smallest part that needs it. The text is ASCII: every database stores it, NUL and all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from django.db.models import Model

from django_future_celery import pickles
from django_future_celery.exceptions import CorruptArguments, InvalidArguments, ObjectGone
from django_future_celery.pickles import Place
from django_future_celery.references import read_enum, read_model, write_enum, write_model
from django_future_celery.scalars import SCALARS, is_json, show_scalar, write_scalar

#: Deeper values are refused: what was written under a short call stack must be readable under a long one.
MAX_DEPTH = 64


def dumps(value: object, *, bind: str) -> str:
    """Write a value as ASCII text.

    ``bind`` is ``callable|content object|column``: pickles are signed for it, errors name its column.
    Model instances are references into the database that the router writes them to.
    Raises InvalidArguments, naming the part, for what would not come back equal and of the same type.
    """
    return _encode(_Writer().write(value, Place(bind)))


def plain(value: object) -> str | None:
    """Give what ``dumps`` would, for what most calls have: nothing, or values without parts in a dict; else None."""
    if not value and type(value) in _EMPTY:
        return _EMPTY[type(value)]
    if type(value) is dict and _is_object(value) and all(map(is_json, value.values())):
        return _encode(value)
    return None


def loads(text: str, *, bind: str) -> Any:
    """Read what ``dumps`` wrote for the same ``bind``; model instances are fetched.

    Raises CorruptArguments for any other text, ObjectGone if a model instance is no longer in the database.
    """
    if text in _NOTHING:
        return _NOTHING[text]()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptArguments(f"{Place(bind)} is not JSON: {error}") from error
    return _read(data, Place(bind))


def preview(text: str) -> str:
    """Give the stored value as readable text, nearly Python: nothing is unpickled, imported or fetched.

    Text that ``dumps`` did not write is given as it is.
    """
    try:
        return _show(json.loads(text))
    except Exception:
        return text


_EMPTY: dict[type, str] = {tuple: '{"$tuple":[]}', list: "[]", dict: "{}"}
_NOTHING = {text: kind for kind, text in _EMPTY.items()}
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _is_object(value: dict[Any, Any]) -> bool:
    """Tell whether JSON can have the keys, and none looks like a tag."""
    return all(type(key) is str and is_json(key) and not key.startswith("$") for key in value)


class _Cycle(Exception):
    """A container was met inside itself."""

    def __init__(self, container: object) -> None:
        self.container = container


class _Writer:
    def __init__(self) -> None:
        self.open: list[int] = []

    def write(self, value: Any, place: Place) -> Any:
        if is_json(value):
            return value
        if type(value) in _CONTAINERS:
            return self.write_container(value, place)
        if isinstance(value, Model):
            return {"$model": write_model(value, place)}
        if isinstance(value, Enum) and (member := write_enum(value)):
            return {"$enum": member}
        return write_scalar(value) or {"$pickle": pickles.dumps(value, place)}

    def write_container(self, value: Any, place: Place) -> Any:
        if id(value) in self.open:
            raise _Cycle(value)
        if len(self.open) == MAX_DEPTH:
            raise InvalidArguments(f"{place} is nested more than {MAX_DEPTH} deep: pass a flatter value.")
        self.open.append(id(value))
        try:
            return _CONTAINERS[type(value)](self, value, place)
        except _Cycle as cycle:
            # JSON cannot say that a value contains itself; a pickle of the outermost one can.
            if cycle.container is not value:
                raise
            return {"$pickle": pickles.dumps(value, place)}
        finally:
            self.open.pop()

    def write_list(self, value: Iterable[Any], place: Place) -> list[Any]:
        # A place is made only where something might be said of it.
        return [item if is_json(item) else self.write(item, place.at(index)) for index, item in enumerate(value)]

    def write_items(self, value: Any, place: Place) -> dict[str, Any]:
        return {f"${type(value).__name__}": self.write_list(value, place)}

    def write_dict(self, value: dict[Any, Any], place: Place) -> dict[str, Any]:
        if _is_object(value):
            return {key: item if is_json(item) else self.write(item, place.at(key)) for key, item in value.items()}
        keys = self.write_list(value, place.part("keys"))
        values = self.write_list(value.values(), place.part("values"))
        return {"$dict": [list(pair) for pair in zip(keys, values, strict=True)]}


_CONTAINERS: dict[type, Callable[[_Writer, Any, Place], Any]] = {
    list: _Writer.write_list,
    tuple: _Writer.write_items,
    set: _Writer.write_items,
    frozenset: _Writer.write_items,
    dict: _Writer.write_dict,
}


def _read(data: Any, place: Place) -> Any:
    if isinstance(data, list):
        return [_read(item, place.at(index)) for index, item in enumerate(data)]
    if not isinstance(data, dict):
        return data
    if any(key.startswith("$") for key in data):
        return _read_tagged(data, place)
    return {key: _read(item, place.at(key)) for key, item in data.items()}


def _read_tagged(data: dict[str, Any], place: Place) -> Any:
    tag = next(iter(data))
    if len(data) > 1 or (tag not in _TAGS and tag not in SCALARS):
        raise CorruptArguments(f"{place} is tagged {', '.join(data)}, which is no tag of ours.")
    try:
        return SCALARS[tag].read(data[tag]) if tag in SCALARS else _TAGS[tag](data[tag], place)
    except (CorruptArguments, ObjectGone):
        raise
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        raise CorruptArguments(f"{place} is tagged {tag}, and cannot be read: {error}") from error


def _read_dict(pairs: list[Any], place: Place) -> dict[Any, Any]:
    keys = _read([key for key, _ in pairs], place.part("keys"))
    return dict(zip(keys, _read([value for _, value in pairs], place.part("values")), strict=True))


_TAGS: dict[str, Callable[[Any, Place], Any]] = {
    "$tuple": lambda data, place: tuple(_read(data, place)),
    "$set": lambda data, place: set(_read(data, place)),
    "$frozenset": lambda data, place: frozenset(_read(data, place)),
    "$dict": _read_dict,
    "$model": read_model,
    "$enum": read_enum,
    "$pickle": pickles.loads,
}


def _show(data: Any) -> str:
    if isinstance(data, list):
        return f"[{_show_items(data)}]"
    if not isinstance(data, dict):
        return repr(data)
    if any(key.startswith("$") for key in data):
        ((tag, tagged),) = data.items()
        return _SHOWN[tag](tagged) if tag in _SHOWN else show_scalar(tag, tagged)
    return _show_pairs((repr(key), item) for key, item in data.items())


def _show_items(data: list[Any]) -> str:
    return ", ".join(map(_show, data))


def _show_pairs(pairs: Iterable[tuple[str, Any]]) -> str:
    return "{" + ", ".join(f"{key}: {_show(item)}" for key, item in pairs) + "}"


_SHOWN: dict[str, Callable[[Any], str]] = {
    "$tuple": lambda data: f"({_show_items(data)}{',' if len(data) == 1 else ''})",
    "$set": lambda data: f"{{{_show_items(data)}}}" if data else "set()",
    "$frozenset": lambda data: f"frozenset({{{_show_items(data)}}})" if data else "frozenset()",
    "$dict": lambda data: _show_pairs((_show(key), item) for key, item in data),
    "$model": lambda data: f"<{data[0]} {data[1]}>",
    "$enum": lambda data: f"{data[0].rpartition('.')[2]}.{data[1]}",
    "$pickle": lambda data: "<pickled>",
}
