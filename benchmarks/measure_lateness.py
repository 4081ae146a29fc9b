"""Lateness: how long after its instant a job starts, by the clock that the job itself reads."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median, quantiles

from benchmarks.figures import Figures
from benchmarks.peers import PEERS, Peer
from benchmarks.processes import Broken, Processes
from benchmarks.project.names import STARTS
from benchmarks.stage import Stage

PUNCTUAL = ("ours", "celery-eta")
JOBS_A_MINUTE = 200
PATIENCE_SECONDS = 60
CASES = {"idle": "2", "busy": "1"}


def measure(stage: Stage, figures: Figures, seconds: int) -> None:
    for kind, slots in CASES.items():
        for name in PUNCTUAL:
            peer = with_slots(PEERS[name], slots)
            print(f"lateness of {peer.title}, {kind}, {seconds} s", flush=True)
            case = f"{peer.title}, {kind}"
            try:
                figures.add("lateness", case, **summary(lateness(stage, peer, kind, seconds)))
            except Broken as error:
                figures.failed("lateness", case, error)


def with_slots(peer: Peer, slots: str) -> Peer:
    commands = tuple(tuple(slots if part == "2" else part for part in command) for command in peer.commands)
    return replace(peer, commands=commands)


def lateness(stage: Stage, peer: Peer, kind: str, seconds: int) -> list[float]:
    """Give the lateness of each job in milliseconds."""
    stage.empty()
    stage.settle()
    with stage.processes(peer) as processes:
        for command in peer.commands:
            processes.start(*command)
        # Whoever does the first job has started, and has its connections.
        ask(stage, peer, 1, 0, "idle")
        wait(stage, processes, 1, PATIENCE_SECONDS)
        stage.redis.delete(STARTS)
        jobs = max(10, JOBS_A_MINUTE * seconds // 60)
        ask(stage, peer, jobs, seconds, kind)
        wait(stage, processes, jobs, seconds + PATIENCE_SECONDS)
    return [1000 * float(late) for late in stage.redis.lrange(STARTS, 0, -1)]


def ask(stage: Stage, peer: Peer, jobs: int, seconds: int, kind: str) -> None:
    arguments = (peer.module, str(jobs), str(seconds), kind)
    stage.call("benchmarks.project.timed", *arguments, apps=peer.apps, settings=peer.settings)


def wait(stage: Stage, processes: Processes, jobs: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (done := stage.redis.llen(STARTS)) < jobs:
        processes.check()
        if time.monotonic() > deadline:
            raise Broken(f"{done} of {jobs} jobs had started after {seconds:g} s: {processes.tails()}")
        time.sleep(0.5)


def summary(late: list[float]) -> dict[str, float | None]:
    """``early`` is how long before its instant the earliest job started."""
    return {
        "p50": median(late),
        "p95": quantiles(late, n=20, method="inclusive")[-1],
        "max": max(late),
        "early": max(0.0, -min(late)),
    }
