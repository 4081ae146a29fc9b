"""What a real worker and beat tell of jobs with secrets: in Celery's events, from which Flower lives, and in logs."""

import pytest

from django_future_celery import schedule_job
from django_future_celery.models import ScheduledJob
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

MASK = "*" * 20
SECRET = "hunter2"
MESSAGE = f"password={SECRET} is wrong at postgres://ada:{SECRET}@db/shop"


def test_secrets_reach_neither_events_nor_logs_and_all_else_does(project, listen):
    stack = project("postgresql", "redis")
    heard = listen(stack.broker)
    stack.worker("-E")
    wait_until(lambda: heard, what="the first event")
    stack.beat()
    rows = ScheduledJob.objects.using(stack.alias)
    good = schedule_job("0s", "tests.shop.jobs.nothing", kwargs={"n": 1, "token": SECRET}, using=stack.alias)
    bad = schedule_job("0s", "tests.shop.jobs.write_and_raise", args=[MESSAGE], using=stack.alias)
    wait_until(lambda: not rows.exclude(status__in=["complete", "failed"]).exists(), what="the end of both")

    good, bad = (rows.get(pk=job.pk) for job in (good, bad))

    def of(job, kind):
        return [event for event in heard if event.get("uuid") == job.task_id and event["type"] == kind]

    [failed] = wait_until(lambda: of(bad, "task-failed"), what="the event of the failure")
    [received] = wait_until(lambda: of(good, "task-received"), what="the event of the message")
    [sent] = wait_until(lambda: of(good, "task-sent"), what="the event of the publish")

    assert SECRET not in repr(heard)
    assert SECRET not in stack.log("worker") + stack.log("beat")
    assert received["kwargs"] == sent["kwargs"] == f"{{'n': 1, 'token': {MASK}}}"
    assert failed["exception"] == "JobFailed('ValueError: attempt 1 of 1')"
    assert "in write_and_raise" in failed["traceback"]
    assert f"ValueError: password={MASK} is wrong at postgres://{MASK}@db/shop" in failed["traceback"]
    assert f"ValueError: password={MASK} is wrong" in stack.log("worker")
    assert MESSAGE in bad.error
    assert good.kwargs == {"n": 1, "token": SECRET}
