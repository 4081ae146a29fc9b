"""Prometheus: what this process has seen of jobs. What waits in the database is in gauges.py.

With several processes on a machine, as in Celery's prefork pool, PROMETHEUS_MULTIPROC_DIR must name a directory
before they start: each writes its numbers there, and ``registry()`` adds them up.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from django_future_celery.states import Status

if TYPE_CHECKING:
    from django_future_celery.models import ScheduledJob

#: So many callables have numbers of their own in one process; those after them are counted together.
MOST_CALLABLES = 200
OTHERS = "(others)"

SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400)

ATTEMPTS = Counter("future_celery_attempts", "Attempts and waiting jobs that ended.", ["callable", "outcome"])
LATENESS = Histogram("future_celery_lateness_seconds", "From due to first start.", ["callable"], buckets=SECONDS)
DURATION = Histogram("future_celery_duration_seconds", "From start to end of a run.", ["callable"], buckets=SECONDS)

METRICS = (ATTEMPTS, LATENESS, DURATION)

_callables: set[str] = set()


def count(job: ScheduledJob, ran: bool) -> None:
    """Count an attempt, or a job that ended while it waited, by the status that it has now."""
    name = label(job.callable_name)
    ATTEMPTS.labels(name, "again" if job.status == Status.SCHEDULED else str(job.status)).inc()
    if not ran or job.execution_start is None or job.execution_end is None:
        return
    DURATION.labels(name).observe((job.execution_end - job.execution_start).total_seconds())
    if job.attempts == 1:
        due = max(job.time_slot_start, job.created_at)
        LATENESS.labels(name).observe(max(0.0, (job.execution_start - due).total_seconds()))


def label(callable_name: str) -> str:
    """Give the value of the label: rows may name anything, and each value takes memory here and in Prometheus."""
    if callable_name not in _callables and len(_callables) >= MOST_CALLABLES:
        return OTHERS
    _callables.add(callable_name)
    return callable_name


def registry() -> CollectorRegistry:
    """Give a registry with the numbers of this process, or of all that share PROMETHEUS_MULTIPROC_DIR."""
    found = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(found)  # type: ignore[no-untyped-call]
    else:
        for metric in METRICS:
            found.register(metric)
    return found
