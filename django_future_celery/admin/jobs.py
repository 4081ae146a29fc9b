"""The jobs in Django's admin: the list, and the page of a job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from django_future_celery import serializers
from django_future_celery.admin.lists import JobList, TypesInUse
from django_future_celery.admin.overview import JobOverview
from django_future_celery.admin.texts import as_block, describe_attempt, describe_duration
from django_future_celery.exceptions import FutureCeleryError
from django_future_celery.models import ScheduledJob
from django_future_celery.redaction import redact

#: What is to be said of a job beside its status.
PHASES = {
    "sent": _("sent"),
    "unknown": _("waiting for its code"),
    "stopping": _("asked to stop"),
}


@admin.register(ScheduledJob)
class ScheduledJobAdmin(JobOverview):
    # The most telling first: a narrow screen shows the first ones.
    list_display = (
        "id",
        "callable_name",
        "state",
        "time_slot_start",
        "tries",
        "duration",
        "target",
        "queue",
        "priority",
        "time_slot_end",
    )
    list_display_links = ("id", "callable_name")
    list_filter = ("status", ("content_type", TypesInUse))
    list_per_page = 50
    date_hierarchy = "time_slot_start"
    ordering = ("-id",)
    search_fields = ("callable_name", "object_id", "unique_key", "error")
    search_help_text = _("Searches callable, object id, unique key and error.")
    # Numbers of rows that nobody asked for: each would be a scan of the table.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "callable_name",
                    "arguments",
                    "keyword_arguments",
                    "target_link",
                    "queue",
                    "priority",
                    "unique_key",
                    "created_at",
                )
            },
        ),
        (_("Slot"), {"fields": ("time_slot_start", "time_slot_end")}),
        (_("Limits"), {"fields": (("retry_backoff", "retry_backoff_max"), ("soft_time_limit", "time_limit"))}),
        (
            _("Run"),
            {
                "fields": (
                    "state",
                    "tries",
                    "worker",
                    "task_id",
                    "dispatched_at",
                    "unknown_since",
                    "execution_start",
                    "execution_end",
                    "duration",
                    "cancel_requested_at",
                )
            },
        ),
        (_("Result"), {"fields": ("result",)}),
        (_("Error"), {"fields": ("traceback",)}),
        (_("Earlier attempts"), {"fields": ("earlier_attempts",)}),
    )

    class Media:
        css = {"all": ["django_future_celery/admin.css"]}

    # -- access -----------------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ScheduledJob | None = None) -> bool:
        """Let the permission open the actions, but never the form of a job."""
        return obj is None and super().has_change_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduledJob]:
        # Joined, a content type that was deleted is None instead of an error.
        return super().get_queryset(request).select_related("content_type")

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return JobList

    # -- columns ----------------------------------------------------------------------------------------------------

    @admin.display(description=_("status"), ordering="status")
    def state(self, job: ScheduledJob) -> str:
        name, label = (job.phase, PHASES[job.phase]) if job.phase else (job.status, job.get_status_display())
        return format_html('<span class="future-badge future-{}">{}</span>', name, label)

    @admin.display(description=_("attempts"), ordering="attempts")
    def tries(self, job: ScheduledJob) -> str:
        return format_html('<bdi dir="ltr" class="future-tries">{} / {}</bdi>', job.attempts, job.max_attempts)

    @admin.display(description=_("duration"))
    def duration(self, job: ScheduledJob) -> str:
        """Give the time that the last run took, or takes so far."""
        if job.execution_start is None:
            return self.get_empty_value_display()
        took = (job.execution_end or timezone.now()) - job.execution_start
        # Started by the database's clock, which may be ahead of ours.
        return format_html("<bdi>{}</bdi>", describe_duration(max(took, timedelta())))

    @admin.display(description=_("content object"))
    def target(self, job: ScheduledJob) -> str:
        """Name the content object by its type and key: to fetch one for each row would be slow."""
        if job.content_type_id is None:
            return self.get_empty_value_display()
        return f"{job.content_type.name if job.content_type else '?'} {job.object_id}"

    @admin.display(description=_("content object"))
    def target_link(self, job: ScheduledJob) -> str:
        name = self.target(job)
        try:
            instance = job.fetch_content_object()
        except FutureCeleryError:
            return format_html("{} <em>{}</em>", name, _("(no longer in the database)"))
        page = instance and self.page_of(instance)
        return format_html('<a href="{}">{}</a>', page, name) if page else name

    def page_of(self, instance: Model) -> str | None:
        """Give the address of an object's admin page, if it has one."""
        page = f"{self.admin_site.name}:{instance._meta.app_label}_{instance._meta.model_name}_change"
        try:
            return reverse(page, args=[quote(instance.pk)])
        except NoReverseMatch:
            return None

    @admin.display(description=_("arguments"))
    def arguments(self, job: ScheduledJob) -> str:
        return as_block(redact(serializers.preview(job.args_text), "args", job))

    @admin.display(description=_("keyword arguments"))
    def keyword_arguments(self, job: ScheduledJob) -> str:
        return as_block(redact(serializers.preview(job.kwargs_text), "kwargs", job))

    @admin.display(description=_("result"))
    def result(self, job: ScheduledJob) -> str:
        if job.return_value is None:
            return self.get_empty_value_display()
        return as_block(redact(job.return_value, "result", job))

    @admin.display(description=_("traceback"))
    def traceback(self, job: ScheduledJob) -> str:
        return as_block(redact(job.error, "error", job)) if job.error else self.get_empty_value_display()

    @admin.display(description=_("earlier attempts"))
    def earlier_attempts(self, job: ScheduledJob) -> str:
        shown = format_html_join("", "{}", ((describe_attempt(each, job),) for each in job.failed_attempts))
        return shown or self.get_empty_value_display()
