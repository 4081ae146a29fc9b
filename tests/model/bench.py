"""The moves of the model, made by the real functions on a real row."""

from contextlib import contextmanager, suppress
from datetime import timedelta
from unittest.mock import patch

from django_future_celery import dispatcher, job_as_parameter, recovery, runner
from django_future_celery.clock import SECOND, to_datetime, to_micros
from django_future_celery.exceptions import ClaimLost, WrongStatus
from django_future_celery.models import ScheduledJob
from django_future_celery.scheduling import schedule
from django_future_celery.states import END_STATES
from tests.model.job import GONE, MOVES, RULES, Job, wrong_between, wrong_with
from tests.shop.models import Ledger

WEEK = timedelta(weeks=1)
TIME = frozenset({"opens", "ends", "wakes"})


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


@contextmanager
def raising(pk):
    RAISES.add(pk)
    try:
        yield
    finally:
        RAISES.discard(pk)


def dying(*arguments):
    raise Died


def completing_and_dying(run, value, complete=runner.complete):
    complete(run, value)
    raise Died


class Bench:
    """One job and the processes that run it. A process is no more than what it has in memory: its Run."""

    def __init__(self, alias, hand, max_attempts=1, start=100, length=WEEK, **options):
        begin = to_datetime(hand.now + start * SECOND)
        self.alias, self.hand = alias, hand
        self.rows = ScheduledJob.objects.using(alias)
        self.job = schedule(begin, effect, expires=length, max_attempts=max_attempts, using=alias, **options)
        self.pk = self.job.pk
        self.runs = {}

    # -- time ---------------------------------------------------------------------------------------------------------

    def opens(self):
        self.hand.advance_to(self.job.due_at)

    def ends(self):
        self.hand.advance_to(to_micros(self.job.time_slot_end) + 1)

    def wakes(self):
        self.hand.advance_to(self.rows.values_list("wake_at", flat=True).get(pk=self.pk) or 0)

    # -- dispatchers --------------------------------------------------------------------------------------------------

    def claim(self):
        dispatcher.send(dispatcher.take_due(self.alias, self.hand.now).ready, lambda job: None, self.alias)

    def recover(self):
        recovery.recover(self.alias, self.hand.now)

    def lose(self, message):
        pass

    # -- a run --------------------------------------------------------------------------------------------------------

    def start(self, message):
        run = runner.start(self.pk, message, using=self.alias)
        if run is not None:
            self.runs[run.job.attempts] = run

    forge = start

    def call(self, attempt):
        """Comes with what follows it: until then nobody sees what an open transaction wrote."""

    def complete(self, attempt):
        if attempt in self.runs:
            runner.finish(self.runs.pop(attempt))

    def throw(self, attempt):
        if attempt in self.runs:
            with raising(self.pk), suppress(Boom):
                runner.perform(self.runs[attempt])

    def record(self, attempt):
        if attempt in self.runs:
            runner.record_error(self.runs.pop(attempt), Boom())

    def die(self, attempt, before=dying):
        """Die after the call: where the end is recorded, or with ``before=completing_and_dying`` at the commit."""
        if run := self.runs.pop(attempt, None):
            with patch.object(runner, "complete", before), suppress(Died, ClaimLost):
                runner.perform(run)

    def renew(self, attempt):
        self.rows.renew([(self.pk, attempt)])

    # -- people -------------------------------------------------------------------------------------------------------

    def cancel(self):
        self.job.cancel()

    def shift(self, slot):
        self.move_slot(100 if slot == "early" else -1)

    def move_slot(self, start, length=WEEK):
        job = self.rows.get(pk=self.pk)
        job.time_slot_start = to_datetime(self.hand.now + start * SECOND)
        job.time_slot_end = job.time_slot_start + length if length else None
        with suppress(WrongStatus):
            job.save()
            self.job = job

    def delete(self):
        self.rows.filter(pk=self.pk).delete()


class Twin:
    """A job on the bench and its model, which is told the time and must come to the same."""

    def __init__(self, bench):
        self.bench = bench
        self.row = self.read()
        self.model = self.in_time(Job(self.row["max_attempts"]))
        self.rewritten = False

    def make(self, name, *arguments):
        """Make a move with both; time passes for the model as the hand moves."""
        if name not in TIME:
            self.follow(name, *arguments)
        getattr(self.bench, name)(*arguments)

    def follow(self, name, *arguments):
        """Make a move with the model alone."""
        before = self.in_time(self.model)
        self.model = MOVES[name].apply(before, RULES, *arguments)
        assert not wrong_between(before, self.model)
        renewed = name == "renew" and self.model.owned_by(*arguments)
        self.rewritten |= renewed or self.model.row != before.row

    def in_time(self, model):
        """Give the model as it is at the hand's time."""
        if model.status == GONE:
            return model
        awake = self.row["wake_at"] is not None and self.row["wake_at"] <= self.bench.hand.now
        return model._replace(slot=self.slot(), awake=awake, pausing=model.pausing and not awake)

    def slot(self):
        start, end = self.bench.job.time_slot_start, self.bench.job.time_slot_end
        now = to_datetime(self.bench.hand.now)
        return "early" if now < start else "over" if end is not None and now > end else "open"

    def read(self):
        return self.bench.rows.filter(pk=self.bench.pk).values().first()

    def check(self):
        """Compare the row and the ledger with the model."""
        row, was = self.read(), self.row
        assert wrong_with(self.model) is None
        assert self.effects() == self.model.effects
        if self.model.status == GONE:
            assert row is None
            return
        self.row = row
        assert (row["status"], row["attempts"]) == (self.model.status, self.model.attempts)
        assert (row["dispatched_at"] is not None) == self.model.sent
        if not self.rewritten:
            assert row == was
        elif row["wake_at"] != was["wake_at"]:
            self.check_wake_up(row)
        if row["status"] in END_STATES - {"complete"}:
            assert row["error"]
        self.rewritten = False

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
        if model.pausing:
            return now + 5 * SECOND * 2 ** (model.attempts - 1), now + 10 * SECOND * 2 ** (model.attempts - 1)
        return self.bench.job.due_at, self.bench.job.due_at

    def effects(self):
        entries = Ledger.objects.using(self.bench.alias).order_by("pk").values_list("entry", flat=True)
        ours = (entry.split() for entry in entries)
        return tuple(int(attempt) for pk, attempt in ours if int(pk) == self.bench.pk)
