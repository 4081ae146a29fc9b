"""What the list may be filtered by. No choice is looked for in the whole table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.lists import BEFORE, STATE, TIMING
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet

#: Choices are looked for among so many jobs, the newest.
LOOKED_AT = 1_000
MOST_CHOICES = 10
LATE = timedelta(minutes=1)
SOON = timedelta(hours=1)

Jobs = ScheduledJobQuerySet


class State(admin.SimpleListFilter):
    """The tab, which the list reads: nothing is to be chosen here."""

    title, parameter_name = _("status"), STATE

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> tuple[()]:
        return ()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


class Before(State):
    """Where the list goes on; the list reads that, too."""

    parameter_name = BEFORE


class Typed(admin.SimpleListFilter):
    parameter_name: str
    """The values of a column in recent use, and a field for any other one; ``*`` at its end stands for anything."""

    template = "admin/django_future_celery/typed_filter.html"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        recent = model_admin.get_queryset(request).order_by("-pk").values_list(self.parameter_name, flat=True)
        common = Counter(value for value in recent[:LOOKED_AT] if value).most_common(MOST_CHOICES)
        return sorted((value, value) for value, _count in common)

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: Any) -> Iterator[Any]:
        self.hidden = [(name, value) for name, value in changelist.params.items() if name != self.parameter_name]
        return super().choices(changelist)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = (self.value() or "").replace("\0", "")
        if not value:
            return queryset
        if value.endswith("*"):
            return queryset.filter(**{f"{self.parameter_name}__startswith": value[:-1]})
        return queryset.filter(**{self.parameter_name: value})


class CallableFilter(Typed):
    title, parameter_name = _("callable"), "callable_name"
    placeholder = "shop.jobs.*"


class QueueFilter(Typed):
    title, parameter_name = _("queue"), "queue"
    placeholder = ""


class Timing(admin.SimpleListFilter):
    # Translators: a filter by how late a job is, or how soon it expires.
    title, parameter_name = _("time"), TIMING

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, Any]]:
        return [("late", _("Late: due for a minute")), ("expiring", _("Expires within an hour"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ScheduledJob]) -> QuerySet[ScheduledJob]:
        now = timezone.now()
        if self.value() == "late":
            return queryset.filter(time_slot_start__lt=now - LATE)
        if self.value() == "expiring":
            return queryset.filter(time_slot_end__range=(now, now + SOON))
        return queryset


class TypesInUse(admin.RelatedFieldListFilter):
    """The content types that jobs have: one index seek for each, whatever the number of rows."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        rows = model_admin.get_queryset(request).filter(content_type__isnull=False)
        types = rows.order_by("content_type_id").values_list("content_type_id", flat=True)
        used, last = [], types.first()
        while last is not None:
            used.append(last)
            last = types.filter(content_type_id__gt=last).first()
        # From the database that has the jobs: elsewhere the types have other numbers.
        named = ContentType.objects.using(rows.db).filter(pk__in=used).order_by("app_label", "model")
        return [(each.pk, str(each)) for each in named]
