"""Growth: the drain and the tick on an empty table, and beside many rows that are none of their business.

The future rows come first, and have the lower ids: who looks for due rows in the order of ids walks over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.figures import Figures
from benchmarks.measure_drain import run
from benchmarks.peers import PEERS
from benchmarks.peers.base import counted
from benchmarks.processes import Broken
from benchmarks.stage import Stage

OURS = PEERS["ours"]
DONE = "SELECT count(*) FROM django_future_celery_scheduledjob WHERE status = 'complete' AND id > {}"
LAST = "SELECT coalesce(max(id), 0) FROM django_future_celery_scheduledjob"


def measure(stage: Stage, figures: Figures, jobs: int, rounds: int, millions: Sequence[float]) -> None:
    for rows in (0, *(int(each * 1_000_000) for each in millions)):
        case = f"beside {rows:,} finished and {rows:,} future rows" if rows else "empty table"
        print(f"growth: {case}", flush=True)
        stage.empty()
        try:
            grow(stage, rows, rows)
            for _ in range(rounds):
                figures.add("growth", case, **one_round(stage, jobs))
        except Broken as error:
            figures.failed("growth", case, error)


def grow(stage: Stage, finished: int, future: int) -> None:
    stage.call("benchmarks.project.grow", str(finished), str(future), apps=OURS.apps, timeout=7200)
    stage.settle()


def one_round(stage: Stage, jobs: int) -> dict[str, float | None]:
    ticks = stage.ask("benchmarks.project.ticks", apps=OURS.apps)
    last = stage.number(LAST)
    stage.fill(OURS, jobs)
    drained = run(stage, replace(OURS, done=counted(DONE.format(last))), jobs)
    return {"jobs/s": drained["jobs/s"], "CPU ms/job": drained["CPU ms/job"], **ticks}
