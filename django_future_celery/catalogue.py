"""The callables that FUTURE_CELERY_ALLOWED_CALLABLES permits, as far as they are found, for a person to choose from."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from django.apps import apps

from django_future_celery.callables import check_allowed, check_home, resolve, signature_of
from django_future_celery.conf import settings
from django_future_celery.exceptions import FutureCeleryError

logger = logging.getLogger(__name__)

_WILDCARD = re.compile(r"[*?\[]")


class Entry(NamedTuple):
    path: str
    function: Any

    @property
    def signature(self) -> str:
        return str(signature_of(self.function) or "(…)")

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.function) or ""

    @property
    def summary(self) -> str:
        return self.doc.partition("\n")[0]


def permitted() -> dict[str, Entry]:
    """Give the callables by their paths: of the installed apps' ``jobs`` modules and of the modules in the patterns."""
    found = {entry.path: entry for entry in candidates() if is_permitted(entry)}
    return dict(sorted(found.items()))


def candidates() -> Iterator[Entry]:
    for pattern in settings.ALLOWED_CALLABLES or ():
        if not _WILDCARD.search(pattern):
            yield from exactly(pattern)
    for name in modules():
        if (module := imported(name)) is not None:
            yield from functions_of(module)


def modules() -> list[str]:
    """The modules that may have some: those that a pattern names before its first wildcard, and the apps' jobs."""
    named = [_WILDCARD.split(pattern)[0].rpartition(".")[0] for pattern in settings.ALLOWED_CALLABLES or ()]
    jobs = [f"{config.name}.jobs" for config in apps.get_app_configs()]
    return sorted({*filter(None, named), *jobs})


def exactly(path: str) -> Iterator[Entry]:
    try:
        yield Entry(path, resolve(path))
    except FutureCeleryError as error:
        logger.warning("FUTURE_CELERY_ALLOWED_CALLABLES names what is not here: %s", error)


def imported(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if f"{name}.".startswith(f"{error.name}."):
            return None
        logger.exception("%s cannot be imported, so its callables are not offered.", name)
    except Exception:
        logger.exception("%s cannot be imported, so its callables are not offered.", name)
    return None


def functions_of(module: ModuleType) -> Iterator[Entry]:
    for name, value in vars(module).items():
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
            yield Entry(f"{module.__name__}.{name}", value)


def is_permitted(entry: Entry) -> bool:
    try:
        check_allowed(entry.path)
        check_home(entry.path, entry.function)
    except FutureCeleryError:
        return False
    return True
