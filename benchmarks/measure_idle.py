"""What a beat costs that has nothing to do, with an empty table and with many future jobs."""

from __future__ import annotations

import time

from benchmarks.figures import Figures
from benchmarks.measure_growth import OURS, grow
from benchmarks.peers.ours import BEAT
from benchmarks.processes import Broken, Processes
from benchmarks.stage import Stage

#: From its first line in the log until its start is over.
START_SECONDS = 10
TOLD = tuple("INFO" if part == "WARNING" else part for part in BEAT)


def measure(stage: Stage, figures: Figures, seconds: int, millions: float) -> None:
    for rows in (0, int(millions * 1_000_000)):
        case = f"{rows:,} future jobs" if rows else "no jobs"
        print(f"idle beat, {case}, {seconds} s", flush=True)
        stage.empty()
        try:
            grow(stage, 0, rows)
            with stage.processes(OURS) as processes:
                processes.start(*TOLD)
                processes.wait_for_log("beat: Starting", 60)
                figures.add("idle", case, **watch(stage, processes, seconds))
        except Broken as error:
            figures.failed("idle", case, error)


def watch(stage: Stage, processes: Processes, seconds: int) -> dict[str, float | None]:
    time.sleep(START_SECONDS)
    memory, beat, database = processes.memory(), processes.cpu(), stage.servers.database()
    time.sleep(seconds)
    processes.check()
    return {
        "beat, % of a core": 100 * (processes.cpu() - beat) / seconds,
        "database, % of a core": 100 * (stage.servers.database() - database) / seconds,
        "MB": processes.memory(),
        "MB more than at the start": processes.memory() - memory,
    }
