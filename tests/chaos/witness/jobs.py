"""Each job writes its start and its end to a file that no rollback reaches, and one row that a rollback takes back."""

import os
import time
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, transaction

from django_future_celery import job_as_parameter, non_atomic_job

from .models import Entry


def mark(word, job):
    # One write to a file opened for appending is whole, whoever else writes and whenever the process is killed.
    file = os.open(settings.CHAOS_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{word} {job.pk} {job.attempts} {time.time():.6f}\n".encode())
    os.close(file)


@contextmanager
def witnessed(job, seconds):
    """Do what every job does; ``seconds`` has the length of each attempt, the last one for all further."""
    mark("start", job)
    Entry.objects.create(job=job.pk, attempt=job.attempts)
    time.sleep(seconds[min(job.attempts, len(seconds)) - 1])
    yield
    mark("end", job)


@job_as_parameter
def note(job, seconds):
    with witnessed(job, seconds):
        pass


@job_as_parameter
def write_and_raise(job, seconds):
    with witnessed(job, seconds):
        raise ValueError("raised on purpose")


@job_as_parameter
def exit_first(job, seconds):
    """Take the process along in the first attempt."""
    with witnessed(job, seconds):
        if job.attempts == 1:
            os._exit(7)


@job_as_parameter
def note_and_hook(job, seconds):
    """Leave something to do after the commit; for every other job, that raises."""

    def hook():
        mark("hook", job)
        if job.pk % 2:
            raise ValueError("raised on purpose, after the commit")

    with witnessed(job, seconds):
        transaction.on_commit(hook)


@job_as_parameter
@non_atomic_job
def write_unprotected(job, seconds):
    with witnessed(job, seconds):
        pass


@job_as_parameter
def lose_answer(job, seconds):
    """Commit as if a second server had to say that it has it too: there is none, so until the connection is cut."""
    with witnessed(job, seconds), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
