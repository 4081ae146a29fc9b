"""The content objects of a list: a query for each of their models, none for each row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import Model

from django_future_celery.models import ScheduledJob


def note_targets(jobs: Iterable[ScheduledJob]) -> None:
    """Write to each job that has a content object what its list may link to, as ``target``: the model and the key."""
    groups: dict[type[Model], list[tuple[ScheduledJob, Any]]] = defaultdict(list)
    for job in jobs:
        job.target = None  # type: ignore[attr-defined]
        model: Any = job.content_type and job.content_type.model_class()
        if model is not None:
            groups[model].append((job, key_in(model, job.object_id)))
    for model, group in groups.items():
        there = keys_there(model, [key for _, key in group if key is not None], group[0][0]._state.db)
        for job, key in group:
            if key in there:
                job.target = (model, key)  # type: ignore[attr-defined]


def key_in(model: type[Model], text: str | None) -> Any:
    try:
        return model._meta.pk.to_python(text)
    except ValidationError:
        return None


def keys_there(model: type[Model], keys: list[Any], using: str | None) -> set[Any]:
    instance = model()
    instance._state.db = using
    alias = router.db_for_write(model, instance=instance)
    return set(model._base_manager.using(alias).filter(pk__in=keys).values_list("pk", flat=True))
