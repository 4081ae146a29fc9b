"""Model instances and enum members: stored by name, and looked up again when they are read."""

from __future__ import annotations

from enum import Enum
from typing import Any

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import connections, router
from django.db.models import CompositePrimaryKey, Model

from django_future_celery.callables import path_of, resolve
from django_future_celery.exceptions import (
    CorruptArguments,
    FutureCeleryError,
    InvalidArguments,
    ObjectGone,
)


def write_model(instance: Model, place: object) -> list[str]:
    """Give label, primary key and database. Raises InvalidArguments for what no query would find."""
    model = instance.__class__  # not type(): request.user is a lazy object around its model
    if trouble := _trouble(instance, model):
        raise InvalidArguments(f"{place} is a {model._meta.label} {trouble}.")
    key: str = model._meta.pk.value_to_string(instance)
    return [model._meta.label_lower, key, router.db_for_write(model, instance=instance)]


def _trouble(instance: Model, model: type[Model]) -> str | None:
    if instance.pk is None or instance._state.adding:
        return "that is not saved: save it first"
    if isinstance(model._meta.pk, CompositePrimaryKey):
        return "with a composite primary key: pass the key's values"
    if not _is_installed(model):
        return "of a model that is not installed: pass an instance of the installed one"
    return None


def _is_installed(model: type[Model]) -> bool:
    try:
        return apps.get_model(model._meta.label) is model
    except LookupError:
        return False


def read_model(data: Any, place: object) -> Model:
    """Fetch the instance. Raises ObjectGone if it is gone, CorruptArguments if its model is."""
    try:
        label, text, alias = data
        model = apps.get_model(label)
        key = model._meta.pk.to_python(text)
    except (LookupError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise CorruptArguments(f"{place} refers to no model instance: {error}") from error
    database = alias if alias in connections else router.db_for_write(model)
    try:
        instance: Model = model._base_manager.using(database).get(pk=key)
        return instance
    except ObjectDoesNotExist:
        raise ObjectGone(f"{place}: {model._meta.label} {text} is gone from database {database!r}.") from None


def write_enum(member: Enum) -> list[str] | None:
    """Give class and name, None if they do not lead back to the member (composite flags, local classes)."""
    kind = type(member)
    try:
        path = path_of(kind)
    except FutureCeleryError:
        return None
    return [path, member.name] if kind.__members__.get(member.name) is member else None


def read_enum(data: Any, place: object) -> Enum:
    """Look the member up. Raises CorruptArguments if class or member is gone."""
    try:
        path, name = data
        kind = resolve(path)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind[name]
    except (FutureCeleryError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise CorruptArguments(f"{place} refers to no enum member: {error}") from error
    raise CorruptArguments(f"{place} refers to no enum: {path!r}.")
