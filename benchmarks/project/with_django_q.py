import django

django.setup()

from django.db import transaction  # noqa: E402
from django_q.tasks import async_task  # noqa: E402


def fill(jobs: int) -> None:
    with transaction.atomic():
        for number in range(jobs):
            async_task("benchmarks.project.jobs.noop", number=number)
