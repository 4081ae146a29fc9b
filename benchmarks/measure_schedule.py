"""Scheduling: one call a job, and many at once."""

from __future__ import annotations

from benchmarks.figures import Figures
from benchmarks.processes import Broken
from benchmarks.stage import Stage

#: Title: the case in ``project/scheduling.py``, and the app.
CASES = {
    "schedule_job()": ("schedule_job", ["django_future_celery"]),
    "create() of the same row by the ORM": ("create", ["django_future_celery"]),
    "procrastinate, defer()": ("defer", []),
    "schedule_jobs()": ("schedule_jobs", ["django_future_celery"]),
    "bulk_create() of the same rows by the ORM": ("bulk_create", ["django_future_celery"]),
    "procrastinate, batch_defer()": ("batch_defer", []),
}


def measure(stage: Stage, figures: Figures, jobs: int, rounds: int) -> None:
    for number in range(rounds):
        print(f"scheduling of {jobs:,} jobs, round {number + 1} of {rounds}", flush=True)
        for title, (case, apps) in CASES.items():
            stage.empty()
            try:
                figures.add("schedule", title, **stage.ask("benchmarks.project.scheduling", case, str(jobs), apps=apps))
            except Broken as error:
                figures.failed("schedule", title, error)
