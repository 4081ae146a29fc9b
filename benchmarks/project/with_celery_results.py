from datetime import UTC, datetime, timedelta

import django

django.setup()

from benchmarks.project import jobs as callables  # noqa: E402
from benchmarks.project.celery import app  # noqa: E402

noop = app.task(callables.noop, name="noop")
punctual = app.task(callables.punctual, name="punctual")
busy = app.task(callables.occupy, name="occupy")


def fill(jobs: int) -> None:
    eta = datetime.now(UTC) - timedelta(seconds=1)
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(jobs):
            noop.apply_async(kwargs={"number": number}, eta=eta, producer=producer)


def at(moments: list[float]) -> None:
    for due in moments:
        punctual.apply_async(kwargs={"due": due}, eta=datetime.fromtimestamp(due, UTC))


def occupy(moments: list[float], seconds: float) -> None:
    for due in moments:
        busy.apply_async(kwargs={"seconds": seconds}, eta=datetime.fromtimestamp(due, UTC))
