"""The attempts of a job: those that failed before, as it keeps them, and the last one, which is on its row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext

from django_future_celery.admin.texts import describe_duration
from django_future_celery.flower import task_page
from django_future_celery.models import ScheduledJob
from django_future_celery.states import Status


@dataclass(frozen=True)
class Run:
    number: int
    #: What became of it; "scheduled" if it was given back, since its code was missing.
    status: str
    start: datetime | None
    end: datetime | None
    worker: str
    task_id: str
    error: str

    @property
    def flower(self) -> str | None:
        return task_page(self.task_id)

    @property
    def outcome(self) -> str:
        # Translators: what became of an attempt: the worker did not have the code of the job.
        return gettext("given back") if self.status == Status.SCHEDULED else str(Status(self.status).label)

    @property
    def took(self) -> str:
        if self.start is None or self.end is None:
            return ""
        return describe_duration(max(self.end - self.start, timedelta()))


def runs_of(job: ScheduledJob) -> list[Run]:
    """Give the attempts, the oldest first."""
    earlier = [
        Run(each.number, Status.FAILED, each.execution_start, each.execution_end, each.worker, each.task_id, each.error)
        for each in job.failed_attempts
    ]
    return [*earlier, last_run(job)] if row_has_run(job) else earlier


def row_has_run(job: ScheduledJob) -> bool:
    """Whether the last attempt is on the row itself, and not among those that failed before."""
    return job.attempts > max((each.number for each in job.failed_attempts), default=0)


def last_run(job: ScheduledJob) -> Run:
    error = "" if job.status == Status.RUNNING else job.error
    start, end = job.execution_start, None if job.status == Status.RUNNING else job.execution_end
    return Run(job.attempts, job.status, start, end, job.worker, job.task_id, error)


def own_words(job: ScheduledJob) -> str:
    """Give what the row says beside what its attempts say."""
    runs = runs_of(job)
    return job.error.removeprefix(runs[-1].error).strip() if runs else job.error
