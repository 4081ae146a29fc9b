"""The jobs of an object, on its own page in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.admin import GenericTabularInline
from django.contrib.contenttypes.forms import BaseGenericInlineFormSet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.columns import JobColumns
from django_future_celery.admin.lists import LONG_COLUMNS
from django_future_celery.models import ScheduledJob


class LatestJobs(BaseGenericInlineFormSet):  # type: ignore[type-arg]
    latest = 10

    def get_queryset(self) -> Any:
        if not hasattr(self, "_latest"):
            self._latest = list(super().get_queryset().order_by("-pk")[: self.latest])
        return self._latest


class ScheduledJobInline(JobColumns, GenericTabularInline):
    """Shows the latest jobs with the object as content object: put it into ``inlines`` of the model's admin."""

    model = ScheduledJob
    verbose_name_plural = _("latest scheduled jobs")
    fields = readonly_fields = ("state", "when", "tries", "duration", "queue")
    formset: Any = LatestJobs
    show_change_link = True
    can_delete = False
    extra = 0
    #: So many jobs, the newest first.
    latest = 10

    class Media:
        css = {"all": ["django_future_celery/admin.css"]}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer(*LONG_COLUMNS)

    def get_formset(self, request: HttpRequest, obj: Any = None, **options: Any) -> Any:
        options["for_concrete_model"] = False
        options["formset"] = type(self.formset.__name__, (self.formset,), {"latest": self.latest})
        return super().get_formset(request, obj, **options)
