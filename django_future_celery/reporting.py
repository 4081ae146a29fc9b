"""What Celery and Flower are told of runs."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from celery import Task
from celery.exceptions import WorkerShutdown, WorkerTerminate

from django_future_celery.clock import SECOND, to_micros
from django_future_celery.exceptions import BrokerAway, BrokerLost, JobFailed
from django_future_celery.models import ScheduledJob
from django_future_celery.outages import outages
from django_future_celery.publishing import Publisher, shown
from django_future_celery.redaction import redacted_error
from django_future_celery.runner import Outcome
from django_future_celery.states import Status
from django_future_celery.text import one_line

#: What may end a worker while a job runs. It is recorded on the row, then does its work.
WORKER_MUST_END = (WorkerShutdown, WorkerTerminate)
#: Codes of the SystemExit that Celery's processes raise where they are at a signal to end.
SIGNALLED = {number - 256 for number in signal.Signals}

#: Events of the jobs of a message are sent together, at the end or when the last ones were sent so many seconds ago.
TOGETHER_FOR = 0.5

EVENTS = "The events of jobs"


def report(outcome: Outcome) -> str:
    """Tell Celery how a run ended."""
    job, error = outcome.job, outcome.error
    raise_to_end(error)
    if error is not None:
        again = ", it will be tried again" if job.status == Status.SCHEDULED else ""
        summary = f"{type(error).__name__}: attempt {job.attempts} of {job.max_attempts}{again}"
        # Not chained: Celery would send the error as it is.
        raise JobFailed(summary, redacted_error(error, job)) from None
    return str(job.status)


def raise_to_end(error: BaseException | None) -> None:
    """Raise what is to end the worker."""
    if isinstance(error, WORKER_MUST_END) or (isinstance(error, SystemExit) and error.code in SIGNALLED):
        raise error


class Told(Protocol):
    """Whoever is told of the jobs of a message."""

    def started(self, job: ScheduledJob) -> None: ...

    def ended(self, outcome: Outcome) -> None: ...


class Nobody:
    def started(self, job: ScheduledJob) -> None: ...

    def ended(self, outcome: Outcome) -> None: ...


@contextmanager
def told_of_jobs(task: Task, wanted: bool) -> Iterator[Told]:
    """Have Celery's events sent of each job of a message, as if it had come with a message of its own."""
    if not wanted:
        yield Nobody()
        return
    with Publisher(task.app) as publisher:
        events = Events(task, publisher)
        try:
            yield events
        finally:
            events.send()


class Events:
    """Events of jobs, sent in groups; a broker that does not take them keeps no job waiting for long."""

    def __init__(self, task: Task, publisher: Publisher) -> None:
        self.app, self.hostname, self.publisher = task.app, task.request.hostname, publisher
        self.unsent: list[tuple[str, dict[str, Any]]] = []
        self.sent_at = 0.0

    def started(self, job: ScheduledJob) -> None:
        names = {what.removesuffix("repr"): text for what, text in shown(job).items()}
        self.add("task-received", job, name=job.callable_name, root_id=job.task_id, retries=0, **names)
        self.add("task-started", job)

    def ended(self, outcome: Outcome) -> None:
        job = outcome.job
        try:
            result = report(outcome)
        except JobFailed as failure:
            self.add("task-failed", job, exception=repr(failure), traceback=failure.args[1])
        else:
            self.add("task-succeeded", job, result=repr(result), runtime=runtime(job))

    def add(self, kind: str, job: ScheduledJob, **fields: Any) -> None:
        self.unsent.append((kind, {"uuid": job.task_id, "timestamp": time.time(), **fields}))
        if time.monotonic() - self.sent_at >= TOGETHER_FOR:
            self.send()

    def send(self) -> None:
        """Send what is unsent, or tell once that it is lost."""
        events, self.unsent = self.unsent, []
        try:
            self.publish(events)
            outages.works(EVENTS)
        except (BrokerAway, BrokerLost) as error:
            outages.failed(EVENTS, "The broker takes no events, Flower does not see some jobs: %s", one_line(error))
        self.sent_at = time.monotonic()

    def publish(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        self.publisher.open()
        options = {"hostname": self.hostname, "buffer_while_offline": False, "buffer_group": {"task"}}
        with self.publisher.closed_on_error(BrokerLost):
            dispatcher = self.app.events.Dispatcher(self.publisher.connection, buffer_limit=len(events) + 1, **options)
            for kind, fields in events:
                dispatcher.send(kind, **fields)
            dispatcher.flush()


def runtime(job: ScheduledJob) -> float:
    if job.execution_start is None or job.execution_end is None:
        return 0.0
    return (to_micros(job.execution_end) - to_micros(job.execution_start)) / SECOND
