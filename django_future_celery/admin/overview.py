"""The overview of the jobs: what is due, what ran and will run, how long it takes and what fails."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.messages import WARNING
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.agenda import agenda
from django_future_celery.admin.failures import GROUPS, failures
from django_future_celery.admin.operations import Retry
from django_future_celery.admin.pictures import pictures
from django_future_celery.admin.processes import last_tick, processes
from django_future_celery.admin.samples import MOST, Samples
from django_future_celery.admin.selection import filters_of, is_kept, selection
from django_future_celery.admin.tiles import due_by, tiles
from django_future_celery.admin.timings import timings
from django_future_celery.clock import database_now, to_datetime

TEMPLATES = "admin/django_future_celery/overview"


class JobOverview(admin.ModelAdmin):  # type: ignore[type-arg]
    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("overview/", view(self.overview), name=self.name_of("overview")),
            path("overview/retry/<int:pk>/", view(self.confirm_retry), name=self.name_of("retry")),
            *super().get_urls(),
        ]

    def name_of(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def address_of(self, page: str, *args: Any) -> str:
        return reverse(f"{self.admin_site.name}:{self.name_of(page)}", args=args)

    # -- looking ------------------------------------------------------------------------------------------------------

    def overview(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            changelist = selection(self, request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self.address_of("overview"))
        return self.render_overview(
            request,
            "page.html",
            _("Overview"),
            cl=changelist,
            filters=[spec for spec in changelist.filter_specs if is_kept(spec)],
            may_retry=self.has_change_permission(request),
            **self.panels(request, Samples(changelist.queryset)),
        )

    def render_overview(self, request: HttpRequest, name: str, title: Any, **context: Any) -> HttpResponse:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "media": self.media,
            "list_link": self.list_link(request),
            "overview_link": self.overview_link(request),
            **context,
        }
        return TemplateResponse(request, f"{TEMPLATES}/{name}", context)

    def panels(self, request: HttpRequest, samples: Samples) -> dict[str, Any]:
        now = to_datetime(database_now(samples.jobs.db))
        due = due_by(samples, now)
        hours = agenda(samples, now, due)
        seen = processes(samples.jobs.db, now)
        return {
            "now": now,
            "tiles": [
                *((tile, self.list_link(request, tile.query)) for tile in tiles(samples, now, due)),
                (last_tick(seen), "#future-processes"),
            ],
            "processes": seen,
            "agenda": hours,
            "pictures": pictures(hours),
            "most": MOST,
            "timings": [
                (timing, self.list_link(request, {"callable_name": timing.callable_name}))
                for timing in timings(samples)
            ],
            "failures": [
                (group, self.address_of("change", group.jobs[0]), self.retry_link(request, group.jobs[0]))
                for group in failures(samples)[:GROUPS]
            ],
        }

    def overview_link(self, request: HttpRequest) -> str:
        return f"{self.address_of('overview')}?{filters_of(request).urlencode()}"

    def retry_link(self, request: HttpRequest, pk: int) -> str:
        return f"{self.address_of('retry', pk)}?{filters_of(request).urlencode()}"

    def list_link(self, request: HttpRequest, query: dict[str, str] | None = None) -> str:
        """The list of jobs, with the filters of this page and others."""
        parameters = filters_of(request)
        for name, value in (query or {}).items():
            parameters[name] = value
        return f"{self.address_of('changelist')}?{parameters.urlencode()}"

    # -- acting -------------------------------------------------------------------------------------------------------

    def confirm_retry(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask whether all that failed the same way as job ``pk`` is to be retried, by the action of the list."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        try:
            found = failures(Samples(selection(self, request).queryset))
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self.address_of("overview"))
        group = next((group for group in found if pk in group.jobs), None)
        if group is None:
            self.message_user(request, gettext("Job %(id)s is none of the latest failures.") % {"id": pk}, WARNING)
            return HttpResponseRedirect(self.overview_link(request))
        return self.render_overview(
            request,
            "retry.html",
            _("Retry failed jobs"),
            group=group,
            action=Retry.name,
            checkbox=ACTION_CHECKBOX_NAME,
            selected=group.jobs,
            select_across="0",
        )
