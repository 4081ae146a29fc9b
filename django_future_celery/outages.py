"""What is away is told once, and once more when it is back: not at each try in between."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

BROKER = "The broker"


class Outages:
    """What is away, as one process knows it: the first failure is a warning, those after it are for debugging.

    Threads may share it: each step is a single operation on a dict.

    Args:
        clock: gives seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def failed(self, subject: str, message: str, *args: object) -> None:
        """Log ``message``, as far as it is news that ``subject`` is away."""
        level = logging.DEBUG if subject in self._since else logging.WARNING
        self._since.setdefault(subject, self._clock())
        logger.log(level, message, *args)

    def works(self, subject: str) -> None:
        """Log that ``subject`` is back, if it was away."""
        since = self._since.pop(subject, None)
        if since is not None:
            logger.info("%s is back after %.1f s.", subject, self._clock() - since)


#: Those of this process.
outages = Outages()


def database(using: str) -> str:
    return f"The database {using!r}"
