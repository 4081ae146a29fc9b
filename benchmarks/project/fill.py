"""``python -m benchmarks.project.fill MODULE JOBS``: have so many jobs wait, due since a moment."""

import sys
from importlib import import_module

if __name__ == "__main__":
    module, jobs = sys.argv[1:]
    import_module(f"benchmarks.project.{module}").fill(int(jobs))
