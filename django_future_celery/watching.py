"""What others learn of a run: receivers of signals, logs, metrics and traces. Nothing here can fail a job.

Metrics and traces need packages that may not be there, so their modules are imported once their settings are on.
While nobody watches, a job costs a few look-ups.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django_future_celery.conf import settings
from django_future_celery.logs import current_job
from django_future_celery.signals import SIGNALS, job_cancelled, job_completed, job_expired, job_failed, job_started
from django_future_celery.states import Status

if TYPE_CHECKING:
    from django_future_celery.models import ScheduledJob

logger = logging.getLogger(__name__)


@contextmanager
def watched(job: ScheduledJob) -> Iterator[None]:
    """Let logs and traces know the job that runs in the block."""
    before = current_job.set(job)
    try:
        if not settings.OPENTELEMETRY:
            yield
            return
        with ExitStack() as stack:
            with harmless():
                stack.enter_context(tracing().span_of(job))
            yield
    finally:
        current_job.reset(before)


def started(job: ScheduledJob) -> None:
    """Tell that a run begins; its start is committed."""
    if job_started.receivers:
        job_started.send_robust(sender=type(job), job=job)


def ended(job: ScheduledJob, error: BaseException | None = None, *, ran: bool = True) -> None:
    """Tell how an attempt ended, or a job that waited, by the status that it has now; that is committed.

    Args:
        error: what ended the run, if that is known here.
        ran: its times are those of a run that has just ended here.
    """
    if settings.OPENTELEMETRY:
        with harmless():
            tracing().end(job, error)
    if settings.PROMETHEUS:
        with harmless():
            metrics().count(job, ran)
    if anybody_listens():
        send_end(job, error)


def send_end(job: ScheduledJob, error: BaseException | None) -> None:
    match job.status:
        case Status.COMPLETE:
            job_completed.send_robust(sender=type(job), job=job)
        case Status.FAILED | Status.SCHEDULED:
            again = job.status == Status.SCHEDULED
            job_failed.send_robust(sender=type(job), job=job, error=error, again=again)
        case Status.EXPIRED:
            job_expired.send_robust(sender=type(job), job=job)
        case Status.CANCELLED:
            job_cancelled.send_robust(sender=type(job), job=job, error=error)


def all_ended(jobs: Iterable[ScheduledJob]) -> None:
    """Tell how jobs ended that one UPDATE has ended. ``jobs`` is a queryset, and read only if somebody watches."""
    if settings.PROMETHEUS or anybody_listens():
        with harmless():
            for job in jobs:
                ended(job, ran=False)


def anybody_listens() -> bool:
    return any(signal.receivers for signal in SIGNALS)


def trace_context() -> dict[str, str] | None:
    """Give what connects the run of a job with whoever schedules it now, if traces are on and there is one."""
    if settings.OPENTELEMETRY:
        with harmless():
            carrier: dict[str, str] | None = tracing().carrier()
            return carrier
    return None


def tracing() -> Any:
    return import_module("django_future_celery.tracing")


def metrics() -> Any:
    return import_module("django_future_celery.metrics")


@contextmanager
def harmless() -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception("What happened to a job could not be told to whoever watches.")
