"""Each job writes its start and its end to a file that no rollback reaches, and one row that a rollback takes back."""

import os
import time
from contextlib import contextmanager

from django.conf import settings

from django_future_celery import job_as_parameter

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
