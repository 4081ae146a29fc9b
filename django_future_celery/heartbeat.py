"""One thread in each process renews the leases of all that the process runs.

It costs nothing for jobs shorter than ``FUTURE_CELERY_HEARTBEAT_SECONDS``. A run whose lease nobody renews is taken to
be lost; if its process was only frozen, its end finds the row taken and is rolled back.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from django.db import connections

from django_future_celery.conf import settings
from django_future_celery.models import ScheduledJob
from django_future_celery.outages import outages
from django_future_celery.text import one_line

#: What this process holds of messages of several jobs.
_held: set[Releasable] = set()
#: (alias, id, attempts) of what this process runs just now. Single operations on a set need no lock.
_runs: set[tuple[str, int, int]] = set()
_thread: threading.Thread | None = None
_starting = threading.Lock()


class Releasable(Protocol):
    """Jobs that wait behind one that runs."""

    using: str

    def is_over(self) -> bool:
        """Whether they have waited for long enough."""

    def release(self) -> None: ...


@contextmanager
def holding(jobs: Releasable) -> Iterator[None]:
    """Release the jobs when the block is left, and before that once they have waited for long enough."""
    _ensure_thread()
    _held.add(jobs)
    try:
        yield
    finally:
        _held.discard(jobs)
        jobs.release()


@contextmanager
def beating(job: ScheduledJob) -> Iterator[None]:
    """Keep the lease of a running job alive until the block is left."""
    run = (job._state.db or "", job.pk, job.attempts)
    _ensure_thread()
    _runs.add(run)
    try:
        yield
    finally:
        _runs.discard(run)


def renew_all() -> None:
    """Renew the leases of all that this process runs, with one UPDATE a database."""
    runs = list(_runs)
    for using in {alias for alias, _, _ in runs}:
        mine = [(pk, attempts) for alias, pk, attempts in runs if alias == using]
        subject = f"The heartbeat in {using!r}"
        try:
            with closing(connections[using]):
                ScheduledJob.objects.using(using).renew(mine)
            outages.works(subject)
        except Exception as error:
            # The lease outlasts several beats; the next one may find the database again.
            outages.failed(subject, "Could not renew the leases of running jobs in %r: %s", using, one_line(error))


def release_all() -> None:
    """Release what waits for too long behind a job that takes its time."""
    for jobs in [each for each in _held if each.is_over()]:
        subject = f"The release of jobs in {jobs.using!r}"
        try:
            with closing(connections[jobs.using]):
                jobs.release()
            outages.works(subject)
        except Exception as error:
            # Their dispatch lease ends later, and they are sent again.
            outages.failed(subject, "Could not release waiting jobs in %r: %s", jobs.using, one_line(error))


def _beat_forever() -> None:
    renewed = time.monotonic()
    while True:
        time.sleep(min(settings.HEARTBEAT_SECONDS, settings.BATCH_SECONDS))
        release_all()
        if time.monotonic() - renewed >= settings.HEARTBEAT_SECONDS:
            renewed = time.monotonic()
            renew_all()


def _ensure_thread() -> None:
    global _thread
    if _thread is not None and _thread.is_alive():
        return
    with _starting:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_beat_forever, name="future-celery-heartbeat", daemon=True)
            _thread.start()


def _forget() -> None:
    """Start anew in a forked child: the thread and the runs stayed with the parent."""
    global _thread, _starting
    _thread, _starting = None, threading.Lock()
    _runs.clear()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
