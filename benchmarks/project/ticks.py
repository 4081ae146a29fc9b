"""``python -m benchmarks.project.ticks``: how long a tick takes in the database, in milliseconds, as JSON."""

import json
import time
from statistics import median
from typing import Any

from benchmarks.project.with_ours import ScheduledJob, fill

from django_future_celery.dispatcher import tick  # isort: skip  Django is set up by the line above

IDLE_TICKS, FULL_TICKS = 100, 10
DUE = 200


def publish(*messages: Any, **options: Any) -> None:
    """Send nothing: this is about the database."""


def timed() -> float:
    clock = time.perf_counter()
    tick(publish, "default")
    return 1000 * (time.perf_counter() - clock)


def full() -> float:
    """A tick that hands over many jobs. They are deleted, so the window is open again."""
    last = max(ScheduledJob.objects.order_by("-pk").values_list("pk", flat=True)[:1], default=0)
    fill(DUE)
    took = timed()
    ScheduledJob.objects.filter(pk__gt=last).delete()
    return took


if __name__ == "__main__":
    timed()
    print(
        json.dumps(
            {
                "idle tick ms": median(timed() for _ in range(IDLE_TICKS)),
                f"tick of {DUE} ms": median(full() for _ in range(FULL_TICKS)),
            }
        )
    )
