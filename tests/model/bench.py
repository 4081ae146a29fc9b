"""The moves of the model, made by the real functions on a real row."""

from collections import defaultdict
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from itertools import count
from unittest.mock import Mock, patch

from django.db import connections, transaction

from django_future_celery import dispatcher, job_as_parameter, recovery, runner
from django_future_celery.clock import SECOND, to_datetime, to_micros
from django_future_celery.exceptions import BrokerAway, ClaimLost, WrongStatus
from django_future_celery.models import ScheduledJob
from django_future_celery.scheduling import schedule
from django_future_celery.states import END_STATES
from tests.model.job import GONE, MOVES, RULES, Job, wrong_between, wrong_with
from tests.shop.models import Ledger

WEEK = timedelta(weeks=1)
TIME = frozenset({"opens", "closes", "ends", "wakes"})


class Boom(Exception):
    """Raised by the callable."""


class Died(BaseException):
    """The process is gone: nobody may catch this, and what it had in memory is thrown away."""


#: The ids of the jobs whose callable is to raise.
RAISES: set[int] = set()


@job_as_parameter
def effect(job):
    """Leave a trace in the transaction of the job."""
    Ledger.objects.using(job._state.db).create(entry=f"{job.pk} {job.attempts}")
    if job.pk in RAISES:
        raise Boom


@job_as_parameter
def effect_with_hook(job):
    """As that, and leave something to be done after the commit."""
    transaction.on_commit(lambda: None, using=job._state.db)
    effect(job)


#: All of them do the same to their rows.
KINDS = (effect, effect_with_hook)


def effects_in(alias):
    """Of each job the attempts whose writes are committed."""
    effects = defaultdict(tuple)
    for entry in Ledger.objects.using(alias).order_by("pk").values_list("entry", flat=True):
        pk, attempt = map(int, entry.split())
        effects[pk] += (attempt,)
    return effects


@contextmanager
def raising(pk):
    RAISES.add(pk)
    try:
        yield
    finally:
        RAISES.discard(pk)


@contextmanager
def dying_at_end():
    """Let this process die when the callable has returned."""
    with patch.object(runner, "complete", side_effect=Died), suppress(Died):
        yield


@contextmanager
def dying_at_commit(alias, number):
    """Let this process die before its commit of this number, counted from 0; the database then rolls back."""
    with raising_at_commit(alias, number, Died), suppress(Died):
        yield


@contextmanager
def raising_at_commit(alias, number, error, made=False):
    """Raise at the commit of this number, counted from 0: the database rolls back, or has ``made`` the commit."""
    connection, commits = connections[alias], count()

    def commit(commit=connection.commit):
        fails = next(commits) == number
        if fails and not made:
            connection.rollback()
        else:
            commit()
        if fails:
            raise error

    with patch.object(connection, "commit", commit):
        yield


class Bench:
    """One job and the processes that run it. A process is no more than what it has in memory: its Run."""

    def __init__(self, alias, hand, job):
        self.alias, self.hand, self.job, self.pk = alias, hand, job, job.pk
        self.rows = ScheduledJob.objects.using(alias)
        self.messages, self.runs = [], {}

    @classmethod
    def scheduled(cls, alias, hand, max_attempts=1, start=100, length=WEEK, priority=0, kind=effect):
        options = {"max_attempts": max_attempts, "expires": length, "priority": priority, "using": alias}
        return cls(alias, hand, schedule(to_datetime(hand.now + start * SECOND), kind, **options))

    def rescheduled(self, start):
        return type(self)(self.alias, self.hand, self.job.reschedule(self.seconds_from_now(start)))

    def seconds_from_now(self, seconds):
        return to_datetime(self.hand.now + seconds * SECOND)

    # -- time ---------------------------------------------------------------------------------------------------------

    def opens(self):
        self.hand.advance_to(self.job.due_at)

    def closes(self):
        self.hand.advance_to(to_micros(self.job.time_slot_end) - 1)

    def ends(self):
        self.hand.advance_to(to_micros(self.job.time_slot_end) + 1)

    def wakes(self):
        self.hand.advance_to(self.rows.values_list("wake_at", flat=True).get(pk=self.pk) or 0)

    # -- dispatchers --------------------------------------------------------------------------------------------------

    def claim(self):
        def publish(jobs):
            self.messages.extend(job.attempts for job in jobs)

        dispatcher.send(dispatcher.take_due(self.alias, self.hand.now).ready, publish, self.alias)

    def release(self):
        away = Mock(side_effect=BrokerAway)
        dispatcher.send(dispatcher.take_due(self.alias, self.hand.now).ready, away, self.alias)

    def recover(self):
        recovery.recover(self.alias, self.hand.now)

    def lose(self, message):
        self.messages = [each for each in self.messages if each != message]

    # -- a run --------------------------------------------------------------------------------------------------------

    def start(self, message):
        run = runner.start(self.pk, message, using=self.alias)
        if run is not None:
            self.runs[run.job.attempts] = run

    forge = start

    def lack(self, message):
        with patch.object(runner, "missing_code", return_value="no code"):
            assert runner.start(self.pk, message, using=self.alias) is None

    def call(self, attempt):
        """Comes with what follows it: until then nobody sees what an open transaction wrote."""

    def complete(self, attempt):
        if attempt in self.runs:
            runner.finish(self.runs.pop(attempt))

    def throw(self, attempt):
        if attempt in self.runs:
            with raising(self.pk), suppress(Boom):
                runner.perform(self.runs[attempt], runner.nobody, {})

    def record(self, attempt):
        if attempt in self.runs:
            runner.record_error(self.runs.pop(attempt), Boom())

    def die(self, attempt):
        self.runs.pop(attempt, None)

    def die_later(self, attempt, death):
        """Die after the call."""
        with death, suppress(ClaimLost):
            runner.perform(self.runs.pop(attempt), runner.nobody, {})

    def renew(self, attempt):
        self.rows.renew([(self.pk, attempt)])

    # -- people -------------------------------------------------------------------------------------------------------

    def cancel(self):
        self.job.cancel()

    def shift(self, slot):
        self.move_slot(100 if slot == "early" else -1)

    def move_slot(self, start, length=WEEK):
        job = self.rows.get(pk=self.pk)
        job.time_slot_start = self.seconds_from_now(start)
        job.time_slot_end = job.time_slot_start + length if length else None
        with suppress(WrongStatus):
            job.save()
            self.job = job

    def delete(self):
        self.rows.filter(pk=self.pk).delete()


class Twin:
    """A job on the bench and its model, which is told the time and must come to the same.

    A row that ``moved`` must have changed since the last look, one that was ``touched`` may have, any other may not.
    """

    def __init__(self, bench):
        self.bench = bench
        self.row = self.read()
        self.model = Job(self.row["max_attempts"])
        self.moved = self.touched = False
        self.tell_time()

    def make(self, name, *arguments):
        """Make a move with both; time passes for the model as the hand moves."""
        if name not in TIME:
            self.follow(name, *arguments)
        getattr(self.bench, name)(*arguments)
        if name in TIME:
            self.tell_time()

    def follow(self, name, *arguments):
        """Make a move with the model alone."""
        before = self.model
        self.become(self.would(name, *arguments))
        self.touched |= name == "renew" and self.model.owned_by(*arguments)
        self.touched |= name == "lack" and before.status == "scheduled" and (before.attempts,) == arguments

    def become(self, model):
        assert not wrong_between(self.model, model)
        self.moved |= model.row != self.model.row
        self.model = model

    def would(self, name, *arguments):
        """Give the model as a move would leave it."""
        return MOVES[name].apply(self.model, RULES, *arguments)

    def run(self, message, raises):
        """Deliver a message to a worker that does all that there is to do."""
        self.follow_run(message, raises)
        with raising(self.bench.pk) if raises else nullcontext():
            runner.run_job(self.bench.pk, message, using=self.bench.alias)

    def follow_run(self, message, raises=False):
        starts = self.model.starts
        self.follow("start", message)
        if self.model.starts > starts:
            for name in ("throw", "record") if raises else ("call", "complete"):
                self.follow(name, message + 1)

    def tell_time(self):
        """Let the model know how late it is."""
        if self.model.status != GONE:
            awake = self.row["wake_at"] is not None and self.row["wake_at"] <= self.bench.hand.now
            pausing = self.model.pausing and not awake
            self.model = self.model._replace(slot=self.slot(), awake=awake, pausing=pausing)

    def slot(self):
        start, end = self.bench.job.time_slot_start, self.bench.job.time_slot_end
        now = to_datetime(self.bench.hand.now)
        if now < start or end is None:
            return "early" if now < start else "open"
        return "over" if now > end else "closing" if now + self.pause() > end else "open"

    def pause(self):
        """How long the job waits after this attempt, or after the next one if none is on its way."""
        doublings = self.model.attempts - (self.model.status == "running")
        return timedelta(seconds=10 * 2**doublings)

    def read(self):
        return self.bench.rows.filter(pk=self.bench.pk).values().first()

    def check(self):
        """Compare the row and the ledger with the model."""
        self.compare(self.read(), effects_in(self.bench.alias)[self.bench.pk])

    def compare(self, row, effects):
        was = self.row
        assert wrong_with(self.model) is None
        assert effects == self.model.effects
        if self.model.status == GONE:
            assert row is None
            return
        self.row = row
        assert (row["status"], row["attempts"]) == (self.model.status, self.model.attempts)
        assert (row["dispatched_at"] is not None) == self.model.sent
        if self.moved or not self.touched:
            assert (row != was) == self.moved
        if row["wake_at"] != was["wake_at"]:
            self.check_wake_up(row)
        if row["status"] in END_STATES - {"complete"}:
            assert row["error"]
        self.moved = self.touched = False
        self.tell_time()

    def check_wake_up(self, row):
        """A row sleeps as long as what it waits for may take."""
        soonest, latest = self.patience()
        if soonest is None:
            assert row["wake_at"] is None
        else:
            assert soonest <= row["wake_at"] <= latest

    def patience(self):
        now, model = self.bench.hand.now, self.model
        if model.status == "running":
            return now + 60 * SECOND, now + 60 * SECOND
        if model.status != "scheduled":
            return None, None
        if model.sent:
            return now + 60 * SECOND, now + 32 * 60 * SECOND
        if model.unknown:
            return now + 5 * SECOND, now + 300 * SECOND
        if model.pausing:
            return (now + 10 * SECOND * 2 ** (model.attempts - 1),) * 2
        # With an attempt behind it a row that is released does not know since when it was due.
        due_at = self.bench.job.due_at
        return due_at, max(due_at, now) if model.attempts else due_at
