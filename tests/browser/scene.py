"""Jobs of all kinds, as a website has them after a while."""

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from django_future_celery import schedule_job
from django_future_celery.clock import SECOND, database_now
from django_future_celery.models import Process, ScheduledJob
from django_future_celery.states import Kind, Status
from tests.factories import due_job, job_in, started_job
from tests.shop.models import Order

DB = "default"
TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/jobs.py", line 41, in send_invoice
    mail.send(invoice.recipient)
  File "/srv/shop/mail.py", line 17, in send
    raise ConnectionRefusedError(111, "Connection refused by the mail server of this shop, which is at rest")
ConnectionRefusedError: [Errno 111] Connection refused by the mail server of this shop, which is at rest
"""


@dataclass(frozen=True)
class Scene:
    order: Order
    waiting: ScheduledJob
    pausing: ScheduledJob
    running: ScheduledJob
    stopping: ScheduledJob
    complete: ScheduledJob
    failed: ScheduledJob


def build():
    order = Order.objects.create(note="A parcel")
    for status in Status.values:
        job_in(status, DB, callable_name="tests.shop.jobs.add", args_text="[1, 2]", queue="reports")
    sent = due_job(DB)
    ScheduledJob.objects.filter(pk=sent.pk).update(
        dispatched_at=timezone.now(), dispatches=1, wake_at=database_now(DB) + 600 * SECOND
    )
    see_processes()
    return Scene(
        order,
        waiting=schedule_job("1d", "tests.shop.jobs.note_object", order, args=["paid"], priority=5),
        pausing=fail_once(due_job(DB, max_attempts=3)),
        running=started_job(DB, callable_name="tests.shop.jobs.sleep", args_text="[600]"),
        stopping=ask_to_stop(started_job(DB, callable_name="tests.shop.jobs.work_until_told_to_stop")),
        complete=complete(started_job(DB, callable_name="remind", content_object=order)),
        failed=fail(started_job(DB, callable_name="tests.shop.jobs.patient", max_attempts=2)),
    )


def fail_once(job):
    run = ScheduledJob.objects.start(job.pk, 0, worker="host:1", task_id="task-1")
    ScheduledJob.objects.try_again(run, TRACEBACK, timezone.now(), database_now(DB) + 600 * SECOND)
    return reload(job)


def ask_to_stop(job):
    ScheduledJob.objects.filter(pk=job.pk).cancel()
    return reload(job)


def complete(job):
    ScheduledJob.objects.complete(job, "{'sent': 3, 'to': ['ada@example.com', 'bob@example.com']}", timezone.now())
    return reload(job)


def fail(job):
    ScheduledJob.objects.try_again(job, TRACEBACK, timezone.now(), database_now(DB))
    again = ScheduledJob.objects.start(job.pk, 1, worker="host:2", task_id="task-2")
    ScheduledJob.objects.fail(again, TRACEBACK, timezone.now() + timedelta(seconds=2))
    return reload(job)


def reload(job):
    return ScheduledJob.objects.get(pk=job.pk)


def see_processes():
    now, host = database_now(DB), "a-host-with-a-long-name"
    for kind, seen in ((Kind.BEAT, now), (Kind.WORKER, now - 5000 * SECOND)):
        Process.objects.create(name=f"{kind}@{host}", kind=kind, host=host, pid=4711, since=now, seen=seen)
