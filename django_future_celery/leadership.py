"""The lease of the periodic tasks as one beat sees it."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import closing
from threading import Thread
from uuid import uuid4

from django.db import DatabaseError, InterfaceError, connections, router

from django_future_celery.leases import BeatLeaseQuerySet
from django_future_celery.models import BeatLease

logger = logging.getLogger(__name__)

#: Longest wait for the database at the end of a process; after that the lease ends by itself.
RELEASE_SECONDS = 3.0


class Leadership:
    """What decides whether this beat is the one that sends the periodic tasks of ``app``."""

    def __init__(self, app: str) -> None:
        self.app = app
        # In containers, host names and process ids may be the same.
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        #: Whether it was this beat's when that was last asked.
        self.held = False

    @property
    def using(self) -> str:
        return router.db_for_write(BeatLease)

    @property
    def rows(self) -> BeatLeaseQuerySet:
        rows: BeatLeaseQuerySet = BeatLease.objects.using(self.using)
        return rows

    def take(self) -> bool:
        """Take the lease if nobody else has it."""
        self.note(self.rows.take(self.app, self.holder))
        return self.held

    def renew(self, last_runs: str | None = None) -> bool:
        """Keep the lease, and write down ``last_runs``; False: it is another beat's, or may have been meanwhile."""
        self.note(self.held and self.rows.renew(self.app, self.holder, last_runs))
        return self.held

    def last_runs(self) -> str:
        """What whoever sent periodic tasks last has written down."""
        return self.rows.filter(name=self.app).values_list("last_runs", flat=True).first() or ""

    def release(self) -> None:
        """Give the lease back, if this beat has it.

        In a thread, with a connection of its own: signals end a beat, maybe in the middle of a query, and then the
        connection cannot be used.
        """
        if self.held:
            self.held = False
            thread = Thread(target=self._release, name="future-celery-release", daemon=True)
            thread.start()
            thread.join(RELEASE_SECONDS)

    def _release(self) -> None:
        try:
            with closing(connections[self.using]):
                self.rows.release(self.app, self.holder)
        except (DatabaseError, InterfaceError) as error:
            logger.debug("The lease of the periodic tasks could not be given back: %r", error)

    def note(self, held: bool) -> None:
        if held != self.held:
            logger.info("This beat %s the periodic tasks.", "now sends" if held else "no longer sends")
        self.held = held
