"""``runscheduledjobs`` against the original's loop in one process, and what the database itself allows."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import Figures
from benchmarks.processes import Broken
from benchmarks.stage import Stage

CASES = {
    "django-future-celery": ("ours", "django_future_celery"),
    "django-future's loop": ("original", "benchmarks.project"),
    "UPDATE and commit": ("raw", None),
}
#: SQLite waits for the disk at each commit, or, in WAL mode without a risk for its consistency, only now and then.
SYNCHRONOUS = ("FULL", "NORMAL")


def measure(stage: Stage, figures: Figures, jobs: int, rounds: int) -> None:
    for number in range(rounds):
        print(f"{jobs:,} jobs in one process, round {number + 1} of {rounds}", flush=True)
        for title, (case, app) in CASES.items():
            stage.empty()
            run(stage, figures, f"{title}, PostgreSQL", case, jobs, apps=[app] if app else [])
        for synchronous in SYNCHRONOUS:
            for title, (case, app) in CASES.items():
                place = sqlite(stage, synchronous)
                run(stage, figures, f"{title}, SQLite {synchronous}", case, jobs, apps=[app] if app else [], **place)


def run(stage: Stage, figures: Figures, title: str, case: str, jobs: int, **place: Any) -> None:
    try:
        figures.add("process", title, **stage.ask("benchmarks.project.in_process", case, str(jobs), **place))
    except Broken as error:
        figures.failed("process", title, error)


def sqlite(stage: Stage, synchronous: str) -> dict[str, Any]:
    """A new file, with the settings that this package's documentation advises."""
    for path in stage.folder.glob("benchmark.sqlite3*"):
        path.unlink()
    pragmas = f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}"
    options = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": pragmas}
    return {"url": f"sqlite:///{stage.folder}/benchmark.sqlite3", "options": options}
