"""The database's clock in the hand of a test."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from django_future_celery import backoff, clock
from django_future_celery.clock import SECOND
from django_future_celery.querysets import COMPLETE, COMPLETE_AND_START, START, START_FREE

#: Far from the host's clock, so that whoever reads that one is found out.
BEGIN = 2_000_000_000 * SECOND


class Hand:
    """What the clock shows, in microseconds since 1970 UTC; it stands still until it is moved."""

    def __init__(self) -> None:
        self.now = BEGIN

    def advance_to(self, micros: int) -> None:
        self.now = max(self.now, micros)


@contextmanager
def clock_in_hand() -> Iterator[Hand]:
    """Have every database tell the time that the hand shows, and runs count from it; pauses are as long as may be."""
    hand = Hand()

    def tell(function: clock.DatabaseClock, compiler: object, connection: object, **extra: object) -> object:
        return str(hand.now), []

    with ExitStack() as stack:
        for vendor in ("postgresql", "mysql"):
            stack.enter_context(patch.object(clock.DatabaseClock, f"as_{vendor}", tell))
        # What is composed meanwhile has the hand's time in it.
        for statement in (START, START_FREE, COMPLETE, COMPLETE_AND_START):
            stack.enter_context(patch.object(statement, "composed", {}))
        # SQLite has the host's clock.
        stack.enter_context(patch.object(clock, "time", SimpleNamespace(time_ns=lambda: hand.now * 1000)))
        stack.enter_context(patch.object(clock.Watch, "now", lambda watch: hand.now))
        stack.enter_context(patch.object(backoff, "random", SimpleNamespace(uniform=max)))
        yield hand
