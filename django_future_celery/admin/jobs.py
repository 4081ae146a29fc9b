"""The jobs in Django's admin: the list, and the page of a job."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from django_future_celery import serializers
from django_future_celery.admin.actions import JobActions
from django_future_celery.admin.add import AddJob
from django_future_celery.admin.columns import JobColumns
from django_future_celery.admin.filters import Before, CallableFilter, QueueFilter, State, Timing, TypesInUse
from django_future_celery.admin.lists import JobList
from django_future_celery.admin.overview import JobOverview
from django_future_celery.admin.search import ENCODED, PLAIN, search
from django_future_celery.admin.texts import as_block, describe_attempt
from django_future_celery.exceptions import FutureCeleryError
from django_future_celery.models import ScheduledJob
from django_future_celery.redaction import redact


@admin.register(ScheduledJob)
class ScheduledJobAdmin(AddJob, JobActions, JobOverview, JobColumns):
    # The most telling first: a narrow screen shows the first ones.
    list_display = (
        "id",
        "callable_name",
        "state",
        "when",
        "tries",
        "duration",
        "linked_target",
        "queue",
        "priority",
    )
    list_display_links = ("id", "callable_name")
    list_filter = (State, Before, CallableFilter, QueueFilter, Timing, ("content_type", TypesInUse))
    list_per_page = 50
    ordering = ("-id",)
    # Any other order would sort the table.
    sortable_by = ()
    search_fields = (*PLAIN, *ENCODED)
    search_help_text = _(
        "Searches callable, arguments, result, error, object, key, worker and task; or a job's number."
    )
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

    def has_change_permission(self, request: HttpRequest, obj: ScheduledJob | None = None) -> bool:
        """Let the permission open the actions, but never the form of a job."""
        return obj is None and super().has_change_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduledJob]:
        # Joined, a content type that was deleted is None instead of an error.
        return super().get_queryset(request).select_related("content_type")

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return JobList

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        return search(queryset, search_term), False

    # -- columns ----------------------------------------------------------------------------------------------------

    @admin.display(description=_("content object"))
    def target_link(self, job: ScheduledJob) -> str:
        name = self.target(job)
        try:
            instance = job.fetch_content_object()
        except FutureCeleryError:
            return format_html("{} <em>{}</em>", name, _("(no longer in the database)"))
        page = instance and self.page_of(type(instance), instance.pk)
        return format_html('<a href="{}">{}</a>', page, name) if page else name

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
