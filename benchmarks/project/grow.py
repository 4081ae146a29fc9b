"""``python -m benchmarks.project.grow FINISHED FUTURE``: so many rows of each kind, made by raw SQL."""

import sys
from datetime import timedelta

from benchmarks.project.with_ours import NOOP, schedule_job

from benchmarks.project.rows import copy  # isort: skip  Django is set up by the line above

from django_future_celery import run_jobs  # isort: skip

#: Spread over a year, so that none becomes due while somebody looks.
LATER = "time_slot_start + i * interval '1 year' / {count}"
LATER_MICROS = "wake_at + i * (31557600000000 / {count})"


def future(count: int) -> None:
    job = schedule_job(timedelta(days=30), NOOP, kwargs={"number": 1}, expires=None)
    copy(
        job,
        count - 1,
        time_slot_start=LATER.format(count=count),
        wake_at=LATER_MICROS.format(count=f"{count}::bigint"),
    )


def finished(count: int) -> None:
    job = schedule_job(timedelta(0), NOOP, kwargs={"number": 1})
    run_jobs()
    copy(job, count - 1)


if __name__ == "__main__":
    if int(sys.argv[2]):
        future(int(sys.argv[2]))
    if int(sys.argv[1]):
        finished(int(sys.argv[1]))
