"""Faults at moments that a seed draws, one after another, while jobs become due."""

import heapq
import itertools
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress

import redis
from tqdm import tqdm

from tests.chaos.stage import ask, sleep_until

#: What a kill hits; children are killed twice as often as what has to be started anew as a whole.
KILLS = ["kill worker", "kill child", "kill child", "kill beat"]

#: The other faults, each with how many of them come with a hundred kills.
OTHERS = {
    "freeze worker": 20,
    "flush": 8,
    "restart redis": 8,
    "pause redis": 8,
    "restart postgresql": 8,
    "cut connection": 20,
}
OF_REDIS = {"restart redis", "pause redis"}

#: Seconds that a worker is frozen: longer than the lease of its runs.
FREEZE = (5.0, 8.0)
#: Seconds for which Redis answers nobody: longer than a publish waits for it.
PAUSE = 2.5
#: Seconds until what was killed or stopped is started again.
AWAY = (0.2, 1.5)
#: Seconds of work before a member may be hit.
AT_WORK = 2.0
#: Seconds until a fault that found nothing to hit is tried again.
LATER = 0.5


def timeline(rng, kills, seconds, with_redis=True):
    """Give (moment, fault) of the whole run, in order."""
    names = [KILLS[each % len(KILLS)] for each in range(kills)]
    for name, share in OTHERS.items():
        if with_redis or name not in OF_REDIS:
            names += [name] * max(1, round(kills * share / 100))
    rng.shuffle(names)
    gap = seconds / len(names)
    return [((number + rng.random()) * gap, name) for number, name in enumerate(names)]


class Agenda:
    """What is to be done, and when: seconds since the storm began."""

    def __init__(self):
        self.began = time.monotonic()
        self.entries = []
        self.numbers = itertools.count()

    def at(self, moment, action, *args):
        heapq.heappush(self.entries, (moment, next(self.numbers), action, args))

    def after(self, seconds, action, *args):
        self.at(time.monotonic() - self.began + seconds, action, *args)

    def run_due(self):
        while self.entries and self.entries[0][0] <= time.monotonic() - self.began:
            _, _, action, args = heapq.heappop(self.entries)
            action(*args)


class Storm:
    def __init__(self, stage, rng, workers, beats):
        self.stage = stage
        self.rng = rng
        self.workers = workers
        self.beats = beats
        self.tally = Counter()
        self.agenda = None
        self.mourned = set()
        self.killed = set()

    def rage(self, faults, cancels, progress):
        """Bring everything about, and end with all members running and no fault left."""
        sleep_until(self.stage.began)
        self.agenda = Agenda()
        for moment, name in faults:
            self.agenda.at(moment, self.strike, name)
        for moment, job in cancels:
            self.agenda.at(max(0.0, moment), self.cancel, job)
        while self.agenda.entries or not self.all_alive():
            self.step(progress)

    def settle(self, seconds, progress):
        """Wait until every job has ended, and then for what may come too late."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.stage.ended() != len(self.stage.planned):
            self.step(progress)
        took = time.monotonic() - deadline + seconds
        late = time.monotonic() + self.stage.settings["FUTURE_CELERY_RUN_LEASE_SECONDS"]
        while time.monotonic() < late:
            self.step(progress)
        return took

    def step(self, progress):
        self.at_work(self.stage.members)  # notes since when
        self.agenda.run_due()
        self.tally["cut commit"] += ask(self.stage.cut_commits) or 0
        self.supervise()
        progress(self)
        time.sleep(0.05)

    # -- supervision -------------------------------------------------------------------------------------------------

    def all_alive(self):
        return all(member.alive for member in self.stage.members)

    def supervise(self):
        for member in self.stage.members:
            if not member.alive and member.process not in self.mourned:
                self.mourned.add(member.process)
                if member.process not in self.killed:
                    self.tally["ends of their own"] += 1
                    tqdm.write(f"{member.name} ended by itself, with {member.process.returncode}", file=sys.stderr)
                self.agenda.after(self.rng.uniform(*AWAY), self.stage.restart, member)

    # -- faults ------------------------------------------------------------------------------------------------------

    def strike(self, name):
        """Do the fault; if there is nothing to hit just now, try again a little later."""
        if getattr(self, name.replace(" ", "_"))():
            self.tally[name] += 1
        else:
            self.agenda.after(LATER, self.strike, name)

    def at_work(self, members):
        # On a slow machine all would else be killed while they start, and none would be hit at its work.
        return [member for member in members if member.at_work(AT_WORK)]

    def kill_worker(self):
        """Kill the parent; the kernel takes its children along."""
        return self.kill_one_of(self.workers)

    def kill_beat(self):
        return self.kill_one_of(self.beats)

    def kill_one_of(self, members):
        if busy := self.at_work(members):
            process = self.rng.choice(busy).process
            self.killed.add(process)
            process.kill()
        return bool(busy)

    def kill_child(self):
        children = [child for worker in self.at_work(self.workers) for child in worker.children()]
        with suppress(ProcessLookupError):
            if children:
                os.kill(self.rng.choice(children), signal.SIGKILL)
                return True
        return False

    def freeze_worker(self):
        """Stop a worker with its children, and wake it when its leases are over."""
        busy = [worker for worker in self.at_work(self.workers) if not worker.frozen]
        if busy:
            worker = self.rng.choice(busy)
            worker.freeze()
            self.agenda.after(self.rng.uniform(*FREEZE), worker.thaw, worker.process)
        return bool(busy)

    def flush(self):
        with suppress(redis.RedisError, OSError):
            self.stage.flush()
            return True
        return False

    def pause_redis(self):
        with suppress(redis.RedisError, OSError):
            return self.stage.redis_client().execute_command("CLIENT", "PAUSE", int(PAUSE * 1000), "ALL")
        return False

    def restart_redis(self):
        if not self.stage.redis.answers():
            return False
        self.stage.redis.kill()
        self.agenda.after(self.rng.uniform(*AWAY), self.stage.redis.start)
        return True

    def restart_postgresql(self):
        if not self.stage.database.running:
            return False
        self.stage.database.crash()
        self.agenda.after(self.rng.uniform(*AWAY), self.stage.database.start)
        return True

    def cut_connection(self):
        return bool(ask(lambda: self.stage.cut_one(self.rng)))

    def cancel(self, job):
        """Cancel the job, or ask its run to stop; asked again until the database answers."""
        if ask(lambda: self.stage.cancel(job)) is None:
            self.agenda.after(LATER, self.cancel, job)
