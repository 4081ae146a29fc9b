"""Several jobs, some processes, a broker that loses and doubles, a clock: whatever happens, in whatever order.

Hypothesis makes up what happens, the real functions do it, and after each step each row and the ledger must be as the
model in ``tests.model.job`` says. ``TEST_STATEFUL_EXAMPLES=2000`` searches longer than the default.

A process may die between any two of its steps: before or at a commit, between the claim and its messages, between the
start and the call, between the call and its end, between the rollback and the record of an error.
"""

import os
import sys
from contextlib import suppress
from datetime import timedelta
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_future_celery import dispatcher, run_jobs, sticky
from django_future_celery.batch import Batch, read
from django_future_celery.clock import SECOND
from django_future_celery.dispatcher import FEW
from django_future_celery.exceptions import BrokerAway, BrokerLost
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet
from tests.model.bench import KINDS, Bench, Died, Twin, dying_at_commit, dying_at_end, effect, effects_in, raising
from tests.model.clock import clock_in_hand
from tests.model.job import END, GONE
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

EXAMPLES = int(os.environ.get("TEST_STATEFUL_EXAMPLES", "24"))

delays = st.sampled_from([-30, -1, 0, 1, 30, 300])
lengths = st.sampled_from([1, 45, 100, 900, None]).map(lambda s: s and timedelta(seconds=s))
priorities = st.sampled_from([-5, 0, 0, 7])
whom = st.integers(0, 9)

MOST_JOBS = 5

#: What each commit of a tick brings, in their order.
COMMITS_OF_A_TICK = ("claim", "recover")

#: What a broker and a dispatcher may do to one message: raise what, after it was taken or not.
FAULTS = {
    "away": (BrokerAway("away"), False),
    "lost": (BrokerLost("lost"), False),
    "lost, and yet sent": (BrokerLost("lost"), True),
    "refused": (ValueError("refused"), False),
    "died": (Died(), False),
    "died after it was sent": (Died(), True),
}


def one_of(things, number):
    return things[number % len(things)]


class Broker:
    """Takes messages, ``(id, attempts)`` of one job or several, until the one that goes wrong."""

    def __init__(self):
        self.messages = []
        self.plan(None, 0)

    def plan(self, fault, at):
        self.tried, self.fault, self.fails_at = [], fault, at

    def publish(self, jobs):
        fails = self.fault and len(self.tried) == self.fails_at
        error, taken = FAULTS[self.fault] if fails else (None, True)
        self.tried.append({job.pk for job in jobs})
        if taken:
            self.messages.append(tuple((job.pk, job.attempts) for job in jobs))
        if error:
            raise error

    def released(self, claimed):
        """Of the jobs that were claimed, those that were certainly not sent, and that somebody was left to release."""
        failed = len(self.tried) > self.fails_at
        if not failed or self.fault not in ("away", "lost", "lost, and yet sent"):
            return set()
        kept = self.tried[: self.fails_at] if self.fault == "away" else self.tried
        return claimed.difference(*kept)


class Machine(RuleBasedStateMachine):
    alias = "default"

    def __init__(self):
        super().__init__()
        ScheduledJob.objects.using(self.alias).all().delete()
        Ledger.objects.using(self.alias).all().delete()
        self.held = clock_in_hand()
        self.hand = self.held.__enter__()
        self.twins, self.broker = [], Broker()

    def teardown(self):
        try:
            # What has gone wrong already is to be told as it is.
            if sys.exc_info()[0] is None:
                self.let_all_end()
        finally:
            self.held.__exit__(None, None, None)

    # -- helpers ------------------------------------------------------------------------------------------------------

    @property
    def alive(self):
        return [twin for twin in self.twins if twin.model.status not in END]

    @property
    def stored(self):
        return [twin for twin in self.twins if twin.model.status != GONE]

    @property
    def awake(self):
        return [twin for twin in self.twins if twin.model.awake]

    def runs(self, *phases):
        """The processes that run a job just now."""
        return [(twin, attempt) for twin in self.twins for attempt, phase in sorted(twin.model.runs) if phase in phases]

    def twin_of(self, pk):
        return next(twin for twin in self.twins if twin.bench.pk == pk)

    def advance_to(self, micros):
        self.hand.advance_to(micros)
        for twin in self.twins:
            twin.tell_time()

    def take(self, number, keep):
        """Give a twin that a message is for, and what the message says of it."""
        pk, attempts = one_of(self.take_all(number, keep), number)
        return self.twin_of(pk), attempts

    def take_all(self, number, keep):
        message = one_of(self.broker.messages, number)
        if not keep:
            self.broker.messages.remove(message)
        return message

    # -- people -------------------------------------------------------------------------------------------------------

    @initialize(max_attempts=st.integers(1, 3))
    def first(self, max_attempts):
        self.schedule(0, None, max_attempts, 0)

    @precondition(lambda self: len(self.twins) < MOST_JOBS)
    @rule(
        start=delays, length=lengths, max_attempts=st.integers(1, 3), priority=priorities, kind=st.sampled_from(KINDS)
    )
    def schedule(self, start, length, max_attempts, priority, kind=effect):
        bench = Bench.scheduled(self.alias, self.hand, max_attempts, start, length, priority, kind)
        self.twins.append(Twin(bench))

    @precondition(lambda self: len(self.twins) < MOST_JOBS and self.stored)
    @rule(number=whom, start=delays)
    def reschedule(self, number, start):
        """A new job like the old one, whatever became of that."""
        self.twins.append(Twin(one_of(self.stored, number).bench.rescheduled(start)))

    @precondition(lambda self: self.alive)
    @rule(number=whom, start=delays, length=lengths)
    def move_slot(self, number, start, length):
        twin = one_of(self.alive, number)
        before = twin.bench.job.time_slot_start
        twin.bench.move_slot(start, length)
        if twin.bench.job.time_slot_start != before:
            twin.follow("shift", twin.slot())
        twin.touched |= twin.model.status == "scheduled"

    @precondition(lambda self: len(self.alive) > 1)
    @rule(number=whom, name=st.sampled_from(["cancel", "cancel", "delete"]))
    def stop(self, number, name):
        one_of(self.twins, number).make(name)

    # -- time ---------------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 10, 59, 61, 200, 2000]))
    def advance(self, seconds):
        self.advance_to(self.hand.now + seconds * SECOND)

    @precondition(lambda self: self.alive)
    @rule()
    def wait(self):
        """Pass the time until the next row wakes."""
        self.advance_to(min(twin.row["wake_at"] for twin in self.alive))

    # -- dispatchers and the broker -----------------------------------------------------------------------------------

    @precondition(lambda self: self.awake)
    @rule(fault=st.sampled_from([None, *FAULTS]), at=st.integers(0, 2), few=st.sampled_from([0, FEW]))
    def tick(self, fault, at, few=0):
        """More jobs than a ``few`` share messages."""
        due = {twin.bench.pk for twin in self.awake if twin.would("claim").sent}
        self.broker.plan(fault, at)
        died = True
        with suppress(Died), patch.multiple(dispatcher, FEW=few, MESSAGES=1):
            dispatcher.tick(self.broker.publish, self.alias)
            died = False
        released = self.broker.released(due)
        assert set().union(*self.broker.tried) <= due
        for twin in self.twins:
            twin.follow("release" if twin.bench.pk in released else "claim")
        for twin in [] if died else self.twins:
            twin.follow("recover")

    @precondition(lambda self: self.awake)
    @rule(commit=st.sampled_from(range(len(COMMITS_OF_A_TICK))))
    def die_in_a_tick(self, commit):
        """Only the commits before are there, and what was claimed by one of them is sent."""
        self.broker.plan(None, 0)
        with dying_at_commit(self.alias, commit):
            dispatcher.tick(self.broker.publish, self.alias)
        assert commit or self.broker.tried == []
        for name in COMMITS_OF_A_TICK[:commit]:
            for twin in self.twins:
                twin.follow(name)

    @precondition(lambda self: self.broker.messages)
    @rule()
    def flush(self):
        self.broker.messages.clear()

    @precondition(lambda self: self.awake)
    @rule()
    def run_in_this_process(self):
        """What ``runscheduledjobs`` does."""
        for twin in self.twins:
            twin.follow("recover")
            if twin.model.awake:
                twin.follow_run(twin.model.attempts)
        run_jobs(ignore_errors=True, using=self.alias)

    # -- workers ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.broker.messages)
    @rule(number=whom, keep=st.booleans())
    def start(self, number, keep):
        """A worker wins the row, or does not; the message may come once more."""
        twin, attempts = self.take(number, keep)
        twin.make("start", attempts)

    @precondition(lambda self: self.broker.messages)
    @rule(number=whom, keep=st.booleans())
    def lack(self, number, keep):
        """A worker of an older release takes the message."""
        twin, attempts = self.take(number, keep)
        twin.make("lack", attempts)

    @precondition(lambda self: self.broker.messages)
    @rule(number=whom, keep=st.booleans(), raises=st.booleans())
    def run(self, number, keep, raises):
        twin, attempts = self.take(number, keep)
        twin.run(attempts, raises)

    @precondition(lambda self: self.broker.messages)
    @rule(number=whom, keep=st.booleans(), raises=whom)
    def run_all(self, number, keep, raises):
        """A worker runs the jobs of a message one after another; one of them may raise."""
        message = self.take_all(number, keep)
        raising_pk = message[raises][0] if raises < len(message) else None
        for pk, attempts in message:
            self.twin_of(pk).follow_run(attempts, raises=pk == raising_pk)
        with raising(raising_pk):
            for _ in Batch(self.alias, *read(self.alias, message), "message"):
                pass

    @precondition(lambda self: self.broker.messages)
    @rule(number=whom, keep=st.booleans())
    def die_at_the_start(self, number, keep):
        """The worker dies before its start is committed."""
        twin, attempts = self.take(number, keep)
        # On PostgreSQL the start is one statement, which is all of its transaction.
        with dying_at_commit(self.alias, 0), patch.object(ScheduledJobQuerySet, "start_free", side_effect=Died):
            twin.bench.start(attempts)

    @precondition(lambda self: self.alive)
    @rule(number=whom, attempts=st.integers(0, 2))
    def forge(self, number, attempts):
        one_of(self.twins, number).make("forge", attempts)

    @precondition(lambda self: self.runs("started"))
    @rule(number=whom)
    def complete(self, number):
        twin, attempt = one_of(self.runs("started"), number)
        twin.make("call", attempt)
        twin.make("complete", attempt)

    @precondition(lambda self: self.runs("started"))
    @rule(number=whom)
    def throw(self, number):
        twin, attempt = one_of(self.runs("started"), number)
        twin.make("throw", attempt)

    @precondition(lambda self: self.runs("raised"))
    @rule(number=whom)
    def record(self, number):
        twin, attempt = one_of(self.runs("raised"), number)
        twin.make("record", attempt)

    @precondition(lambda self: self.runs("started", "raised"))
    @rule(number=whom)
    def renew(self, number):
        twin, attempt = one_of(self.runs("started", "raised"), number)
        twin.make("renew", attempt)

    @precondition(lambda self: self.runs("started", "raised"))
    @rule(number=whom, death=st.sampled_from(["now", "at the end", "at the commit"]))
    def die(self, number, death):
        """Die before the call or before the error is recorded; before the end, or before it is committed."""
        twin, attempt = one_of(self.runs("started", "raised"), number)
        if death == "now" or twin.model.phase(attempt) == "raised":
            twin.bench.die(attempt)
        else:
            twin.bench.die_later(attempt, dying_at_end() if death == "at the end" else dying_at_commit(self.alias, 0))
        twin.follow("die", attempt)

    # -- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def the_rows_are_as_the_model_says(self):
        rows = {row["id"]: row for row in ScheduledJob.objects.using(self.alias).values()}
        effects = effects_in(self.alias)
        for twin in self.twins:
            twin.compare(rows.get(twin.bench.pk), effects[twin.bench.pk])

    def let_all_end(self):
        """Whoever ran a job is dead and the broker is empty; then all goes well, and every job ends."""
        for twin, attempt in self.runs("started", "raised"):
            twin.make("die", attempt)
        self.flush()
        for _ in range(6 * MOST_JOBS):
            if not self.alive:
                return
            self.advance_to(min(twin.row["wake_at"] for twin in self.alive))
            self.tick(None, 0)
            self.the_rows_are_as_the_model_says()
            while self.broker.messages:
                self.run_all(0, keep=False, raises=len(self.twins))
                self.the_rows_are_as_the_model_says()
        raise AssertionError(f"these did not end: {[twin.model for twin in self.alive]}")


def test_whatever_happens_the_rows_are_as_the_model_says_and_every_job_ends(alias, vendor, monkeypatch):
    monkeypatch.setattr(sticky, "STICKY", {})
    enough = settings(
        # A server takes longer, and what it does in its own way is in the other tests.
        max_examples=EXAMPLES if vendor == "sqlite" else EXAMPLES // 2,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(type("Machine", (Machine,), {"alias": alias}), settings=enough)
