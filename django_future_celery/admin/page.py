"""The page of one job: how far it has come and why no further, its attempts, and what may be done to it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from django_future_celery import serializers
from django_future_celery.admin.actions import JobActions
from django_future_celery.admin.columns import JobColumns
from django_future_celery.admin.layout import lay_out
from django_future_celery.admin.runs import own_words, runs_of
from django_future_celery.admin.texts import as_block
from django_future_celery.admin.timeline import timeline
from django_future_celery.clock import database_now, to_datetime
from django_future_celery.exceptions import FutureCeleryError
from django_future_celery.models import ScheduledJob
from django_future_celery.redaction import redact
from django_future_celery.states import Status

#: The actions that a page offers, by the status of its job; those of jobs that have ended are the last ones.
WHILE_IT_WAITS = {"run_now": _("Run now"), "reschedule": _("Reschedule…"), "cancel": _("Cancel the job")}
WHILE_IT_RUNS = {"cancel": _("Ask it to stop"), "terminate": _("Kill it")}
ONCE_IT_ENDED: dict[str, Any] = {"run_now": _("Run again now"), "reschedule": _("Run again later…")}
BUTTONS: dict[str, dict[str, Any]] = {Status.SCHEDULED: WHILE_IT_WAITS, Status.RUNNING: WHILE_IT_RUNS}

CALL: tuple[Any, ...] = ("state", "callable_name", "arguments", "keyword_arguments")
SLOT: tuple[Any, ...] = (("time_slot_start", "time_slot_end"), ("queue", "priority"), ("tries", "created_at"))
LIMITS: tuple[Any, ...] = (("retry_backoff", "retry_backoff_max"), ("soft_time_limit", "time_limit"))


class JobPage(JobActions, JobColumns):
    change_form_template = "admin/django_future_celery/job.html"

    def get_fieldsets(self, request: HttpRequest, obj: ScheduledJob | None = None) -> Any:
        """Give the sections that have something to say of the job."""
        if obj is None:
            return super().get_fieldsets(request, obj)
        target = ("target_link",) if obj.content_type_id is not None else ()
        origin = ("rescheduled_from_link",) if obj.rescheduled_from is not None else ()
        unique = ("unique_key",) if obj.unique_key is not None else ()
        limited = any(getattr(obj, name) is not None for pair in LIMITS for name in pair)
        sections = (
            (None, (*CALL, *target, *origin), True),
            (_("Result"), ("result",), obj.return_value is not None),
            (_("Error"), ("reason",), own_words(obj)),
            (_("Attempts"), ("runs",), obj.attempts),
            (_("Slot and place"), (*SLOT, *unique), True),
            (_("Limits"), LIMITS, limited),
        )
        return [(title, {"fields": fields}) for title, fields, shown in sections if shown]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **options: Any
    ) -> HttpResponse:
        if obj is not None:
            now = to_datetime(database_now(obj.database))
            buttons = BUTTONS.get(obj.status, ONCE_IT_ENDED) if self.has_change_permission(request) else {}
            context |= {"why": obj.why_not_yet(now), "timeline": timeline(obj, now), "buttons": buttons}
        options["obj"] = obj
        return super().render_change_form(request, context, *args, **options)

    # -- the buttons ------------------------------------------------------------------------------------------------

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> Any:
        if request.method == "POST" and "action" in request.POST:
            return self.act(request, object_id)
        return super().change_view(request, object_id, *args, **options)

    def act(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Do what the list does to selected jobs, to this one."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        job = self.get_object(request, unquote(object_id))
        if job is None:
            raise Http404
        # Whatever the request selects, it is this one.
        chosen = request.POST.copy()
        chosen.setlist(ACTION_CHECKBOX_NAME, [str(job.pk)])
        chosen["select_across"] = "0"
        request.POST = chosen  # type: ignore[assignment]
        return self.response_action(request, self.get_queryset(request)) or HttpResponseRedirect(
            request.get_full_path()
        )

    # -- fields -----------------------------------------------------------------------------------------------------

    @admin.display(description=_("content object"))
    def target_link(self, job: ScheduledJob) -> str:
        name = self.target(job)
        try:
            instance = job.fetch_content_object()
        except FutureCeleryError:
            return format_html("{} <em>{}</em>", name, _("(no longer in the database)"))
        page = instance and self.page_of(type(instance), instance.pk)
        return format_html('<a href="{}">{}</a>', page, name) if page else name

    @admin.display(description=_("rescheduled from"))
    def rescheduled_from_link(self, job: ScheduledJob) -> str:
        name = _("job %(id)s") % {"id": job.rescheduled_from}
        before = ScheduledJob.objects.using(job._state.db).in_bulk([job.rescheduled_from])
        if not before:
            return format_html("{} <em>{}</em>", name, _("(no longer in the database)"))
        return format_html('<a href="{}">{}</a>', self.page_of(ScheduledJob, job.rescheduled_from), name)

    @admin.display(description=_("arguments"))
    def arguments(self, job: ScheduledJob) -> str:
        return as_block(lay_out(redact(serializers.preview(job.args_text), "args", job)))

    @admin.display(description=_("keyword arguments"))
    def keyword_arguments(self, job: ScheduledJob) -> str:
        return as_block(lay_out(redact(serializers.preview(job.kwargs_text), "kwargs", job)))

    @admin.display(description=_("result"))
    def result(self, job: ScheduledJob) -> str:
        return as_block(lay_out(redact(job.return_value or "", "result", job)))

    @admin.display(description=_("reason"))
    def reason(self, job: ScheduledJob) -> str:
        return as_block(redact(own_words(job), "error", job))

    @admin.display(description=_("attempts"))
    def runs(self, job: ScheduledJob) -> str:
        shown = [(run, redact(run.error, "error", job) if run.error else "") for run in reversed(runs_of(job))]
        return render_to_string("admin/django_future_celery/runs.html", {"runs": shown, "job": job})
