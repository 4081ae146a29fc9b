"""``python -m benchmarks.project.in_process CASE JOBS``: do due jobs in this process, print the figures as JSON."""

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from io import StringIO

import django

django.setup()

from django.apps import apps  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402


def ours(jobs: int) -> Callable[[], None]:
    import_module("benchmarks.project.with_ours").fill(jobs)
    return lambda: call_command("runscheduledjobs", stdout=StringIO())


def original(jobs: int) -> Callable[[], None]:
    module = import_module("benchmarks.project.with_original")
    module.fill(jobs)
    return module.work


def raw(jobs: int) -> Callable[[], None]:
    """One UPDATE by primary key and one commit a row, over Django's own connection but below the ORM."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS raw_job")
        cursor.execute("CREATE TABLE raw_job (id integer PRIMARY KEY, status varchar(16))")
        cursor.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s) "
            "INSERT INTO raw_job SELECT i, 'scheduled' FROM n",
            [jobs],
        )
    native = connection.connection
    mark = "?" if connection.vendor == "sqlite" else "%s"

    def work() -> None:
        for number in range(1, jobs + 1):
            native.execute(f"UPDATE raw_job SET status = 'complete' WHERE id = {mark}", (number,))

    return work


def done(case: str) -> int:
    if case == "raw":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM raw_job WHERE status = 'complete'")
            return cursor.fetchone()[0]
    model = {"ours": "django_future_celery.ScheduledJob", "original": "project.Job"}[case]
    return apps.get_model(model).objects.filter(status="complete").count()


def main(case: str, jobs: int) -> None:
    if connection.vendor == "sqlite":
        call_command("migrate", run_syncdb=True, verbosity=0)
    work = {"ours": ours, "original": original, "raw": raw}[case](jobs)
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    if done(case) != jobs:
        raise SystemExit(f"{done(case)} of {jobs} jobs are complete")
    print(json.dumps({"jobs/s": jobs / seconds, "CPU ms/job": 1000 * cpu / jobs}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
