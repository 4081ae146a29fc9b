"""What jobs do."""

import time

from benchmarks.project.names import STARTS
from benchmarks.project.place import client


def noop(number: int) -> int:
    return number


def punctual(due: float) -> None:
    """Write down how late this is, in seconds."""
    late = time.time() - due
    client().rpush(STARTS, late)


def occupy(seconds: float) -> None:
    time.sleep(seconds)
