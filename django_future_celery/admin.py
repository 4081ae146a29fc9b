"""The jobs in Django's admin: to look at, and three actions. A row is only ever changed the way other code may, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.db import connections
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from django_future_celery import serializers
from django_future_celery.durations import end_of, start_of
from django_future_celery.exceptions import FutureCeleryError, InvalidTime, WrongStatus
from django_future_celery.models import FailedAttempt, ScheduledJob
from django_future_celery.redaction import redact
from django_future_celery.states import END_STATES, Status
from django_future_celery.text import storable

#: What is to be said of a job beside its status.
PHASES = {
    "sent": _("sent"),
    "unknown": _("waiting for its code"),
    "stopping": _("asked to stop"),
}

#: Columns that may hold many kilobytes, which no list shows.
LONG_COLUMNS = ("args_text", "kwargs_text", "return_value", "error", "failures")

#: An action tells so many errors one by one, and of the others only the number.
MOST_ERRORS = 10
LONGEST_ERROR = 500


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an action did to a job, and how the number of such jobs is told."""

    level: int
    text: Any


MOVED = Outcome(
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)d job was moved to its new start.", "%(count)d jobs were moved to their new start.", "count"
    ),
)
COPIED = Outcome(
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)d job had ended: a new one like it was scheduled.",
        "%(count)d jobs had ended: new ones like them were scheduled.",
        "count",
    ),
)
CANCELLED = Outcome(
    messages.SUCCESS, ngettext_lazy("%(count)d job was cancelled.", "%(count)d jobs were cancelled.", "count")
)
ASKED = Outcome(
    messages.SUCCESS,
    ngettext_lazy("%(count)d running job was asked to stop.", "%(count)d running jobs were asked to stop.", "count"),
)
TERMINATED = Outcome(
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)d running job is about to be killed.", "%(count)d running jobs are about to be killed.", "count"
    ),
)
ENDED = Outcome(
    messages.WARNING,
    ngettext_lazy("%(count)d job was skipped: it has ended.", "%(count)d jobs were skipped: they have ended.", "count"),
)
NOT_WAITING = Outcome(
    messages.WARNING,
    ngettext_lazy(
        "%(count)d job was skipped: it is running or has ended.",
        "%(count)d jobs were skipped: they are running or have ended.",
        "count",
    ),
)
SLOT_OVER = Outcome(
    messages.WARNING,
    ngettext_lazy(
        "%(count)d job was skipped: its slot is over. Reschedule it instead.",
        "%(count)d jobs were skipped: their slots are over. Reschedule them instead.",
        "count",
    ),
)
REFUSED = Outcome(
    messages.ERROR,
    ngettext_lazy("%(count)d job could not be scheduled.", "%(count)d jobs could not be scheduled.", "count"),
)


class RescheduleForm(forms.Form):
    date = forms.CharField(
        label=_("New start"),
        max_length=100,
        help_text=_("From now, such as 30s, 5m, 2h30m or 1d12h; or a time, such as 2027-01-01T09:00."),
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off", "dir": "ltr"}),
    )

    def clean_date(self) -> datetime:
        try:
            return start_of(self.cleaned_data["date"], now=timezone.now())
        except InvalidTime as error:
            raise forms.ValidationError(str(error)) from error


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


@admin.register(ScheduledJob)
class ScheduledJobAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
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
    actions = ("run_now", "cancel", "terminate", "reschedule")
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

    # -- actions ----------------------------------------------------------------------------------------------------

    @admin.action(description=_("Run now"), permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[ScheduledJob]) -> None:
        now = timezone.now()

        def run(job: ScheduledJob) -> Outcome:
            if job.status in END_STATES:
                return self.copy(request, job, now)
            if job.status == Status.SCHEDULED and job.time_slot_end and job.time_slot_end <= now:
                return SLOT_OVER
            return self.move(request, job, now, job.time_slot_end)

        self.for_each(request, queryset, run)

    @admin.action(description=_("Cancel"), permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[ScheduledJob]) -> None:
        def cancel(job: ScheduledJob) -> Outcome:
            if job.cancel():
                self.log_change(request, job, gettext("Cancelled."))
                return CANCELLED
            return self.asked(request, job, gettext("Asked to stop."), ASKED)

        self.for_each(request, queryset, cancel)

    @admin.action(description=_("Cancel, and kill what runs"), permissions=["change"])
    def terminate(self, request: HttpRequest, queryset: QuerySet[ScheduledJob]) -> None:
        def terminate(job: ScheduledJob) -> Outcome:
            if job.cancel(terminate=True):
                self.log_change(request, job, gettext("Cancelled."))
                return CANCELLED
            return self.asked(request, job, gettext("Terminated."), TERMINATED)

        self.for_each(request, queryset, terminate)

    def asked(self, request: HttpRequest, job: ScheduledJob, entry: str, outcome: Outcome) -> Outcome:
        """Tell of a job that was asked to stop, if it was not over before."""
        if not ScheduledJob.objects.using(job.database).running().filter(pk=job.pk).exists():
            return ENDED
        self.log_change(request, job, entry)
        return outcome

    @admin.action(description=_("Reschedule…"), permissions=["change"])
    def reschedule(self, request: HttpRequest, queryset: QuerySet[ScheduledJob]) -> TemplateResponse | None:
        form = RescheduleForm(request.POST if "date" in request.POST else None)
        if not form.is_valid():
            return self.ask_when(request, queryset, form)
        start: datetime = form.cleaned_data["date"]

        def reschedule(job: ScheduledJob) -> Outcome:
            if job.status in END_STATES:
                return self.copy(request, job, start)
            length = job.time_slot_end and job.time_slot_end - job.time_slot_start
            return self.move(request, job, start, end_of(length, start=start))

        self.for_each(request, queryset, reschedule)
        return None

    def ask_when(
        self, request: HttpRequest, queryset: QuerySet[ScheduledJob], form: RescheduleForm
    ) -> TemplateResponse:
        count = Counter(dict(queryset.order_by().values_list("status").annotate(Count("pk"))))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Reschedule jobs"),
            "opts": self.opts,
            "media": self.media,
            "form": form,
            "waiting": count[Status.SCHEDULED],
            "running": count[Status.RUNNING],
            "ended": sum(count[status] for status in END_STATES),
            "checkbox": ACTION_CHECKBOX_NAME,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/django_future_celery/reschedule.html", context)

    def for_each(
        self, request: HttpRequest, queryset: QuerySet[ScheduledJob], act: Callable[[ScheduledJob], Outcome]
    ) -> None:
        """Act on the jobs one by one, since each may be refused or be lost to a worker, and tell what was done."""
        outcomes: Counter[Outcome] = Counter()
        for job in queryset.defer(None):
            try:
                outcomes[act(job)] += 1
            except WrongStatus:
                outcomes[NOT_WAITING] += 1
            except FutureCeleryError as error:
                outcomes[REFUSED] += 1
                if outcomes[REFUSED] <= MOST_ERRORS:
                    self.tell(request, job, error)
        for outcome, count in outcomes.items():
            self.message_user(request, outcome.text % {"count": count}, outcome.level)

    def tell(self, request: HttpRequest, job: ScheduledJob, error: FutureCeleryError) -> None:
        reason = {"id": job.pk, "error": storable(redact(str(error), "error", job), LONGEST_ERROR)}
        self.message_user(request, gettext("Job %(id)s: %(error)s") % reason, messages.ERROR)

    def move(self, request: HttpRequest, job: ScheduledJob, start: datetime, end: datetime | None) -> Outcome:
        """Give a waiting job another slot; raises WrongStatus if it waits no more."""
        job.time_slot_start, job.time_slot_end = start, end
        job.save()
        new_start = timezone.template_localtime(start).isoformat(" ", "seconds")  # type: ignore[attr-defined]
        self.log_change(request, job, gettext("Moved to %(start)s.") % {"start": new_start})
        return MOVED

    def copy(self, request: HttpRequest, job: ScheduledJob, start: datetime) -> Outcome:
        """Schedule a new job like one that has ended: rows are never un-ended."""
        new = job.reschedule(start)
        self.log_change(request, job, gettext("Scheduled again as job %(id)s.") % {"id": new.pk})
        self.log_addition(request, new, gettext("Scheduled again, like job %(id)s.") % {"id": job.pk})
        return COPIED


def describe_duration(took: timedelta) -> str:
    seconds = took.total_seconds()
    if seconds < 60:
        return gettext("%(seconds)s s") % {"seconds": localize(round(seconds, 2))}
    return str(timedelta(seconds=round(seconds)))


def describe_attempt(attempt: FailedAttempt, job: ScheduledJob) -> str:
    title = gettext("Attempt %(number)d, by %(worker)s, from %(start)s to %(end)s") % {
        "number": attempt.number,
        "worker": attempt.worker,
        "start": localize(timezone.template_localtime(attempt.execution_start)),  # type: ignore[attr-defined]
        "end": localize(timezone.template_localtime(attempt.execution_end)),  # type: ignore[attr-defined]
    }
    return format_html(
        '<details class="future-attempt"><summary>{}</summary>{}</details>',
        title,
        as_block(redact(attempt.error, "error", job)),
    )


def as_block(text: str) -> str:
    # Reachable by keyboard, as it scrolls.
    return format_html('<pre class="future-text" dir="ltr" tabindex="0">{}</pre>', text)
