"""The nudge: who schedules a job that is due at once has beat look as soon as that is committed, on PostgreSQL.

NOTIFY is a part of the transaction, and nobody waits for anybody. A nudge that is not heard costs nothing but the rest
of beat's sleep: the row says all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from select import select
from typing import Any

from django.db import DatabaseError, InterfaceError, connections

from django_future_celery.clock import SECOND
from django_future_celery.conf import settings
from django_future_celery.outages import outages
from django_future_celery.text import one_line

CHANNEL = "django_future_celery"


def nudge(using: str, due_at: int) -> None:
    """Tell the beats at the commit of a job that is due, in microseconds since 1970 UTC, before their longest sleep."""
    if not settings.NUDGE or connections[using].vendor != "postgresql":
        return
    if due_at < time.time_ns() // 1000 + settings.TICK_SECONDS * SECOND:
        with connections[using].cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")


class Listener:
    """Hears the nudges of one database, over a connection that is its own: what PgBouncer shares hears nothing."""

    def __init__(self, using: str) -> None:
        self.using = using
        self._wrapper: Any = None

    def fileno(self) -> int:
        return int(self._wrapper.connection.fileno())

    def open(self) -> bool:
        """Listen; True if that is new, so that nudges may have been missed.

        Raises:
            DatabaseError, InterfaceError: the database does not answer, or its driver is not psycopg 3.
        """
        if self._wrapper is not None:
            return False
        self._wrapper = connections.create_connection(self.using)
        with self._wrapper.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        if not hasattr(self._wrapper.connection, "pgconn"):
            raise InterfaceError("FUTURE_CELERY_NUDGE takes psycopg 3.")
        return True

    def drain(self) -> bool:
        """Take what has arrived. Raises DatabaseError if the connection is gone."""
        with self._wrapper.wrap_database_errors:
            self._wrapper.connection.pgconn.consume_input()
            while self._wrapper.connection.pgconn.notifies():
                pass
        return True

    def close(self) -> None:
        wrapper, self._wrapper = self._wrapper, None
        if wrapper is not None:
            with suppress(DatabaseError, InterfaceError):
                wrapper.close()


class Nudges:
    """What a beat hears; it listens in each of its databases that is PostgreSQL."""

    def __init__(self) -> None:
        self._listeners: dict[str, Listener] = {}

    def heard(self, databases: Sequence[str], seconds: float) -> bool | None:
        """Sleep until the next nudge, for ``seconds`` at most: whether there was one; None: there is nowhere to listen.

        A connection that fails is told in the log once, and opened anew the next time.
        """
        wanted = [using for using in databases if settings.NUDGE and connections[using].vendor == "postgresql"]
        listeners = [self._listeners.setdefault(using, Listener(using)) for using in wanted]
        opened = {listener: self._try(listener, listener.open) for listener in listeners}
        listening = [listener for listener in listeners if opened[listener] is not None]
        if not listening:
            return None
        new = any(opened.values())
        ready, _, _ = select(listening, [], [], 0 if new else seconds)
        for listener in ready:
            self._try(listener, listener.drain)
        return new or bool(ready)

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()

    def _try(self, listener: Listener, step: Callable[[], bool]) -> bool | None:
        """Give what the step gives; None if it failed, and then the connection is closed."""
        subject = f"The nudge of {listener.using!r}"
        try:
            result = step()
        except (DatabaseError, InterfaceError) as error:
            listener.close()
            outages.failed(subject, "Beat hears no nudges from %r: %s", listener.using, one_line(error))
            return None
        outages.works(subject)
        return result
