"""What may be done to the jobs of a list. A row is only ever changed the way other code may, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.forms import RescheduleForm
from django_future_celery.admin.outcomes import (
    ASKED,
    CANCELLED,
    COPIED,
    ENDED,
    MOVED,
    NOT_WAITING,
    REFUSED,
    SLOT_OVER,
    TERMINATED,
    Outcome,
)
from django_future_celery.durations import end_of
from django_future_celery.exceptions import FutureCeleryError, WrongStatus
from django_future_celery.models import ScheduledJob
from django_future_celery.redaction import redact
from django_future_celery.states import END_STATES, Status
from django_future_celery.text import storable

#: An action tells so many errors one by one, and of the others only the number.
MOST_ERRORS = 10
LONGEST_ERROR = 500


class JobActions(admin.ModelAdmin):  # type: ignore[type-arg]
    actions = ("run_now", "cancel", "terminate", "reschedule")

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
