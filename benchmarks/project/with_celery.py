from celery import Celery

from benchmarks.project import jobs as callables
from benchmarks.project.place import REDIS

app = Celery("bare", broker=REDIS)
app.conf.worker_disable_rate_limits = True


@app.task(ignore_result=True)
def noop(number):
    return callables.noop(number)


def fill(jobs: int) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(jobs):
            noop.apply_async(kwargs={"number": number}, producer=producer)
