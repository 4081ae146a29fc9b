"""What may be done to jobs of a list, a chunk at a time. A row is only ever changed the way other code may, too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin import outcomes
from django_future_celery.admin.forms import PriorityForm, RescheduleForm
from django_future_celery.admin.outcomes import Outcome
from django_future_celery.admin.texts import in_words
from django_future_celery.durations import end_of
from django_future_celery.exceptions import FutureCeleryError, WrongStatus
from django_future_celery.models import ScheduledJob
from django_future_celery.redaction import redact
from django_future_celery.states import END_STATES, Status
from django_future_celery.text import storable

LONGEST_ERROR = 500


class Operation(ABC):
    """One of the actions, in the hands of one user."""

    #: The name of the action.
    name: ClassVar[str]
    title: ClassVar[Any]
    #: What it does, for the page that asks.
    effects: ClassVar[tuple[Any, ...]]
    form: ClassVar[type[forms.Form]] = forms.Form
    #: Whether it asks before it touches even the few jobs that somebody selected.
    asks: ClassVar[bool] = True
    destroys: ClassVar[bool] = False

    def __init__(self, user_id: Any, options: dict[str, Any]) -> None:
        self.user_id, self.options = user_id, options
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []

    @abstractmethod
    def apply(self, rows: QuerySet[ScheduledJob]) -> None:
        """Act on the jobs, and count what became of them."""

    def count(self, outcome: Outcome, number: int = 1) -> None:
        self.counts[outcome.name] += number

    def describe(self, job: ScheduledJob, error: FutureCeleryError) -> str:
        shown = storable(redact(in_words(error), "error", job), LONGEST_ERROR)
        return gettext("Job %(id)s: %(error)s") % {"id": job.pk, "error": shown}

    def log(self, jobs: Iterable[ScheduledJob], message: str, flag: int = CHANGE) -> None:
        LogEntry.objects.log_actions(self.user_id, list(jobs), flag, message)


class OneByOne(Operation):
    """Acts on the jobs one by one, since each may be refused or be lost to a worker."""

    def apply(self, rows: QuerySet[ScheduledJob]) -> None:
        for job in rows.defer(None).order_by("pk"):
            try:
                self.count(self.act(job))
            except WrongStatus:
                self.count(outcomes.NOT_WAITING)
            except FutureCeleryError as error:
                self.count(outcomes.REFUSED)
                self.errors.append(self.describe(job, error))

    @abstractmethod
    def act(self, job: ScheduledJob) -> Outcome: ...

    def move(self, job: ScheduledJob, start: datetime, end: datetime | None) -> Outcome:
        """Give a waiting job another slot; raises WrongStatus if it waits no more."""
        job.time_slot_start, job.time_slot_end = start, end
        job.save()
        new_start = timezone.template_localtime(start).isoformat(" ", "seconds")  # type: ignore[attr-defined]
        self.log([job], gettext("Moved to %(start)s.") % {"start": new_start})
        return outcomes.MOVED

    def copy(self, job: ScheduledJob, start: datetime) -> Outcome:
        """Schedule a new job like one that has ended: rows are never un-ended."""
        new = job.reschedule(start)
        self.log([job], gettext("Scheduled again as job %(id)s.") % {"id": new.pk})
        self.log([new], gettext("Scheduled again, like job %(id)s.") % {"id": job.pk}, ADDITION)
        return outcomes.COPIED


class RunNow(OneByOne):
    name = "run_now"
    title = _("Run jobs now")
    effects = (
        _("Waiting jobs become due now; those whose slot is over are skipped."),
        _("Of jobs that have ended a new one is scheduled, due now."),
        _("Running jobs are skipped."),
    )
    asks = False

    def act(self, job: ScheduledJob) -> Outcome:
        now = timezone.now()
        if job.status in END_STATES:
            return self.copy(job, now)
        if job.status == Status.SCHEDULED and job.time_slot_end and job.time_slot_end <= now:
            return outcomes.SLOT_OVER
        return self.move(job, now, job.time_slot_end)


class Retry(OneByOne):
    name = "retry"
    title = _("Retry jobs")
    effects = (_("Of jobs that have ended a new one is scheduled, due now."), _("All other jobs are skipped."))
    asks = False

    def act(self, job: ScheduledJob) -> Outcome:
        return self.copy(job, timezone.now()) if job.status in END_STATES else outcomes.NOT_ENDED


class Reschedule(OneByOne):
    name = "reschedule"
    title = _("Reschedule jobs")
    effects = (
        _("Waiting jobs are moved, and their slots keep their length."),
        _("Of jobs that have ended a new one is scheduled."),
        _("Running jobs are skipped."),
    )
    form = RescheduleForm

    def act(self, job: ScheduledJob) -> Outcome:
        start = datetime.fromisoformat(self.options["date"])
        if job.status in END_STATES:
            return self.copy(job, start)
        length = job.time_slot_end and job.time_slot_end - job.time_slot_start
        return self.move(job, start, end_of(length, start=start))


class ChangePriority(OneByOne):
    name = "change_priority"
    title = _("Change the priority of jobs")
    effects = (_("Waiting jobs get the priority, the higher ones run first."), _("All other jobs are skipped."))
    form = PriorityForm

    def act(self, job: ScheduledJob) -> Outcome:
        job.priority = self.options["priority"]
        job.save()
        self.log([job], gettext("Priority changed to %(priority)s.") % {"priority": job.priority})
        return outcomes.CHANGED


class Cancel(Operation):
    name = "cancel"
    title = _("Cancel jobs")
    effects = (
        _("Waiting jobs are cancelled."),
        _("Running jobs are asked to stop; they may take their time, or complete all the same."),
        _("Jobs that have ended are skipped."),
    )
    asks = False
    entry = _("Asked to stop.")
    outcome = outcomes.ASKED
    terminate = False

    def apply(self, rows: QuerySet[ScheduledJob]) -> None:
        """Cancel the chunk by one statement, and look at what became of it."""
        alive = list(rows.exclude(status__in=END_STATES).order_by("pk").only("callable_name", "status"))
        chunk = ScheduledJob.objects.using(rows.db).filter(pk__in=[job.pk for job in alive])
        skipped = rows.count() - len(alive)
        chunk.cancel(terminate=self.terminate)
        became = dict(chunk.values_list("pk", "status"))
        cancelled = [job for job in alive if became.get(job.pk) == Status.CANCELLED]
        asked = [job for job in alive if became.get(job.pk) == Status.RUNNING]
        self.log(cancelled, gettext("Cancelled."))
        self.log(asked, str(self.entry))
        self.count(outcomes.CANCELLED, len(cancelled))
        self.count(self.outcome, len(asked))
        self.count(outcomes.ENDED, skipped + len(alive) - len(cancelled) - len(asked))


class Terminate(Cancel):
    name = "terminate"
    title = _("Cancel jobs, and kill what runs")
    effects = (
        _("Waiting jobs are cancelled."),
        _("The processes of running jobs are killed, if the worker's pool is prefork; what they wrote is rolled back."),
        _("Jobs that have ended are skipped."),
    )
    asks = True
    destroys = True
    entry = _("Terminated.")
    outcome = outcomes.TERMINATED
    terminate = True


class Delete(Operation):
    name = "delete_selected"
    title = _("Delete jobs")
    effects = (
        _("The rows are deleted, with results and errors. A waiting job that is deleted never runs."),
        _("Running jobs are skipped."),
    )
    destroys = True

    def apply(self, rows: QuerySet[ScheduledJob]) -> None:
        """Delete the chunk by one statement, which spares what a worker has started."""
        found = rows.count()
        idle = list(rows.exclude(status=Status.RUNNING).only("callable_name", "status"))
        chunk = ScheduledJob.objects.using(rows.db).filter(pk__in=[job.pk for job in idle])
        chunk.exclude(status=Status.RUNNING).delete()
        left = set(chunk.values_list("pk", flat=True))
        gone = [job for job in idle if job.pk not in left]
        self.log(gone, "", DELETION)
        self.count(outcomes.DELETED, len(gone))
        self.count(outcomes.RUNNING, found - len(gone))
