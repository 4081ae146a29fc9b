"""Sticky jobs: one instance of each is always waiting."""

from __future__ import annotations

import logging
from functools import cache
from importlib import import_module

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from django_future_celery import options
from django_future_celery.callables import STICKY
from django_future_celery.clock import SECOND, to_datetime
from django_future_celery.conf import settings
from django_future_celery.durations import end_of
from django_future_celery.models import ScheduledJob

logger = logging.getLogger(__name__)


@cache
def discover() -> None:
    """Import the ``jobs`` module of each installed app, once, so that the decorators in them have run.

    One that cannot be imported is told in the log: it must not keep the jobs of all the others waiting.
    """
    for app in apps.get_app_configs():
        if module_has_submodule(app.module, "jobs"):
            try:
                import_module(f"{app.name}.jobs")
            except Exception:
                logger.exception("%s.jobs cannot be imported, so its sticky jobs are not scheduled.", app.name)


def ensure(using: str, now: int) -> int:
    """Insert the sticky jobs of which no instance waits or runs; give their number.

    The new one is due an interval from now: now is when the end of the last one was noticed. Two processes that notice
    it at a time try to insert the same unique key, and one of them is ignored.
    """
    discover()
    objects = ScheduledJob.objects.using(using)
    alive = set(objects.filter(unique_key__in=STICKY).values_list("unique_key", flat=True))
    missing = sorted(STICKY.keys() - alive)
    start = to_datetime(now + int(settings.STICKY_INTERVAL * SECOND))
    end = end_of("7d", start=start)
    slot = {"time_slot_start": start, "time_slot_end": end}
    objects.bulk_create(
        [
            ScheduledJob(callable_name=path, unique_key=path, **slot, **options.chosen({}, STICKY[path]))
            for path in missing
        ],
        ignore_conflicts=True,
    )
    return len(missing)
