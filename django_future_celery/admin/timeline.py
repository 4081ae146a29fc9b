"""What happened to a job, and what is to come, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from django.utils.text import capfirst
from django.utils.translation import gettext

from django_future_celery.admin.runs import row_has_run, runs_of
from django_future_celery.admin.texts import describe_duration
from django_future_celery.clock import to_datetime
from django_future_celery.models import ScheduledJob
from django_future_celery.states import Status


@dataclass(frozen=True)
class Step:
    text: str
    at: datetime
    #: A status, for its colour.
    kind: str = ""
    detail: str = ""
    #: The time since the step before; of what is to come: from now.
    after: str = ""
    ahead: bool = False


def timeline(job: ScheduledJob, now: datetime) -> list[Step]:
    """Give the steps of a job, the oldest first."""
    steps = [*_beginning(job), *_runs(job), *_between(job), *_end(job), *_ahead(job, now)]
    steps.sort(key=lambda step: step.at)
    # What has a kind has happened, whatever another clock says.
    past = [step for step in steps if step.kind or step.at <= now]
    ahead = [step for step in steps if not step.kind and step.at > now]
    return [*_with_pauses(past), *(replace(step, ahead=True, after=_pause(now, step.at)) for step in ahead)]


def _beginning(job: ScheduledJob) -> Iterator[Step]:
    # Translators: the job was scheduled.
    yield Step(gettext("Scheduled"), job.created_at, Status.SCHEDULED)
    # Translators: the job became due.
    yield Step(gettext("Due"), job.time_slot_start)


def _runs(job: ScheduledJob) -> Iterator[Step]:
    for run in runs_of(job):
        if run.start is not None:
            attempt = gettext("attempt %(number)d of %(most)d") % {"number": run.number, "most": job.max_attempts}
            yield Step(gettext("Started"), run.start, Status.RUNNING, attempt)
        if run.end is not None:
            yield Step(capfirst(run.outcome), run.end, run.status)


def _between(job: ScheduledJob) -> Iterator[Step]:
    if job.unknown_since is not None:
        yield Step(gettext("Its code was missing"), job.unknown_since, "unknown")
    if job.dispatched_at is not None:
        # Translators: the number of the message that was sent for the job, such as "message 3".
        times = gettext("message %(count)d") % {"count": job.dispatches} if job.dispatches > 1 else ""
        # Translators: the job was sent to the workers.
        yield Step(gettext("Sent"), job.dispatched_at, "sent", times)
    if job.cancel_requested_at is not None and row_has_run(job):
        yield Step(gettext("Asked to stop"), job.cancel_requested_at, "stopping")


def _end(job: ScheduledJob) -> Iterator[Step]:
    """The end of a job that ended while it waited; the end of a run is the run's."""
    if row_has_run(job):
        return
    label = capfirst(job.get_status_display())
    if job.status == Status.CANCELLED and job.cancel_requested_at is not None:
        yield Step(label, job.cancel_requested_at, job.status)
    slot_over = job.status == Status.EXPIRED or (job.status == Status.FAILED and job.attempts)
    if slot_over and job.time_slot_end is not None:
        yield Step(label, job.time_slot_end, job.status)


def _ahead(job: ScheduledJob, now: datetime) -> Iterator[Step]:
    if job.status != Status.SCHEDULED:
        return
    wake = to_datetime(job.wake_at or 0)
    if wake > max(now, job.time_slot_start):
        yield Step(gettext("Sent again") if job.dispatched_at else gettext("Due again"), wake)
    if job.time_slot_end is not None and job.time_slot_end > now:
        # Translators: the slot is the time in which the job may be started.
        yield Step(gettext("Slot ends"), job.time_slot_end)


def _with_pauses(steps: list[Step]) -> list[Step]:
    return [*steps[:1], *(replace(step, after=_pause(before.at, step.at)) for before, step in pairwise(steps))]


def _pause(start: datetime, end: datetime) -> str:
    return describe_duration(end - start)
