"""Who is at work: each beat, worker and command renews a row of its own in each database that it looks after."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing

from django.db import connections

from django_future_celery.clock import SECOND, database_now
from django_future_celery.dispatcher import databases
from django_future_celery.models import Process
from django_future_celery.outages import outages
from django_future_celery.states import Kind
from django_future_celery.text import one_line

#: Seconds between two signs of life of a process, at least.
SEEN_SECONDS = 10.0
#: A process that was not seen for so many microseconds is forgotten.
FORGOTTEN = 24 * 3600 * SECOND
#: Longest wait for the database at the end of a process, in seconds; after that the row grows old by itself.
LEAVE_SECONDS = 3.0


class Presence:
    """What says of this process that it is at work. What fails here is told in the log, and fails nothing else.

    Args:
        name: identifies the row; a process that comes after another one may have the same.
        clock: gives seconds, from any start.
    """

    def __init__(self, kind: Kind, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.kind, self.name = kind, name
        self._clock = clock
        self._since: dict[str, int] = {}
        self._next: dict[str, float] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def show(self, using: str) -> None:
        """Say that it is at work, unless it said so just now."""
        moment = self._clock()
        if moment < self._next.get(using, 0.0):
            return
        self._next[using] = moment + SEEN_SECONDS
        subject = f"The list of processes in {using!r}"
        try:
            self.write(using, database_now(using))
            outages.works(subject)
        except Exception as error:
            connections[using].close()
            outages.failed(subject, "Could not say in %r that %s is at work: %s", using, self.name, one_line(error))

    def write(self, using: str, now: int) -> None:
        host, pid, since = socket.gethostname(), os.getpid(), self._since.setdefault(using, now)
        rows = Process.objects.using(using)
        if not rows.filter(name=self.name).update(kind=self.kind, host=host, pid=pid, since=since, seen=now):
            row = Process(name=self.name, kind=self.kind, host=host, pid=pid, since=since, seen=now)
            rows.bulk_create([row], ignore_conflicts=True)
            rows.filter(seen__lt=now - FORGOTTEN).delete()

    def stay(self) -> None:
        """Say it in all databases from now on, in a thread, so that a database that is away keeps nobody waiting."""
        self._begin(self._stay)

    def leave(self) -> None:
        """Take the rows away.

        In a thread, with connections of its own: signals end a process, maybe in the middle of a query.
        """
        self._over.set()
        thread = self._thread or self._begin(self._leave)
        thread.join(LEAVE_SECONDS)

    def _begin(self, target: Callable[[], None]) -> threading.Thread:
        self._thread = threading.Thread(target=target, name="future-celery-presence", daemon=True)
        self._thread.start()
        return self._thread

    def _stay(self) -> None:
        while not self._over.is_set():
            for using in databases():
                with closing(connections[using]):
                    self.show(using)
            self._over.wait(SEEN_SECONDS)
        self._leave()

    def _leave(self) -> None:
        for using in self._since:
            try:
                with closing(connections[using]):
                    Process.objects.using(using).filter(name=self.name, pid=os.getpid()).delete()
            except Exception as error:
                outages.failed(
                    self.name, "Could not say in %r that %s has ended: %s", using, self.name, one_line(error)
                )
