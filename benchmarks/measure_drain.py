"""Drain: due jobs wait, the workers start, and the clock runs from the first tenth done until all are.

So nobody's start is measured, and everybody's end is. The same rule for all, and CPU over the same time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import Figures
from benchmarks.peers import Peer
from benchmarks.processes import Broken, Processes
from benchmarks.stage import Stage

WARM_UP = 0.1
LOOK_SECONDS = 0.1
STALL_SECONDS = 30
#: Until the first job is done.
START_SECONDS = 120
#: Nobody worth measuring is slower.
FEWEST_A_SECOND = 10


@dataclass(frozen=True)
class Moment:
    when: float
    done: int
    workers: float
    database: float
    broker: float


def measure(stage: Stage, figures: Figures, peers: Sequence[Peer], jobs: int, rounds: int) -> None:
    for number in range(rounds):
        print(f"drain of {jobs:,} jobs, round {number + 1} of {rounds}", flush=True)
        # Another one begins in each round, so that none always has the quiet or the warm machine.
        shift = number % len(peers)
        for peer in (*peers[shift:], *peers[:shift]):
            try:
                figures.add("drain", peer.name, **drain(stage, peer, jobs))
            except Broken as error:
                figures.failed("drain", peer.name, error)


def drain(stage: Stage, peer: Peer, jobs: int, **settings: Any) -> dict[str, float | None]:
    stage.empty()
    stage.fill(peer, jobs)
    return run(stage, peer, jobs, **settings)


def run(stage: Stage, peer: Peer, jobs: int, **settings: Any) -> dict[str, float | None]:
    """Start the workers, and watch them do the jobs that wait."""
    stage.settle()
    with stage.processes(peer, **settings) as processes:
        for command in peer.commands:
            processes.start(*command)
        return watch(stage, processes, peer, jobs)


def watch(stage: Stage, processes: Processes, peer: Peer, jobs: int) -> dict[str, float | None]:
    """Look until all are done.

    Raises:
        Broken: a process ended, nothing moves any more, or it takes too long.
    """
    patience = Patience(jobs, processes)
    first = None
    while (done := peer.done(stage, jobs)) < jobs:
        patience.check(done)
        if first is None and done >= WARM_UP * jobs:
            first = look(stage, processes, done)
        time.sleep(LOOK_SECONDS)
    if first is None:
        raise Broken(f"{jobs} jobs were done between two looks: give more with --jobs")
    return rates(stage, first, look(stage, processes, done)) | {"MB": processes.memory()}


class Patience:
    """Ends a run that hangs."""

    def __init__(self, jobs: int, processes: Processes) -> None:
        self.jobs = jobs
        self.processes = processes
        self.began = self.moved = time.monotonic()
        self.done = 0

    def check(self, done: int) -> None:
        now = time.monotonic()
        self.processes.check()
        if done != self.done:
            self.moved, self.done = now, done
        patience = STALL_SECONDS if done else START_SECONDS
        if now - self.moved > patience:
            told = self.processes.tails()
            raise Broken(f"{done} of {self.jobs} done, and nothing moved for {patience} s: {told}")
        if now - self.began > START_SECONDS + self.jobs / FEWEST_A_SECOND:
            raise Broken(f"{done} of {self.jobs} done after {now - self.began:.0f} s: given up")


def look(stage: Stage, processes: Processes, done: int) -> Moment:
    now = time.monotonic()
    return Moment(now, done, processes.cpu(), stage.servers.database(), stage.servers.broker())


def rates(stage: Stage, first: Moment, last: Moment) -> dict[str, float | None]:
    jobs = last.done - first.done

    def cost(name: str) -> float:
        return 1000 * (getattr(last, name) - getattr(first, name)) / jobs

    database = cost("database") if stage.servers.postmaster else None
    broker = cost("broker") if stage.servers.redis else None
    return {
        "jobs/s": jobs / (last.when - first.when),
        "CPU ms/job": cost("workers") + (database or 0) + (broker or 0),
        "of it workers": cost("workers"),
        "database": database,
        "broker": broker,
    }
