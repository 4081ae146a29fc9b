"""Lost runs: their process died, or was away for longer than its lease. They fail, or are tried again."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.db import transaction

from django_future_celery.backoff import retry_pause
from django_future_celery.clock import SECOND, to_datetime
from django_future_celery.conf import settings
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovered:
    failed: int = 0
    again: int = 0


def recover(using: str, now: int) -> Recovered:
    """End the runs whose lease is over by ``now``; those with attempts left will be started again."""
    objects: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    failed = again = 0
    with transaction.atomic(using=using):
        for job in objects.lost(now).locked()[: settings.CLAIM_SIZE]:
            if job.attempts < job.max_attempts:
                again += try_again(objects.woken(now), job, now)
            else:
                failed += objects.woken(now).fail(job, epitaph(job), to_datetime(now))
    return Recovered(failed, again)


def try_again(rows: ScheduledJobQuerySet, job: ScheduledJob, now: int) -> bool:
    wake_at = now + int(retry_pause(job.attempts) * SECOND)
    return rows.try_again(job, epitaph(job), to_datetime(now), wake_at)


def epitaph(job: ScheduledJob) -> str:
    """Say on the row what became of the run."""
    last_sign = to_datetime((job.wake_at or 0) - int(settings.RUN_LEASE_SECONDS * SECOND))
    text = (
        f"Worker lost: {job.worker} started this at {job.execution_start} and gave its last sign of life "
        f"at about {last_sign}. What it wrote in the job's transaction was rolled back."
    )
    logger.error("Job %s, %s: %s", job.pk, job.callable_name, text)
    return text
