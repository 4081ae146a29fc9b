from huey.contrib.sql_huey import SqlHuey
from playhouse.db_url import connect

from benchmarks.project import jobs as callables
from benchmarks.project.place import DATABASE

huey = SqlHuey("benchmark", database=connect(DATABASE.replace("postgres://", "postgresql://", 1)))
noop = huey.task()(callables.noop)


def fill(jobs: int) -> None:
    with huey.storage.database.atomic():
        for number in range(jobs):
            noop(number=number)
