"""Signed pickles, for what JSON cannot hold: each was signed with this project's key for its own place."""

from __future__ import annotations

import json
import pickle
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, NamedTuple

from django.core.signing import BadSignature, Signer

from django_future_celery.conf import settings
from django_future_celery.exceptions import CorruptArguments, InvalidArguments

#: Part of each signature: a new format must not read old pickles by accident.
VERSION = 1
#: Read by every supported Python, so that a worker may be older than the web process.
PROTOCOL = 5


class Place(NamedTuple):
    """Where a part stands: ``bind`` ends with ``|column``, ``path`` is such as ``[1]['when']``."""

    bind: str
    path: str = ""

    def __str__(self) -> str:
        return self.bind.rpartition("|")[2] + self.path

    def at(self, key: int | str) -> Place:
        # Escaped, since what repr() escapes depends on the Python version, and the signature must not.
        return Place(self.bind, f"{self.path}[{key!a}]")

    def part(self, name: str) -> Place:
        return Place(self.bind, f"{self.path}.{name}()")


def dumps(value: object, place: Place) -> str:
    """Pickle and sign a part. Raises InvalidArguments if pickles are off or this one cannot be read back."""
    kind = type(value)
    name = f"{place} is a {kind.__module__}.{kind.__qualname__}"
    if not settings.PICKLE:
        raise InvalidArguments(
            f"{name}, which needs a pickle, and FUTURE_CELERY_PICKLE is off: "
            "pass plain values or a saved model instance."
        )
    try:
        data = _proved(value)
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        raise InvalidArguments(f"{name}, which cannot be pickled ({cause}): pass plain values.") from error
    return _signer(place).sign(urlsafe_b64encode(data).decode())


def _proved(value: object) -> bytes:
    """Pickle the value and read it back at once: better no job than one that cannot run."""
    if getattr(value, "__module__", None) == "__main__":
        raise pickle.PicklingError("workers cannot import what a script defines")
    data = pickle.dumps(value, PROTOCOL)
    copy = pickle.loads(data)
    if type(copy) is not type(value):
        raise pickle.PicklingError(f"it comes back as a {type(copy).__qualname__}")
    if _lost(value, copy, pickle.loads(data)):
        raise pickle.PicklingError("it comes back as something else")
    return data


def _lost(value: object, copy: object, other: object) -> bool:
    """Tell whether two copies are equal to each other, but not to the original; those of a NaN never are."""
    if type(value).__eq__ is object.__eq__:
        return False
    try:
        return not copy == value and bool(copy == other)  # noqa: SIM201
    except Exception:  # an array has no one truth
        return False


def loads(text: str, place: Place) -> Any:
    """Read a part back.

    Raises CorruptArguments, before unpickling, unless ``dumps`` signed it for this place; also if that fails.
    """
    if not settings.PICKLE:
        raise CorruptArguments(f"{place} is a pickle, and FUTURE_CELERY_PICKLE is off: turn it on.")
    try:
        data = urlsafe_b64decode(_signer(place).unsign(text))
    except BadSignature:
        raise CorruptArguments(
            f"{place} is a pickle that was changed, moved, or signed with a key that is neither "
            "SECRET_KEY nor one of SECRET_KEY_FALLBACKS."
        ) from None
    try:
        return pickle.loads(data)
    except Exception as error:
        raise CorruptArguments(f"{place} cannot be unpickled: {type(error).__name__}: {error}") from error


def _signer(place: Place) -> Signer:
    return Signer(salt=json.dumps(["django_future_celery.pickles", VERSION, *place]))
