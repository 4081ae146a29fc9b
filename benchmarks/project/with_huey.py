from huey import PostgresHuey

from benchmarks.project import jobs as callables
from benchmarks.project.place import DATABASE

huey = PostgresHuey("benchmark", dsn=DATABASE)
noop = huey.task()(callables.noop)


def fill(jobs: int) -> None:
    for number in range(jobs):
        noop(number=number)
