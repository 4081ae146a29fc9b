"""A beat scheduler that also ticks: ``celery beat -S future``.

It keeps the periodic tasks of django-celery-beat, if that app is installed, or else those of Celery's own scheduler.
The tick runs inside beat, so that busy workers cannot delay it.

Any number of beats may run. Each ticks; the periodic tasks are sent by the one that holds the lease. The others leave
them alone, and read when each was last sent once they take over.
"""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime
from typing import Any

from celery.beat import PersistentScheduler, SchedulingError
from django.apps import apps
from django.db import DatabaseError, InterfaceError, connections
from kombu.exceptions import OperationalError

from django_future_celery.clock import SECOND, database_now
from django_future_celery.conf import settings
from django_future_celery.dispatcher import Tick, databases, tick_all
from django_future_celery.exceptions import BrokerAway, LeaseLost
from django_future_celery.leadership import Leadership
from django_future_celery.nudges import Nudges
from django_future_celery.outages import BROKER, database, outages
from django_future_celery.presence import Presence
from django_future_celery.publishing import Publisher
from django_future_celery.querysets import AHEAD
from django_future_celery.states import Kind
from django_future_celery.text import one_line

logger = logging.getLogger(__name__)

#: More jobs than workers start in a second. A window that is full gets the time that they take for it, so that it is
#: filled up by a claim of many jobs, which share messages, and not again and again by the few just started.
MOST_STARTED_A_SECOND = 5000
#: The longest such pause: what is urgent waits for a place.
WINDOW_FULL_SECONDS = 0.2
#: A connection that was idle for longer may be dead, and that would show only when a task is lost on it.
IDLE_SECONDS = 10.0
#: Longest pause between two looks at the lease while another beat holds it.
STANDBY_SECONDS = 1.0
#: How often the lease is renewed before it would be over.
RENEWALS = 3

PERIODIC_TASKS = "The schedule of the periodic tasks"


class PeriodicTasksInFile(PersistentScheduler):  # type: ignore[misc]
    """Celery's own scheduler. Its file is this beat's alone, so what was sent is written to the lease."""

    def last_runs(self, entry: Any) -> str:
        """Give what to write down before ``entry`` is sent."""
        runs = {each.name: each.last_run_at for each in self.schedule.values()}
        runs[entry.name] = entry.default_now()
        return json.dumps({name: run.isoformat() for name, run in runs.items()})

    def read_schedule(self, last_runs: str) -> None:
        """Go on where the beat that led before has ended."""
        for name, run in json.loads(last_runs or "{}").items():
            if name in self.schedule:
                self.schedule[name].last_run_at = datetime.fromisoformat(run)
        self._heap = None


PeriodicTasks: Any = PeriodicTasksInFile

if apps.is_installed("django_celery_beat"):
    from django_celery_beat.schedulers import DatabaseScheduler as Rows

    class PeriodicTasksInRows(Rows):  # type: ignore[misc]
        """The scheduler of django-celery-beat. It reads and writes rows, so it does so only while this beat leads."""

        def setup_schedule(self) -> None:
            """Wait with it for ``read_schedule``."""

        def last_runs(self, entry: Any) -> None:
            """Nothing: it is on the rows, by the sync after each send."""

        def read_schedule(self, last_runs: str) -> None:
            self._dirty.clear()
            self._initial_read, self._heap = True, None
            super().setup_schedule()

    PeriodicTasks = PeriodicTasksInRows


class DatabaseScheduler(PeriodicTasks):  # type: ignore[misc]
    """Sends periodic tasks, and hands over scheduled jobs at the instant they become due."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._next_tick = 0.0
        # What was sent is written down at once: whoever leads next must not send it again.
        super().__init__(*args, sync_every_tasks=1, **options)
        self._publish = Publisher(self.app)
        self._nudges = Nudges()
        self._leadership = Leadership(self.app.main or "celery")
        self._presence = Presence(Kind.BEAT, self._leadership.holder)
        self._in_order = False
        self._last_sent = 0.0

    def tick(self, *args: Any, **options: Any) -> float:
        """Do what is due; give the seconds until the next call."""
        if time.monotonic() >= self._next_tick:
            self._next_tick = self._tick_jobs()
        pause = min(self._tick_periodic_tasks(*args, **options), settings.BEAT_LEASE_SECONDS / RENEWALS)
        return self._sleep(max(0.0, min(pause, self._next_tick - time.monotonic())))

    def _sleep(self, pause: float) -> float:
        """Sleep here if there are nudges to hear; give the seconds that Celery is to sleep."""
        heard = self._nudges.heard(databases(), pause)
        if heard is None:
            return pause
        if heard:
            self._next_tick = 0.0
        return 0.0

    def close(self) -> None:
        self._nudges.close()
        self._publish.close()
        try:
            super().close()
        finally:
            self._leadership.release()
            self._presence.leave()

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def _tick_jobs(self) -> float:
        """Tick; give the instant of the next one, by this process's stopwatch."""
        began = time.monotonic()
        ticks = tick_all(self._publish, self._publish.terminate)
        for using in ticks:
            self._presence.show(using)
        return min(
            (tick.stopwatch if tick else began) + self._pause_after(tick, using)
            for using, tick in ((using, ticks.get(using)) for using in databases())
        )

    def _pause_after(self, tick: Tick | None, using: str) -> float:
        """Seconds from one tick to the next: none while there is a backlog and room, else until something wakes.

        They count from the answer of the database's clock, not from the question: else the next tick would be too
        early by the way between, find nothing, and be late with the one after.
        """
        if tick is None or tick.broken:
            return settings.TICK_SECONDS
        if tick.sent or tick.over:
            logger.info("Scheduled jobs in %s: %s", using, tick)
        if tick.full:
            return min(settings.WINDOW / MOST_STARTED_A_SECOND, WINDOW_FULL_SECONDS)
        if tick.more:
            return 0.0
        if tick.wake is None:
            return settings.TICK_SECONDS
        ahead = AHEAD if tick.wake - tick.now > AHEAD else 0
        return min(settings.TICK_SECONDS, (tick.wake - tick.now - ahead) / SECOND)

    # -- periodic tasks -----------------------------------------------------------------------------------------------

    def _tick_periodic_tasks(self, *args: Any, **options: Any) -> float:
        """Send what is due if this beat leads; while nobody can know that, or nothing can be sent, it stays due."""
        try:
            pause = self._lead(*args, **options)
        except BrokerAway as error:
            outages.failed(BROKER, "The broker does not take messages, periodic tasks wait: %s", one_line(error))
        except (DatabaseError, InterfaceError) as error:
            connections.close_all()
            outages.failed(self._what_is_away(), "The periodic tasks wait for their database: %s", one_line(error))
        else:
            outages.works(PERIODIC_TASKS)
            return pause
        return float(settings.TICK_SECONDS)

    def _lead(self, *args: Any, **options: Any) -> float:
        if not self._leadership.renew():
            self._in_order = False
            if not self._leadership.take():
                return STANDBY_SECONDS
        if not self._in_order:
            self.read_schedule(self._leadership.last_runs())
        # A tick that is broken off has taken its entry from the heap.
        self._in_order = False
        try:
            pause = float(super().tick(*args, **options))
        except LeaseLost:
            return STANDBY_SECONDS
        self._in_order = True
        return pause

    @property
    def producer(self) -> Any:
        """The connection is that of the jobs: Celery's own would have them wait as long as the broker is away."""
        self._publish.open()
        return self._publish.producer

    def reserve(self, entry: Any) -> Any:
        """Let ``entry`` be sent: the broker answers, and this beat leads, also if it was frozen until just now."""
        if time.monotonic() - self._last_sent > IDLE_SECONDS:
            self._publish.close()
        self._publish.open()
        if not self._leadership.renew(self.last_runs(entry)):
            raise LeaseLost
        return super().reserve(entry)

    def apply_async(self, entry: Any, *args: Any, **options: Any) -> Any:
        """Send ``entry``; if the broker goes away just then, it may be sent or not, and is not sent again."""
        try:
            result = super().apply_async(entry, *args, **options)
        except SchedulingError as error:
            self._publish.close()
            if not isinstance(error.__context__, OperationalError | OSError):
                raise
            message = "The broker went away while the periodic task %s was sent: %s"
            outages.failed(BROKER, message, entry.name, one_line(error.__context__))
            return None
        self._last_sent = time.monotonic()
        outages.works(BROKER)
        return result

    def _what_is_away(self) -> str:
        """The database, of which the tick of jobs has told or will tell, or what only periodic tasks need."""
        using = self._leadership.using
        return database(using) if using in databases() and not answers(using) else PERIODIC_TASKS


def answers(using: str) -> bool:
    try:
        return database_now(using) > 0
    except (DatabaseError, InterfaceError):
        connections[using].close()
        return False
