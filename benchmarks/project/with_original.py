"""The algorithm of django-future in today's ORM: mark as running, then run and record in a transaction."""

import pickle
import traceback
from datetime import timedelta

import django

django.setup()

from django.db import transaction  # noqa: E402
from django.utils import timezone  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402

from benchmarks.project.models import Job  # noqa: E402
from benchmarks.project.rows import copy  # noqa: E402


def fill(jobs: int) -> None:
    start = timezone.now() - timedelta(seconds=1)
    first = Job.objects.create(
        time_slot_start=start,
        time_slot_end=start + timedelta(days=7),
        callable_name="benchmarks.project.jobs.noop",
        args=pickle.dumps(()),
        kwargs=pickle.dumps({"number": 1}),
    )
    copy(first, jobs - 1)


def work() -> None:
    now = timezone.now()
    Job.objects.filter(status="scheduled", time_slot_end__lt=now).update(status="expired")
    for job in Job.objects.filter(status="scheduled", time_slot_start__lte=now).order_by("time_slot_start"):
        run(job)


def run(job: Job) -> None:
    job.status, job.execution_start = "running", timezone.now()
    job.save()
    try:
        with transaction.atomic():
            function = import_string(job.callable_name)
            job.return_value = str(function(*pickle.loads(job.args), **pickle.loads(job.kwargs)))
            job.status = "complete"
            job.save()
    except Exception:
        job.status, job.error = "failed", traceback.format_exc()
        job.save()
        raise
