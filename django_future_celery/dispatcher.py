"""A tick: recover what is lost, claim what is due, hand it over.

The claim is committed before anything is sent. A claim whose message is lost on the way, or never left, ends with its
dispatch lease, and the row is simply due again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import router, transaction

from django_future_celery import sticky
from django_future_celery.clock import database_now, to_datetime
from django_future_celery.conf import settings
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet
from django_future_celery.recovery import Recovered, recover

logger = logging.getLogger(__name__)

#: Sends one message for one job, or raises; whether a message that raised was sent, nobody knows.
Publish = Callable[[ScheduledJob], None]


@dataclass
class Claim:
    """The due rows that one tick took, by what becomes of them."""

    ready: list[ScheduledJob] = field(default_factory=list)
    over: list[ScheduledJob] = field(default_factory=list)
    early: list[ScheduledJob] = field(default_factory=list)
    #: Due rows were left behind: the batch was full, or the window.
    more: bool = False


@dataclass(frozen=True)
class Tick:
    """What one tick did in one database."""

    #: The database's clock when it began: what became due later is left for the next tick.
    now: int
    sent: int
    over: int
    recovered: Recovered
    more: bool
    broken: bool

    def __str__(self) -> str:
        return (
            f"{self.sent} sent, {self.over} too late, {self.recovered.again} lost runs to be tried again, "
            f"{self.recovered.failed} failed"
        )


def databases() -> Sequence[str]:
    """Give the aliases of the databases whose jobs are to be run."""
    return settings.DATABASES or (router.db_for_write(ScheduledJob),)


def tick(publish: Publish, using: str) -> Tick:
    """Hand over what is due in the database ``using``: one batch at most."""
    now = database_now(using)
    sticky.ensure(using, now)
    recovered = recover(using, now)
    claim = take_due(using, now)
    sent = send(claim.ready, publish, using)
    return Tick(now, sent, len(claim.over), recovered, claim.more, broken=sent < len(claim.ready))


def take_due(using: str, now: int) -> Claim:
    """Take a batch of due rows and divide it; when this returns, the claim is committed."""
    objects: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    moment = to_datetime(now)
    with transaction.atomic(using=using):
        claim = divide(objects, now)
        objects.filter(pk__in=[job.pk for job in claim.over]).expire(moment)
        objects.put_off(claim.early, now)
        claim.ready = objects.lease(claim.ready, now)
    return claim


def divide(objects: ScheduledJobQuerySet, now: int) -> Claim:
    claim, moment = Claim(), to_datetime(now)
    for job in lock_due(objects, now, claim):
        if job.time_slot_start > moment:
            claim.early.append(job)
        elif job.time_slot_end is not None and job.time_slot_end < moment:
            claim.over.append(job)
        else:
            claim.ready.append(job)
    return claim


def lock_due(objects: ScheduledJobQuerySet, now: int, claim: Claim) -> list[ScheduledJob]:
    """Lock due rows: those whose message seems lost, which are in the window already, then what it has room for."""
    rows = objects.scheduled().woken(now).defer("error", "return_value")
    room = settings.WINDOW - objects.sent()[: settings.WINDOW].count()
    jobs = list(rows.sent().order_by("wake_at", "id").locked()[: settings.CLAIM_SIZE])
    room = max(0, min(room, settings.CLAIM_SIZE - len(jobs)))
    for priority in objects.priorities():
        fresh = list(rows.filter(dispatched_at=None).level(priority).locked()[:room])
        jobs, room = jobs + fresh, room - len(fresh)
        if room == 0:
            claim.more = True
            break
    return jobs


def send(jobs: Sequence[ScheduledJob], publish: Publish, using: str) -> int:
    """Send the messages; at the first that raises, release the jobs after it, and give the number before it.

    The job of the message that raised keeps its lease, for the message may have been sent all the same.
    """
    for number, job in enumerate(jobs):
        try:
            publish(job)
        except Exception as error:
            ScheduledJob.objects.using(using).release(jobs[number + 1 :])
            logger.warning("Could not send job %s, the jobs after it wait for the next tick: %r", job.pk, error)
            return number
    return len(jobs)
