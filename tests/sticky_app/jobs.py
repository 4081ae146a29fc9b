"""The jobs of an installed app: found because the module is named ``jobs``."""

from django_future_celery import sticky_job


@sticky_job
def tidy():
    return "tidy"
