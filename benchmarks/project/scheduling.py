"""``python -m benchmarks.project.scheduling CASE JOBS``: schedule so many jobs, print the figures as JSON."""

import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module

from django.utils import timezone

PAGE = 1000


def ours() -> object:
    return import_module("benchmarks.project.with_ours")


def schedule_job() -> Callable[[range], object]:
    one = ours().schedule_one
    return lambda numbers: [one(number) for number in numbers]


def create() -> Callable[[range], object]:
    row = ours().row
    return lambda numbers: [row(number).save() for number in numbers]


def bulk_create() -> Callable[[range], object]:
    module = ours()
    return lambda numbers: module.ScheduledJob.objects.bulk_create([module.row(number) for number in numbers])


def schedule_jobs() -> Callable[[range], object]:
    module = ours()
    package = import_module("django_future_celery")
    if not hasattr(package, "schedule_jobs"):
        raise SystemExit("this version of django_future_celery has no schedule_jobs()")
    start = timezone.now() + timedelta(days=1)
    return lambda numbers: package.schedule_jobs(
        [package.Job(start, module.NOOP, kwargs={"number": number}) for number in numbers]
    )


def procrastinate() -> object:
    module = import_module("benchmarks.project.with_procrastinate")
    module.open_for_deferring()
    return module


def defer() -> Callable[[range], object]:
    one = procrastinate().defer_one
    return lambda numbers: [one(number) for number in numbers]


def batch_defer() -> Callable[[range], object]:
    return procrastinate().defer_many


CASES = {case.__name__: case for case in (schedule_job, create, bulk_create, schedule_jobs, defer, batch_defer)}


def main(case: str, jobs: int) -> None:
    schedule = CASES[case]()
    schedule(range(PAGE // 10))  # Imports, connections and prepared statements are nobody's cost.
    clock, cpu = time.perf_counter(), time.process_time()
    for first in range(0, jobs, PAGE):
        schedule(range(first, min(first + PAGE, jobs)))
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    print(json.dumps({"calls/s": jobs / seconds, "CPU ms/job": 1000 * cpu / jobs}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
