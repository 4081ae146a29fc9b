import atexit
from contextlib import ExitStack

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from benchmarks.project import jobs as callables
from benchmarks.project.place import DATABASE

app = App(connector=PsycopgConnector(conninfo=DATABASE), import_paths=["benchmarks.project.with_procrastinate"])
PAGE = 1000


@app.task(name="noop")
async def noop(number):
    return callables.noop(number)


def fill(jobs: int) -> None:
    open_for_deferring()
    for first in range(0, jobs, PAGE):
        defer_many(range(first, min(first + PAGE, jobs)))


def open_for_deferring() -> None:
    """Use a blocking connection until this process ends."""
    stack = ExitStack()
    stack.enter_context(app.replace_connector(SyncPsycopgConnector(conninfo=DATABASE)))
    stack.enter_context(app.open())
    atexit.register(stack.close)


def defer_one(number: int) -> None:
    noop.defer(number=number)


def defer_many(numbers: range) -> None:
    noop.batch_defer(*({"number": number} for number in numbers))
