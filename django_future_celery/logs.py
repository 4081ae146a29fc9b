"""Which job a log record is about."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_future_celery.models import ScheduledJob

#: The job that runs here. Coroutines that the job awaits have it as well, and what asyncio.to_thread() runs.
current_job: ContextVar[ScheduledJob | None] = ContextVar("current_job", default=None)


def about(job: ScheduledJob | None) -> dict[str, Any]:
    """Give the attributes of a record that is about ``job``."""
    if job is None:
        return {"job_id": None, "callable": "", "attempt": None}
    return {"job_id": job.pk, "callable": job.callable_name, "attempt": job.attempts}


class JobFilter(logging.Filter):
    """Adds ``job_id``, ``callable`` and ``attempt`` of the job that runs to each record; without one None and ``''``.

    It belongs to a handler: a filter of a logger sees only what is logged to that very logger.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        vars(record).update(about(current_job.get()) | vars(record))
        return True
