"""The columns of a list of jobs, for the list and for the page of an object."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.texts import describe_duration, describe_when
from django_future_celery.clock import to_datetime
from django_future_celery.models import ScheduledJob
from django_future_celery.states import Status

#: What is to be said of a job beside its status.
PHASES = {
    "sent": _("sent"),
    "unknown": _("waiting for its code"),
    "stopping": _("asked to stop"),
}


class JobColumns:
    admin_site: admin.AdminSite

    def get_empty_value_display(self) -> Any:
        return super().get_empty_value_display()  # type: ignore[misc]

    @admin.display(description=_("status"))
    def state(self, job: ScheduledJob) -> str:
        name, label = (job.phase, PHASES[job.phase]) if job.phase else (job.status, job.get_status_display())
        return format_html('<span class="future-badge future-{}">{}</span>', name, label)

    @admin.display(description=_("when"))
    def when(self, job: ScheduledJob) -> str:
        """Tell how far away the instant is that matters in the job's status; the exact one is the tooltip."""
        instant, now = instant_of(job), timezone.now()
        local = timezone.template_localtime(instant)  # type: ignore[attr-defined]
        late = job.status == Status.SCHEDULED and not job.phase and instant < now - timedelta(minutes=1)
        return format_html(
            '<time class="{}" datetime="{}" title="{}"><bdi>{}</bdi></time>',
            "future-when future-late" if late else "future-when",
            local.isoformat(timespec="seconds"),
            localize(local),
            describe_when(instant, now),
        )

    @admin.display(description=_("attempts"))
    def tries(self, job: ScheduledJob) -> str:
        return format_html('<bdi dir="ltr" class="future-tries">{} / {}</bdi>', job.attempts, job.max_attempts)

    @admin.display(description=_("duration"))
    def duration(self, job: ScheduledJob) -> str:
        """Give the time that the last run took, or takes so far."""
        if job.execution_start is None:
            return str(self.get_empty_value_display())
        took = (job.execution_end or timezone.now()) - job.execution_start
        # Started by the database's clock, which may be ahead of ours.
        return format_html("<bdi>{}</bdi>", describe_duration(max(took, timedelta())))

    @admin.display(description=_("content object"))
    def target(self, job: ScheduledJob) -> str:
        """Name the content object by its type and key: to fetch one for each row would be slow."""
        if job.content_type_id is None:
            return str(self.get_empty_value_display())
        return f"{job.content_type.name if job.content_type else '?'} {job.object_id}"

    @admin.display(description=_("content object"))
    def linked_target(self, job: ScheduledJob) -> str:
        """Link the content object, as note_targets() found it."""
        name, found = self.target(job), getattr(job, "target", None)
        if job.content_type_id is None:
            return name
        if found is None:
            return format_html('<span class="future-gone" title="{}">{}</span>', _("no longer in the database"), name)
        page = self.page_of(*found)
        return format_html('<a href="{}">{}</a>', page, name) if page else name

    def page_of(self, model: type[Model], key: Any) -> str | None:
        """Give the address of an object's admin page, if it has one."""
        page = f"{self.admin_site.name}:{model._meta.app_label}_{model._meta.model_name}_change"
        try:
            return reverse(page, args=[quote(key)])
        except NoReverseMatch:
            return None


def instant_of(job: ScheduledJob) -> datetime:
    if job.status == Status.SCHEDULED:
        waits_again = job.attempts and not job.phase and job.wake_at is not None
        return to_datetime(job.wake_at) if waits_again else job.time_slot_start
    if job.status == Status.RUNNING:
        return job.execution_start or job.time_slot_start
    if job.execution_end is not None:
        return job.execution_end
    if job.status == Status.EXPIRED and job.time_slot_end is not None:
        return job.time_slot_end
    return job.cancel_requested_at or job.time_slot_start
