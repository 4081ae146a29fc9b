"""Whether Flower slows the drain down when it listens. Task events are sent in both cases."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from benchmarks.figures import Figures
from benchmarks.measure_drain import drain
from benchmarks.peers import PEERS
from benchmarks.peers.ours import CELERY
from benchmarks.processes import Broken
from benchmarks.stage import Stage

EVENTS = {"CELERY_WORKER_SEND_TASK_EVENTS": True, "CELERY_TASK_SEND_SENT_EVENT": True}
CASES = {"nobody listens": False, "Flower listens": True}


def measure(stage: Stage, figures: Figures, jobs: int, rounds: int) -> None:
    for number in range(rounds):
        print(f"Flower, round {number + 1} of {rounds}", flush=True)
        for case, listens in CASES.items():
            try:
                figures.add("flower", case, **with_flower(stage, jobs, listens))
            except Broken as error:
                figures.failed("flower", case, error)


def with_flower(stage: Stage, jobs: int, listens: bool) -> dict[str, float | None]:
    with ExitStack() as stack:
        if listens:
            flower = stack.enter_context(stage.processes(PEERS["ours"], folder="flower", **EVENTS))
            flower.start(*CELERY, "flower", "--address=127.0.0.1", f"--port={free_port()}")
            flower.wait_for_log("Connected to")
        return drain(stage, PEERS["ours"], jobs, **EVENTS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
