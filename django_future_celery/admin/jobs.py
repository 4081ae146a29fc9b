"""The jobs in Django's admin: the list, and the page of a job."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.add import AddJob
from django_future_celery.admin.filters import Before, CallableFilter, QueueFilter, State, Timing, TypesInUse
from django_future_celery.admin.lists import JobList
from django_future_celery.admin.overview import JobOverview
from django_future_celery.admin.page import JobPage
from django_future_celery.admin.search import ENCODED, PLAIN, search
from django_future_celery.models import ScheduledJob


@admin.register(ScheduledJob)
class ScheduledJobAdmin(AddJob, JobOverview, JobPage):
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
