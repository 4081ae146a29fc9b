"""A tick: claim what is due, hand it over, recover what is lost.

The claim is committed before anything is sent. A claim whose message is lost on the way, or never left, ends with its
dispatch lease, and the row is simply due again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, router, transaction
from django.db.models import Q

from django_future_celery import sticky
from django_future_celery.clock import SECOND, database_now, to_datetime
from django_future_celery.conf import settings
from django_future_celery.exceptions import BrokerAway, BrokerLost
from django_future_celery.models import ScheduledJob
from django_future_celery.outages import BROKER, database, outages
from django_future_celery.pruning import prune_in_tick
from django_future_celery.querysets import AHEAD, ScheduledJobQuerySet
from django_future_celery.recovery import Recovered, recover
from django_future_celery.redaction import get_logger
from django_future_celery.sizes import sizes
from django_future_celery.text import one_line
from django_future_celery.watching import all_ended

logger = get_logger(__name__)

#: After so many messages that the broker refused one by one, a round ends.
MOST_REFUSED = 10

#: So many jobs that are due together have a message each, for any worker to take the next.
FEW = 16
#: More share so many messages of a claim, if that many jobs may share one.
MESSAGES = 8
#: Fewer do if due jobs were left behind: others will keep the other workers busy.
MESSAGES_OF_BACKLOG = 4

#: Sends one message for its jobs, or raises BrokerAway, BrokerLost, or what is wrong with this message alone.
Publish = Callable[[Sequence[ScheduledJob]], None]

#: Has the process killed that runs a job, or raises BrokerAway or BrokerLost.
Terminate = Callable[[ScheduledJob], None]


@dataclass
class Claim:
    """The due rows that one tick took, by what becomes of them."""

    ready: list[ScheduledJob] = field(default_factory=list)
    over: list[ScheduledJob] = field(default_factory=list)
    early: list[ScheduledJob] = field(default_factory=list)
    #: Due rows were left behind.
    more: bool = False
    #: Due rows were left behind, and the window has no room for another batch.
    full: bool = False


@dataclass(frozen=True)
class Tick:
    """What one tick did in one database."""

    #: The database's clock when it began: what became due later is left for the next tick.
    now: int
    #: This process's stopwatch just after that, in seconds.
    stopwatch: float
    #: When the next row after that may want to be looked at; not asked for where due rows were left behind.
    wake: int | None
    sent: int
    over: int
    recovered: Recovered
    more: bool
    full: bool
    broken: bool

    def __str__(self) -> str:
        return (
            f"{self.sent} sent, {self.over} too late, {self.recovered.again} lost runs to be tried again, "
            f"{self.recovered.failed} failed"
        )


def databases() -> Sequence[str]:
    """Give the aliases of the databases whose jobs are to be run."""
    return settings.DATABASES or (router.db_for_write(ScheduledJob),)


def tick_all(publish: Publish, terminate: Terminate | None = None) -> dict[str, Tick]:
    """Tick in each database; one that does not answer is told in the log, is left out, and keeps no other waiting."""
    ticks = {}
    for using in databases():
        try:
            ticks[using] = tick(publish, using, terminate)
            outages.works(database(using))
        except (DatabaseError, InterfaceError) as error:
            outages.failed(database(using), "The database %r does not answer: %s", using, one_line(error))
            connections[using].close()
    return ticks


def tick(publish: Publish, using: str, terminate: Terminate | None = None) -> Tick:
    """Hand over what is due in the database ``using``, one batch at most; what is less urgent comes after that."""
    now, stopwatch = database_now(using), time.monotonic()
    claim = take_due(using, now)
    sent, broken = send(claim.ready, publish, using, claim.more)
    sticky.ensure(using, now)
    recovered = recover(using, now)
    if terminate is not None:
        stop_runs(terminate, using)
    wakes = [] if claim.more or broken else [ScheduledJob.objects.using(using).next_wake(after=now)]
    if sent > FEW:
        # By then workers have given back what they could not start in time.
        wakes.append(now + int(1.5 * settings.BATCH_SECONDS * SECOND))
    if not claim.more:
        # Where jobs are due at each tick there would be no better time; a backlog goes first.
        wakes.append(prune_in_tick(using, now))
    wake = min((each for each in wakes if each is not None), default=None)
    return Tick(now, stopwatch, wake, sent, len(claim.over), recovered, claim.more, claim.full, broken)


def stop_runs(terminate: Terminate, using: str) -> None:
    """Have the processes killed whose jobs are to be terminated."""
    objects: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    for job in objects.to_terminate().only("task_id", "attempts"):
        try:
            terminate(job)
        except (BrokerAway, BrokerLost) as error:
            outages.failed(BROKER, "The broker is away, job %s cannot be terminated yet: %s", job.pk, one_line(error))
            return
        except Exception:
            logger.exception("Job %s cannot be terminated; it was asked to stop.", job.pk)
        objects.terminated(job)


def take_due(using: str, now: int) -> Claim:
    """Take a batch of due rows and divide it; when this returns, the claim is committed."""
    objects: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    moment = to_datetime(now)
    with transaction.atomic(using=using):
        claim = divide(objects, now)
        if claim.over:
            objects.filter(pk__in=[job.pk for job in claim.over]).expire(moment)
        objects.put_off(claim.early, now)
        claim.ready = objects.lease(claim.ready, now)
    if claim.over:
        all_ended(objects.filter(pk__in=[job.pk for job in claim.over]))
    return claim


def divide(objects: ScheduledJobQuerySet, now: int) -> Claim:
    claim, moment, ahead = Claim(), to_datetime(now), to_datetime(now + AHEAD)
    for job in lock_due(objects, now, claim):
        if job.time_slot_start > ahead:
            claim.early.append(job)
        elif job.time_slot_end is not None and job.time_slot_end < moment:
            claim.over.append(job)
        else:
            claim.ready.append(job)
    return claim


def lock_due(objects: ScheduledJobQuerySet, now: int, claim: Claim) -> list[ScheduledJob]:
    """Lock due rows: those whose message seems lost, which are in the window already, then what it has room for.

    Of the latter also those that are about to be due for the first time; a pause before another attempt is kept.
    """
    lost, due = objects.woken(now).sent().to_run(), objects.woken(now + AHEAD).filter(dispatched_at=None).to_run()
    pausing = Q(wake_at__gt=now, attempts__gt=0)
    # First: to read in the order of an index forbids PostgreSQL to sort in the rest of the transaction.
    jobs = list(lost.order_by("wake_at", "id").locked()[: settings.CLAIM_SIZE])
    claim_size, window, sent = sizes(objects)
    room = window - sent
    size = claim_size - len(jobs)
    narrow = room < size + claim_size
    room = max(0, min(room, size))
    for priority in objects.priorities():
        fresh = due.not_running().exclude(pausing).level(priority).locked().first_rows(room)
        jobs, room = jobs + fresh, room - len(fresh)
        if room == 0:
            claim.more, claim.full = True, narrow
            break
    return jobs


def messages(jobs: Sequence[ScheduledJob], more: bool = False) -> list[list[ScheduledJob]]:
    """Divide a claim into messages: one for each job while few are due, else a few for many jobs each.

    Only jobs of the same queue and priority share one. A job with a time limit of its own has one to itself, since a
    limit is of a message.

    Args:
        more: whether due jobs were left behind.
    """
    if len(jobs) <= FEW:
        return [[job] for job in jobs]
    size = min(settings.BATCH_SIZE, -(-len(jobs) // (MESSAGES_OF_BACKLOG if more else MESSAGES)))
    groups: dict[Any, list[ScheduledJob]] = {}
    for job in jobs:
        alone = job.pk if job.soft_time_limit or job.time_limit else None
        groups.setdefault((job.queue, job.priority, alone), []).append(job)
    return [group[start : start + size] for group in groups.values() for start in range(0, len(group), size)]


def send(jobs: Sequence[ScheduledJob], publish: Publish, using: str, more: bool = False) -> tuple[int, bool]:
    """Send the messages; give the number of jobs that were sent, and whether the broker stopped the round.

    The jobs of a message that raised keep their lease, for it may have been sent all the same; those that were not
    tried are released. What only one message is to blame for, such as a queue that was declared in another way,
    does not stop the others, unless it goes on and on.
    """
    sent = refused = 0
    untried = deque(messages(jobs, more))
    while untried:
        message = untried.popleft()
        try:
            publish(message)
            outages.works(BROKER)
            sent += len(message)
        except BrokerAway as error:
            return sent, stop([message, *untried], error, using)
        except BrokerLost as error:
            return sent, stop(untried, error, using)
        except Exception as error:
            first = message[0]
            text = "Could not send job %s, %s, and %s more; tried again later."
            logger.exception(text, first.pk, first.callable_name, len(message) - 1, extra={"job": first})
            refused += 1
            if refused == MOST_REFUSED:
                return sent, stop(untried, error, using)
    return sent, False


def stop(untried: Iterable[Sequence[ScheduledJob]], error: Exception, using: str) -> bool:
    """End the round: the jobs of the messages that were not tried are due as they were before."""
    jobs = [job for message in untried for job in message]
    ScheduledJob.objects.using(using).release(jobs)
    message = "The broker does not take messages, %s jobs wait for the next tick: %s"
    outages.failed(BROKER, message, len(jobs), one_line(error))
    return True
