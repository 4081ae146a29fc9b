"""The moves of two jobs that share messages, made by the real functions on real rows.

Both processes are threads of one: they have the same name, and a message that comes twice has the same id.
"""

from contextlib import nullcontext
from datetime import timedelta
from unittest.mock import patch

from django.db import OperationalError

from django_future_celery import dispatcher, recovery, runner
from django_future_celery.batch import Batch, read, release
from tests.model.bench import WEEK, Bench, Twin, effects_in, raising, raising_at_commit
from tests.model.message import ALL_RULES, MOVES, Pair, wrong_with

DAY = timedelta(days=1)
TIME = frozenset({"opens", "ends", "wakes"})


class Couple:
    """Two real jobs, and the pair that is their model; the slot of b is the shorter one."""

    def __init__(self, alias, hand, most_of_a=1, most_of_b=1):
        self.alias, self.hand = alias, hand
        self.benches = {
            "a": Bench.scheduled(alias, hand, most_of_a, start=0, length=WEEK),
            "b": Bench.scheduled(alias, hand, most_of_b, start=0, length=DAY),
        }
        self.twins = {name: Twin(bench) for name, bench in self.benches.items()}
        self.model = Pair(*(twin.model for twin in self.twins.values()))
        #: What a process has in memory: its batch, what it runs, and the message of both.
        self.processes = [None, None]

    # -- both together ------------------------------------------------------------------------------------------------

    def make(self, name, *arguments):
        """Make a move with the jobs and the model, if it can come; time passes for the model as the hand moves."""
        if arguments not in MOVES[name].possible(self.model):
            return
        if name not in TIME:
            self.model = MOVES[name].apply(self.model, ALL_RULES, *arguments)
            for each, twin in self.twins.items():
                twin.become(self.model.job(each))
        getattr(self, name)(*arguments)

    def check(self):
        effects = effects_in(self.alias)
        for twin in self.twins.values():
            twin.compare(twin.read(), effects[twin.bench.pk])
        self.tell_time()
        assert wrong_with(self.model) is None
        assert [each and self.seen(*each) for each in self.processes] == [
            each and (each.run, [job.name for job in each.waiting]) for each in self.model.processes
        ]

    def seen(self, batch, run, message):
        return (self.name_of(run.job.pk), run.job.attempts), [self.name_of(job.pk) for job in batch.waiting]

    def tell_time(self):
        for name, twin in self.twins.items():
            twin.tell_time()
            self.model = self.model.with_job(name, twin.model)

    def name_of(self, pk):
        return next(name for name, bench in self.benches.items() if bench.pk == pk)

    def pairs(self, message):
        return [(self.benches[name].pk, attempts) for name, attempts in message]

    # -- time, dispatchers, people ------------------------------------------------------------------------------------

    def wakes(self, name):
        self.benches[name].wakes()

    def opens(self):
        self.benches["b"].opens()

    def ends(self):
        self.benches["b"].ends()

    def claim(self):
        sent = []
        with patch.multiple(dispatcher, FEW=0, MESSAGES=1):
            dispatcher.send(dispatcher.take_due(self.alias, self.hand.now).ready, sent.append, self.alias)
        assert len(sent) <= 1

    def recover(self):
        recovery.recover(self.alias, self.hand.now)

    def cancel(self):
        self.benches["b"].cancel()

    def shift(self):
        self.benches["b"].move_slot(100, DAY)
        self.twins["b"].touched = True

    # -- a process ----------------------------------------------------------------------------------------------------

    def take(self, message):
        batch = Batch(self.alias, *read(self.alias, self.pairs(message)), id_of(message))
        self.go_on(self.processes.index(None), message, batch, None)

    def go_on(self, number, message, batch, run):
        run = run or batch.start_next()
        self.processes[number] = run and (batch, run, message)

    def finish(self, number, trouble=None):
        batch, run, message = self.processes[number]
        with trouble or nullcontext():
            _, following = batch.finish(run)
        self.go_on(number, message, batch, following)

    def throw(self, number):
        self.finish(number, raising(self.processes[number][1].job.pk))

    def fail_to_commit(self, number):
        self.finish(number, raising_at_commit(self.alias, 0, OperationalError("refused")))

    def lose_answer(self, number):
        self.finish(number, raising_at_commit(self.alias, 0, OperationalError("connection lost"), made=True))

    def release(self, number):
        self.processes[number][0].release()

    def take_back(self, number):
        batch, run, _ = self.processes[number]
        runner.take_back(run)
        batch.release()
        self.die(number)

    def die(self, number):
        self.processes[number] = None

    def die_and_be_told(self, number):
        message = self.processes[number][2]
        self.die(number)
        recovery.record_death(self.alias, id_of(message), "Worker lost.")
        release(self.alias, read(self.alias, self.pairs(message))[0])


def id_of(message):
    return "-".join(f"{name}{attempts}" for name, attempts in message)
