"""The list of jobs: what it reads, and what it may be filtered by."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import connections
from django.db.models import QuerySet
from django.http import HttpRequest

from django_future_celery.models import ScheduledJob

#: Columns that may hold many kilobytes, which no list shows.
LONG_COLUMNS = ("args_text", "kwargs_text", "return_value", "error", "failures")


class JobList(ChangeList):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not connections[self.root_queryset.db].features.has_zoneinfo_database:
            # A MySQL without its time zone tables would answer with an error.
            self.date_hierarchy = None

    def get_queryset(self, *args: Any, **options: Any) -> QuerySet[ScheduledJob]:
        return super().get_queryset(*args, **options).defer(*LONG_COLUMNS)


class TypesInUse(admin.RelatedFieldListFilter):
    """The content types that jobs have: one index seek for each, whatever the number of rows."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        rows = model_admin.get_queryset(request).filter(content_type__isnull=False)
        types = rows.order_by("content_type_id").values_list("content_type_id", flat=True)
        used, last = [], types.first()
        while last is not None:
            used.append(last)
            last = types.filter(content_type_id__gt=last).first()
        return field.get_choices(include_blank=False, limit_choices_to={"pk__in": used})
