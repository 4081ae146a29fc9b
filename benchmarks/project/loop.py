"""``python -m benchmarks.project.loop MODULE ARGUMENTS…``: work until stopped, as a worker does that is a loop."""

import sys
import time
from importlib import import_module

if __name__ == "__main__":
    module, *arguments = sys.argv[1:]
    import_module(f"benchmarks.project.{module}").work(*map(int, arguments))
    while True:
        time.sleep(1)
