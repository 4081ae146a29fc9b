import django

django.setup()

from django.db import transaction  # noqa: E402
from django.tasks import task  # noqa: E402

from benchmarks.project import jobs as callables  # noqa: E402


@task
def noop(number):
    return callables.noop(number)


def fill(jobs: int) -> None:
    with transaction.atomic():
        for number in range(jobs):
            noop.enqueue(number=number)
