"""Prometheus: what waits and runs in the databases, read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from django_future_celery import metrics
from django_future_celery.checkup import Limits, report
from django_future_celery.dispatcher import databases

COUNTS = {
    "due": "Jobs that are due and not handed over.",
    "sent": "Jobs whose message is out.",
    "late": "Jobs that have been due for more than five minutes and have not started.",
    "running": "Jobs that run.",
}
FIGURES = {
    "lost": "Runs that are lost and not ended.",
    "unanswered": "Jobs that were sent again and again and not started.",
    "oldest_due_seconds": "Time since the job that waits longest became due.",
    "last_tick_seconds": "Time since a beat or runscheduledjobs looked for due jobs.",
}


class JobsCollector(Collector):
    """The jobs of all databases; one that does not answer is only told as down. Counts end at checkup.MOST."""

    def describe(self) -> list[Metric]:
        """Nothing: to register must not ask a database."""
        return []

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("future_celery_up", "Whether the database answers.", labels=["database"])
        counts = {
            name: GaugeMetricFamily(f"future_celery_{name}_jobs", words, labels=["database", "queue"])
            for name, words in COUNTS.items()
        }
        figures = {
            name: GaugeMetricFamily(f"future_celery_{name}", words, labels=["database"])
            for name, words in FIGURES.items()
        }
        for using in databases():
            checkup = report(using, Limits()).checkup
            up.add_metric([using], checkup is not None)
            if checkup is None:
                continue
            for name, family in counts.items():
                for queue, number in ({"": 0} | getattr(checkup, name)).items():
                    family.add_metric([using, queue], number)
            for name, family in figures.items():
                if (value := checkup.figures()[name]) is not None:
                    family.add_metric([using], value)
        yield from (up, *counts.values(), *figures.values())


def exposition() -> tuple[bytes, str]:
    """Give the databases and what metrics.registry() has in the text form of Prometheus, and its content type."""
    registry = metrics.registry()
    registry.register(JobsCollector())
    return generate_latest(registry), CONTENT_TYPE_LATEST
