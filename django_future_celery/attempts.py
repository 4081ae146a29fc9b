"""What becomes of a job whose attempt did not succeed: another attempt, or one of the bad ends."""

from __future__ import annotations

from django_future_celery.backoff import Retry, retry_pause
from django_future_celery.clock import SECOND, to_datetime, to_micros
from django_future_celery.exceptions import JobCancelled
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import NOT_TRIED_AGAIN, ScheduledJobQuerySet


def end_attempt(
    rows: ScheduledJobQuerySet, job: ScheduledJob, text: str, now: int, error: BaseException | None = None
) -> bool:
    """End the run that ``job`` describes; False if it no longer owns its row.

    Args:
        text: what the row is to say.
        now: microseconds since 1970 UTC.
        error: what the job raised, if it did; Retry and JobCancelled choose what comes next.
    """
    ended = to_datetime(now)
    if isinstance(error, JobCancelled):
        return rows.stop(job, text, ended)
    if job.attempts >= job.max_attempts:
        won = rows.fail(job, text, ended)
    elif slot_ends_before(job, wake_at := now + int(pause_of(job, error) * SECOND)):
        won = rows.fail(job, f"{text}\n{NOT_TRIED_AGAIN}", ended)
    else:
        won = rows.try_again(job, text, ended, wake_at)
    # Only somebody's wish that it stop, or the loss of the row, stands against the two.
    return won or rows.exclude(cancel_requested_at=None).stop(job, text, ended)


def pause_of(job: ScheduledJob, error: BaseException | None) -> float:
    """Seconds until the next attempt."""
    if isinstance(error, Retry) and error.delay is not None:
        return error.delay.total_seconds()
    return retry_pause(job.attempts, job.retry_backoff, job.retry_backoff_max)


def slot_ends_before(job: ScheduledJob, instant: int) -> bool:
    return job.time_slot_end is not None and to_micros(job.time_slot_end) < instant
