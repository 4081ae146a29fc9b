"""Runs whose process died, or was away for longer than its lease. They fail, or are tried again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models import Q

from django_future_celery.attempts import end_attempt
from django_future_celery.clock import SECOND, database_now, to_datetime
from django_future_celery.conf import settings
from django_future_celery.exceptions import JobCancelled
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet
from django_future_celery.redaction import get_logger
from django_future_celery.states import END_STATES, Status
from django_future_celery.watching import ended

logger = get_logger(__name__)

#: Seconds between the tries to take a row that its own run may be writing to.
HELD_FOR_A_MOMENT = (0.05, 0.1, 0.2, 0.4)

ROLLED_BACK = "What it wrote in the job's transaction was rolled back."


@dataclass(frozen=True)
class Recovered:
    failed: int = 0
    again: int = 0


def recover(using: str, now: int) -> Recovered:
    """End the runs whose lease is over by ``now``; those with attempts left will be started again."""
    objects: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    with transaction.atomic(using=using):
        jobs = objects.lost(now).locked()[: settings.CLAIM_SIZE]
        ends = bury(objects.woken(now), jobs, now, epitaph)
    return Recovered(failed=ends.total() - ends[Status.SCHEDULED], again=ends[Status.SCHEDULED])


def record_death(using: str, task_id: str, reason: str, *, terminated: bool = False) -> int:
    """End the runs of a Celery message whose process is dead, before their leases are over; give their number.

    Args:
        reason: what killed the process.
        terminated: somebody wanted that, so they are cancelled, whatever attempts are left.
    """
    objects: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    now = database_now(using)

    def say(job: ScheduledJob) -> str:
        return f"{reason} {job.worker} had started this at {job.execution_start}. {ROLLED_BACK}"

    with transaction.atomic(using=using):
        jobs = objects.runs_of_message(task_id).locked()
        return bury(objects, jobs, now, say, JobCancelled() if terminated else None).total()


def cancel_message(using: str, task_id: str, pk: int, attempts: int) -> int:
    """Cancel the job of a Celery message that somebody revoked, unless another message has started it.

    A row that somebody holds for long is left as it is: a worker's main process must not wait for it.
    """
    objects: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    waits, started = Q(status=Status.SCHEDULED, attempts=attempts), Q(task_id=task_id, attempts=attempts + 1)
    row = objects.filter(waits | started, pk=pk, cancel_requested_at=None).exclude(status__in=END_STATES)
    for pause in HELD_FOR_A_MOMENT:
        with transaction.atomic(using=using):
            cancelled = objects.filter(pk__in=[job.pk for job in row.only("pk").locked()]).cancel()
        if cancelled or not row.exists():
            return cancelled
        time.sleep(pause)  # The process that is about to die records that just now.
    return 0


def bury(
    rows: ScheduledJobQuerySet,
    jobs: Iterable[ScheduledJob],
    now: int,
    describe: Callable[[ScheduledJob], str],
    error: BaseException | None = None,
) -> Counter[str]:
    """End the runs, and tell it in the log; give the statuses that they have now."""
    ends: Counter[str] = Counter()
    for job in jobs:
        text = describe(job)
        if end_attempt(rows, job, text, now, error):
            logger.error("Job %s, %s: %s", job.pk, job.callable_name, text, extra={"job": job})
            transaction.on_commit(partial(ended, job, ran=False), using=rows.db, robust=True)
            ends[job.status] += 1
    return ends


def epitaph(job: ScheduledJob) -> str:
    """Say what became of a run whose lease is over."""
    last_sign = to_datetime((job.wake_at or 0) - int(settings.RUN_LEASE_SECONDS * SECOND))
    return (
        f"Worker lost: {job.worker} started this at {job.execution_start} and gave its last sign of life "
        f"at about {last_sign}. {ROLLED_BACK}"
    )
