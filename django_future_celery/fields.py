"""The jobs of an object, as a relation of its model."""

from __future__ import annotations

from typing import Any, Literal

from django.contrib.contenttypes.fields import GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import router
from django.db.models import Model, QuerySet
from django.db.models.signals import post_delete


class ScheduledJobs(GenericRelation):
    """Put ``jobs = ScheduledJobs()`` on a model, and ``order.jobs`` are the jobs with that order as content object.

    Args:
        on_delete: what becomes of an object's waiting jobs when it is deleted: ``"fail"`` leaves them to fail when
            they run, since their object is gone; ``"cancel"`` cancels them in the same transaction. No row is
            deleted, and what runs goes on.

    ``order.jobs`` works on any database; as in all generic relations, lookups across it, such as
    ``Order.objects.filter(jobs__status="failed")``, need a model whose key is text on PostgreSQL.
    """

    def __init__(self, *, on_delete: Literal["fail", "cancel"] = "fail", **options: Any) -> None:
        if on_delete not in ("fail", "cancel"):
            raise ValueError(f"on_delete={on_delete!r}: use 'fail' or 'cancel'.")
        self.jobs_on_delete = on_delete
        super().__init__("django_future_celery.ScheduledJob", for_concrete_model=False, **options)

    def contribute_to_class(self, cls: type[Model], name: str, **options: Any) -> None:  # type: ignore[override]
        super().contribute_to_class(cls, name, **options)
        if self.jobs_on_delete == "cancel" and not cls._meta.abstract:
            post_delete.connect(self.cancel_jobs, sender=cls)

    def bulk_related_objects(self, objs: Any, using: str = "default") -> QuerySet[Any]:
        """Give nothing: what a generic relation gives here is deleted with the objects."""
        jobs: QuerySet[Any] = self.remote_field.model._base_manager.db_manager(using).none()
        return jobs

    def cancel_jobs(self, instance: Model, using: str, **options: Any) -> None:
        alias = router.db_for_write(self.remote_field.model, instance=instance)
        types = ContentType.objects.db_manager(alias)
        content_type = types.get_for_model(instance, for_concrete_model=False)
        key = instance._meta.pk.value_to_string(instance)
        jobs: Any = self.remote_field.model._default_manager.using(alias)
        jobs.scheduled().filter(content_type=content_type, object_id=key).cancel()
