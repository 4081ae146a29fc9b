"""``python -m benchmarks.project.timed MODULE JOBS SECONDS KIND``: jobs at random instants, as many seconds long."""

import random
import sys
import time
from importlib import import_module

#: Until all are scheduled, and every sleeper has seen them.
LEAD_SECONDS = 10
OCCUPIED_SECONDS, EVERY_SECONDS = 0.05, 0.1

if __name__ == "__main__":
    module = import_module(f"benchmarks.project.{sys.argv[1]}")
    jobs, seconds, kind = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    begin = time.time() + (LEAD_SECONDS if seconds else 0)
    # The same instants for everybody.
    chance = random.Random(1)
    module.at([begin + chance.uniform(0, seconds) for _ in range(jobs)])
    if kind == "busy":
        module.occupy([begin + step * EVERY_SECONDS for step in range(int(seconds / EVERY_SECONDS))], OCCUPIED_SECONDS)
