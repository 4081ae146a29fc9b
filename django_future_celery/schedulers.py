"""A beat scheduler that also ticks: ``celery beat -S future``.

It keeps the periodic tasks of django-celery-beat, if that app is installed, or else those of Celery's own scheduler.
The tick runs inside beat, so that busy workers cannot delay it.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.beat import PersistentScheduler
from django.apps import apps
from django.db import DatabaseError, InterfaceError, connections

from django_future_celery.clock import SECOND
from django_future_celery.conf import settings
from django_future_celery.dispatcher import Tick, databases, tick_all
from django_future_celery.tasks import Publisher

if apps.is_installed("django_celery_beat"):
    from django_celery_beat.schedulers import DatabaseScheduler as PeriodicTasks
else:
    PeriodicTasks = PersistentScheduler

logger = logging.getLogger(__name__)

#: Pause while the window is full: until workers have started some of the jobs that were sent.
WINDOW_FULL_SECONDS = 0.2


class DatabaseScheduler(PeriodicTasks):  # type: ignore[misc]
    """Sends periodic tasks, and hands over scheduled jobs at the instant they become due."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._next_tick = 0.0
        super().__init__(*args, **options)
        self._publish = Publisher(self.app)

    def tick(self, *args: Any, **options: Any) -> float:
        """Do what is due; give the seconds until the next call."""
        began = time.monotonic()
        if began >= self._next_tick:
            self._next_tick = began + self._tick_jobs()
        pause = self._tick_periodic_tasks(*args, **options)
        return max(0.0, min(pause, self._next_tick - time.monotonic()))

    def close(self) -> None:
        self._publish.close()
        super().close()

    def _tick_jobs(self) -> float:
        ticks = tick_all(self._publish, self._publish.terminate)
        return min(self._pause_after(ticks.get(using), using) for using in databases())

    def _tick_periodic_tasks(self, *args: Any, **options: Any) -> float:
        try:
            return float(super().tick(*args, **options))
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The database of the periodic tasks does not answer: %s", error)
            connections.close_all()
            return float(settings.TICK_SECONDS)

    def _pause_after(self, tick: Tick | None, using: str) -> float:
        """Seconds from one tick to the next: none while there is a backlog and room, else until something wakes."""
        if tick is None or tick.broken:
            return settings.TICK_SECONDS
        if tick.sent or tick.over:
            logger.info("Scheduled jobs in %s: %s", using, tick)
        if tick.more:
            return 0.0 if tick.sent or tick.over else WINDOW_FULL_SECONDS
        wake = settings.TICK_SECONDS if tick.wake is None else (tick.wake - tick.now) / SECOND
        return min(settings.TICK_SECONDS, wake)
