"""Rows in every status, brought there by the arrows themselves, and somebody who looks at them."""

from datetime import timedelta

from django.contrib.auth.models import Permission, User
from django.utils import timezone

from django_future_celery.models import ScheduledJob
from django_future_celery.states import Status

MINUTE = timedelta(minutes=1)


def due_job(alias, **columns):
    """A job that became due a minute ago and may start for an hour."""
    start = timezone.now() - MINUTE
    defaults = {
        "callable_name": "tests.shop.jobs.note",
        "time_slot_start": start,
        "time_slot_end": start + timedelta(hours=1),
    }
    return ScheduledJob.objects.using(alias).create(**defaults | columns)


def started_job(alias, **columns):
    job = due_job(alias, **columns)
    return ScheduledJob.objects.using(alias).start(job.pk, job.attempts, worker="host:1", task_id="task")


def job_in(status, alias, **columns):
    rows = ScheduledJob.objects.using(alias)
    if status == Status.SCHEDULED:
        return due_job(alias, **columns)
    if status == Status.CANCELLED:
        job = due_job(alias, **columns)
        rows.filter(pk=job.pk).cancel()
    elif status == Status.EXPIRED:
        start = timezone.now() - timedelta(hours=2)
        job = due_job(alias, **{"time_slot_start": start, "time_slot_end": start + MINUTE} | columns)
        rows.filter(pk=job.pk).expire(timezone.now())
    else:
        job = started_job(alias, **columns)
        if status == Status.COMPLETE:
            rows.complete(job, "result", timezone.now())
        if status == Status.FAILED:
            rows.fail(job, "Traceback", timezone.now())
    return rows.get(pk=job.pk)


def row_of(job):
    """All columns as they are stored."""
    return ScheduledJob.objects.using(job._state.db).filter(pk=job.pk).values().get()


def user_with(*codenames, **columns):
    """Somebody who may enter the admin, with these permissions."""
    user = User.objects.create_user("clerk", is_staff=True, **columns)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user
