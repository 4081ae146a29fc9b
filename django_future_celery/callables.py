"""From a callable to the dotted path that names it in every process, and back."""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from types import FunctionType, MethodType, ModuleType
from typing import Any, TypeVar

from django.db.models import Model

from django_future_celery.conf import settings
from django_future_celery.exceptions import (
    CallableNotAllowed,
    CallableNotFound,
    InvalidArguments,
    InvalidCallable,
    UnknownCallable,
)

#: Longest path that a row can hold, in characters.
MAX_PATH = 255

TAKES_JOB = "future_celery_takes_job"
NON_ATOMIC = "future_celery_non_atomic"

#: The sticky jobs that were imported so far, by their paths.
STICKY: dict[str, Callable[..., Any]] = {}

F = TypeVar("F", bound=Callable[..., Any])

# From Python 3.14 on, annotations would be evaluated here, and some exist for type checkers only.
if sys.version_info >= (3, 14):
    from annotationlib import Format

    _SIGNATURE: dict[str, Any] = {"annotation_format": Format.STRING}
else:
    _SIGNATURE: dict[str, Any] = {}


def job_as_parameter(function: F) -> F:
    """Mark a callable as taking its job as the first argument."""
    return _mark(function, TAKES_JOB)


def non_atomic_job(function: F) -> F:
    """Mark a callable as run outside a transaction."""
    return _mark(function, NON_ATOMIC)


def sticky_job(function: F) -> F:
    """Have an instance of this job wait at all times; put it into the ``jobs`` module of an installed app.

    It is called without arguments, every ``FUTURE_CELERY_STICKY_INTERVAL`` seconds after its last end.

    Raises InvalidCallable for what has no path, such as a nested function.
    """
    _refuse_pathless(function)
    STICKY[_checked(f"{function.__module__}.{function.__qualname__}")] = function
    return function


def takes_job(function: Callable[..., Any]) -> bool:
    return getattr(function, TAKES_JOB, False) is True


def is_atomic(function: Callable[..., Any]) -> bool:
    return getattr(function, NON_ATOMIC, False) is not True


def _mark(function: F, name: str) -> F:
    # A staticmethod object hands out its function, not itself.
    setattr(getattr(function, "__func__", function), name, True)
    return function


def path_of(target: str | Callable[..., Any]) -> str:
    """Give the dotted path of a callable; a path, or a bare method name, stays as it is.

    Raises CallableNotFound for a string that can be no path, InvalidCallable for what has no path of its own,
    or one longer than 255 characters.
    """
    if isinstance(target, str):
        return _checked(target)
    _refuse_pathless(target)
    path = _checked(f"{target.__module__}.{target.__qualname__}")
    try:
        found = resolve(path)
    except CallableNotFound as error:
        raise InvalidCallable(f"{target!r} cannot be found by its own path. {error}") from error
    if found is not target:
        raise InvalidCallable(f"{path!r} leads to {found!r}, not to {target!r}: pass what the path leads to.")
    return path


@functools.lru_cache(maxsize=1024)
def _checked(path: str) -> str:
    if not all(part.isidentifier() for part in path.split(".")):
        raise CallableNotFound(f"{path!r} is no path: write 'package.module.function' or a method's name.")
    if any(part.startswith("__") for part in path.split(".")):
        raise CallableNotFound(f"{path!r} has a name that is Python's own: schedule a function of yours.")
    if len(path) > MAX_PATH:
        raise InvalidCallable(f"{path!r} is longer than {MAX_PATH} characters: give it a shorter alias.")
    return path


def _refuse_pathless(target: Any) -> None:
    if cure := _cure(target):
        raise InvalidCallable(f"{target!r} has no path by which another process could find it: {cure}.")


def _cure(target: Any) -> str | None:
    """Tell what to do instead of scheduling this object, None if it can have a path."""
    if isinstance(target, functools.partial):
        return "pass the function, and its arguments as args and kwargs"
    if isinstance(target, MethodType) and not isinstance(target.__self__, type):
        return "pass the object as content_object and the method's name as a string"
    if isinstance(target, MethodType):
        return "pass the path of the class method as a string"
    qualname, module = getattr(target, "__qualname__", None), getattr(target, "__module__", None)
    if not callable(target) or qualname is None or module is None:
        return "pass a function of a module, or a dotted path"
    if "<" in qualname:
        return "move it to the top level of its module, under a name"
    if module == "__main__":
        return "move it from the script into a module that can be imported"
    return None


def resolve(path: str) -> Callable[..., Any]:
    """Import the callable behind a dotted path: the longest module in it, then attributes.

    Raises CallableNotFound if there is no such module or attribute, if it cannot be called, or, chained from
    the module's own error, if the module cannot be imported.
    """
    module, names = _import_longest(_checked(path))
    found: Any = module
    for name in names:
        found = _attribute(found, name, path)
        if isinstance(found, ModuleType):
            raise CallableNotFound(f"{path!r}: {name!r} is a module that was imported there: write its own path.")
    if not callable(found):
        raise CallableNotFound(f"{path!r} is a {type(found).__name__}, which cannot be called.")
    return found  # type: ignore[no-any-return]


def _import_longest(path: str) -> tuple[ModuleType, list[str]]:
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            return import_module(name), parts[length:]
        except Exception as error:
            if not _is_missing(name, error):
                cause = f"{type(error).__name__}: {error}"
                raise CallableNotFound(f"{path!r}: importing its module raised {cause}") from error
    if len(parts) == 1:
        raise CallableNotFound(f"{path!r} names no module: write 'package.module.function'.")
    raise UnknownCallable(f"{path!r}: there is no module {parts[0]!r}.")


def _is_missing(name: str, error: Exception) -> bool:
    """Tell whether the module itself or a package above it is missing, not something that it imports."""
    return isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")


def _attribute(owner: Any, name: str, path: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        where = f"module {owner.__name__!r}" if isinstance(owner, ModuleType) else repr(owner)
        raise UnknownCallable(f"{path!r}: {where} has no {name!r}.{_suggestion(owner, name)}") from None


def _suggestion(owner: Any, name: str) -> str:
    close = difflib.get_close_matches(name, dir(owner))
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def check_known(path: str) -> None:
    """Raise UnknownCallable if this process surely does not have the callable. Nothing is imported to find out."""
    # The usual case. Of a module that is not loaded, None, nothing public is found.
    home, _, name = path.rpartition(".")
    if hasattr(sys.modules.get(home), name):
        return
    parts = path.split(".")
    owner, locations, depth = None, None, 0
    for depth in range(1, len(parts)):
        name = ".".join(parts[:depth])
        module = sys.modules.get(name) or _find_spec(name, locations)
        if module is None:
            break
        owner, locations = module, _locations(module)
    else:
        depth += 1
    if owner is None:
        raise UnknownCallable(f"{path!r}: there is no module {parts[0]!r}.")
    if isinstance(owner, ModuleType):
        for attribute in parts[depth - 1 :]:
            owner = _attribute(owner, attribute, path)


def _find_spec(name: str, locations: Any) -> Any:
    """Look for a module as an import would; importlib's own search imports the packages above it."""
    return next((spec for finder in sys.meta_path if (spec := finder.find_spec(name, locations))), None)


def _locations(module: Any) -> Any:
    """Where the modules below a module, or one's spec, are to be looked for; nowhere if it is no package."""
    return getattr(module, "__path__", None) or getattr(module, "submodule_search_locations", None) or []


def find_method(model: type[Model], name: str) -> Callable[..., Any]:
    """Give the class's attribute for a method of a content object.

    Raises CallableNotFound if the model has no such attribute, or one that cannot be called.
    """
    found = getattr(model, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    if found is not None:
        kind = type(found).__name__
        raise CallableNotFound(f"{name!r} of {model._meta.label} is a {kind}, which cannot be called.")
    raise UnknownCallable(f"{model._meta.label} has no method {name!r}.{_suggestion(model, name)}")


def method_path(model: type[Model], name: str) -> str:
    """Give the path by which patterns name a method of a content object: ``shop.models.Order.remind``."""
    return f"{model.__module__}.{model.__qualname__}.{name}"


def check_allowed(path: str) -> None:
    """Raise CallableNotAllowed unless FUTURE_CELERY_ALLOWED_CALLABLES is None or names the path."""
    patterns = settings.ALLOWED_CALLABLES
    if patterns is not None and not any(fnmatchcase(path, pattern) for pattern in patterns):
        raise CallableNotAllowed(f"{path!r} fits no pattern of FUTURE_CELERY_ALLOWED_CALLABLES: add one.")


def check_home(path: str, function: Callable[..., Any]) -> None:
    """Raise CallableNotAllowed for what the patterns name by a module that only imported it, such as ``os.system``.

    A pattern that is the whole path allows it.
    """
    patterns, module = settings.ALLOWED_CALLABLES, getattr(function, "__module__", None)
    if patterns is None or path in patterns or not isinstance(module, str) or path.startswith(f"{module}."):
        return
    home = f"{module}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    if not any(fnmatchcase(home, pattern) for pattern in patterns):
        raise CallableNotAllowed(
            f"{path!r} was only imported there, from {home!r}, which fits no pattern of "
            "FUTURE_CELERY_ALLOWED_CALLABLES: add one of the two paths."
        )


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """Give the signature of a callable, None for one that tells none."""
    try:
        return inspect.signature(function, **_SIGNATURE)
    except (TypeError, ValueError):
        return None


def check_arguments(function: Callable[..., Any], leading: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise InvalidArguments unless the callable takes ``leading`` arguments of ours, then args and kwargs.

    A callable that tells no signature is believed to take all.
    """
    # What fits is settled by the number of arguments and the names: for functions it is found out once.
    binds = _remembered if isinstance(function, FunctionType) else _check_shape
    binds(function, leading, len(args), tuple(kwargs))


def _check_shape(function: Callable[..., Any], leading: int, number: int, names: tuple[str, ...]) -> None:
    signature = signature_of(function)
    if signature is None:
        return
    try:
        signature.bind(*[None] * (leading + number), **dict.fromkeys(names))
    except TypeError as error:
        name = getattr(function, "__qualname__", repr(function))
        ours = f" (the first {leading} from us)" if leading else ""
        raise InvalidArguments(f"{name}{signature} does not take these arguments{ours}: {error}.") from error


_remembered = functools.lru_cache(maxsize=1024)(_check_shape)
