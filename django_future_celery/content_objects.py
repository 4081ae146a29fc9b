"""The content object: kept as content type and key, fetched when the job runs."""

from __future__ import annotations

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import router
from django.db.models import CompositePrimaryKey, Model

from django_future_celery.exceptions import InvalidContentObject, ObjectGone, UnknownModel

MAX_KEY = 255


def key_of(instance: object) -> str:
    """Give the primary key as text.

    Raises:
        InvalidContentObject: a later query could not find the instance by it.
    """
    if not isinstance(instance, Model):
        raise InvalidContentObject(f"{instance!r} is no model instance: pass it among the arguments.")
    field = instance._meta.pk
    if isinstance(field, CompositePrimaryKey):
        raise InvalidContentObject(f"{instance!r} has a composite primary key: pass the key's values as arguments.")
    if instance.pk is None or instance._state.adding:
        raise InvalidContentObject(f"{instance!r} is not saved: save it first.")
    key = str(field.value_to_string(instance))
    if len(key) > MAX_KEY:
        raise InvalidContentObject(f"{instance!r} has a primary key of more than {MAX_KEY} characters.")
    return key


def model_of(content_type_id: int, using: str | None) -> type[Model]:
    """Give the model class of a content type.

    Raises:
        ObjectGone: the content type was deleted.
        UnknownModel: its model is not in the code.
    """
    try:
        content_type = ContentType.objects.db_manager(using).get_for_id(content_type_id)
    except ContentType.DoesNotExist:
        raise ObjectGone(f"The content object's content type, {content_type_id}, no longer exists.") from None
    if (model := content_type.model_class()) is None:
        label = f"{content_type.app_label}.{content_type.model}"
        raise UnknownModel(f"The model of the content object, {label}, is not in the code here.")
    return model


def fetch(model: type[Model], key: str, using: str | None) -> Model:
    """Fetch the instance from the database that the routers name; they are told that it belongs to ``using``.

    Raises:
        ObjectGone: it is no longer there.
    """
    alias = router.db_for_write(model, instance=_in(using, model))
    try:
        instance: Model = model._base_manager.using(alias).get(pk=key)
    except (ObjectDoesNotExist, ValidationError, ValueError) as error:
        raise ObjectGone(f"{model._meta.label} {key} is no longer in the database {alias!r}.") from error
    return instance


def check_database(instance: Model, using: str) -> None:
    """Raise InvalidContentObject for an instance that ``fetch`` would look for in another database than its own."""
    model = instance.__class__  # not type(): request.user is a lazy object around its model
    own = router.db_for_write(model, instance=instance)
    looked_into = router.db_for_write(model, instance=_in(using, model))
    if own != looked_into:
        raise InvalidContentObject(
            f"{instance!r} is in the database {own!r} and would be looked for in {looked_into!r}: "
            f"schedule with using={own!r}, or let a router name its database."
        )


def _in(using: str | None, model: type[Model]) -> Model:
    """Make what routers are asked with: an instance that belongs to a database."""
    instance = model()
    instance._state.db = using
    return instance
