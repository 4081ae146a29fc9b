"""The Celery side: a message for one job, and the tick as a task. Thin: the work is done by functions without Celery.

The names of the tasks and the form of the messages are a contract between the versions of two processes. A message
carries ``(id, attempts)``, and the database's alias where it is not the usual one: never code, never arguments.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, Task, shared_task
from celery.exceptions import TimeLimitExceeded, WorkerLostError, WorkerShutdown, WorkerTerminate
from celery.signals import task_failure, task_revoked, worker_init, worker_ready, worker_shutdown
from django.db import connections, router
from kombu.exceptions import OperationalError

from django_future_celery import serializers, sticky
from django_future_celery.conf import settings
from django_future_celery.dispatcher import tick_all
from django_future_celery.exceptions import BrokerAway, BrokerLost, JobFailed
from django_future_celery.models import ScheduledJob
from django_future_celery.presence import Presence
from django_future_celery.recovery import cancel_message, record_death
from django_future_celery.redaction import redact, redacted_error
from django_future_celery.runner import Outcome, run_job
from django_future_celery.states import Kind, Status
from django_future_celery.text import storable

logger = logging.getLogger(__name__)

#: Characters of the arguments that a message shows, as many as Celery's own.
MOST_SHOWN = 1024

#: What may end a worker while a job runs. It is recorded on the row, then does its work.
WORKER_MUST_END = (WorkerShutdown, WorkerTerminate)
#: Codes of the SystemExit that Celery's processes raise where they are at a signal to end.
SIGNALLED = {number - 256 for number in signal.Signals}

#: Celery must not do what the row does: acknowledge late, redeliver, retry, keep results. A redelivered message could
#: not tell whether the first run is alive; the lease can. After ``os._exit`` in a job it would come back for ever.
SENT_WITH: dict[str, Any] = {"ignore_result": True, "serializer": "json"}
ROW_DECIDES = {"acks_late": False, "reject_on_worker_lost": False, "max_retries": 0} | SENT_WITH


@shared_task(name="django_future_celery.run", bind=True, throws=(JobFailed,), **ROW_DECIDES)
def run(self: Task, job_id: int, attempts: int, using: str | None = None) -> str:
    """Run one job. Raises JobFailed, with the job's own traceback, so that Flower shows it."""
    outcome = run_job(job_id, attempts, using=alias_of({"using": using}), task_id=self.request.id or "")
    return "nothing to do" if outcome is None else report(outcome)


def report(outcome: Outcome) -> str:
    """Tell Celery how a run ended."""
    job, error = outcome.job, outcome.error
    if isinstance(error, WORKER_MUST_END) or (isinstance(error, SystemExit) and error.code in SIGNALLED):
        raise error
    if error is not None:
        again = ", it will be tried again" if job.status == Status.SCHEDULED else ""
        summary = f"{type(error).__name__}: attempt {job.attempts} of {job.max_attempts}{again}"
        # Not chained: Celery would send the error as it is.
        raise JobFailed(summary, redacted_error(error, job)) from None
    return str(job.status)


@worker_init.connect(dispatch_uid="django_future_celery.jobs")
def import_jobs(**options: Any) -> None:
    """Import what jobs are likely to call, so that a worker knows what it does not have before it starts one."""
    sticky.discover()


#: The workers of this process by their names: one, unless tests start more.
_present: dict[str, Presence] = {}


@worker_ready.connect(dispatch_uid="django_future_celery.ready")
def on_ready(sender: Any, **options: Any) -> None:
    """In the worker's main process, or its only one: be seen at work, also while there is none."""
    _present[sender.hostname] = Presence(Kind.WORKER, sender.hostname)
    _present[sender.hostname].stay()


@worker_shutdown.connect(dispatch_uid="django_future_celery.shutdown")
def on_shutdown(sender: Any, **options: Any) -> None:
    if presence := _present.pop(sender.hostname, None):
        presence.leave()


@task_failure.connect(dispatch_uid="django_future_celery.death")
def on_death(sender: Any, task_id: str, exception: BaseException, kwargs: Any, **options: Any) -> None:
    """In the worker's main process: a process that ran jobs died, or was killed because of its time limit."""
    if sender.name != run.name:
        return
    if isinstance(exception, TimeLimitExceeded):
        tell_death(kwargs, task_id, f"Time limit exceeded: its process was killed after {exception.args[0]:g} s.")
    elif isinstance(exception, WorkerLostError):
        tell_death(kwargs, task_id, f"Worker lost: {exception}.")


@task_revoked.connect(dispatch_uid="django_future_celery.revoked")
def on_revoked(sender: Any, request: Any, terminated: bool, **options: Any) -> None:
    """In the worker's main process: somebody revoked a message, or had the process killed that runs it."""
    if sender.name != run.name:
        return
    with calmly(alias_of(request.kwargs)) as using:
        cancel_message(using, request.id, *request.args)
    if terminated:
        tell_death(request.kwargs, request.id, "Terminated: its process was killed on request.", terminated=True)


def tell_death(kwargs: Any, task_id: str, reason: str, *, terminated: bool = False) -> None:
    with calmly(alias_of(kwargs)) as using:
        record_death(using, task_id, reason, terminated=terminated)


def alias_of(kwargs: Any) -> str:
    """Give the database that a message is about."""
    return (kwargs or {}).get("using") or router.db_for_write(ScheduledJob)


@contextmanager
def calmly(using: str) -> Iterator[str]:
    """Use a database from a worker's main process: what fails here, the end of the lease does later."""
    try:
        yield using
    except Exception as error:
        logger.warning("Could not record the end of a run in %r, its lease will: %s", using, error)
    finally:
        connections[using].close()


# Ticks that waited long, behind busy or stopped workers, are dropped: one does the work of all.
@shared_task(name="django_future_celery.tick", bind=True, send_events=False, expires=60, **ROW_DECIDES)
def tick(self: Task) -> list[str]:
    """Hand over what is due, for beat schedulers other than ours; any number of them may run at once."""
    with Publisher(self.app) as publish:
        ticks = tick_all(publish, publish.terminate)
    for using in ticks:
        ticking.show(using)
    return [f"{using}: {tick}" for using, tick in ticks.items()]


#: Whichever process runs the tick as a task, it is the same beat that has it run.
ticking = Presence(Kind.BEAT, tick.name)


class Publisher:
    """Sends the messages of ticks over one connection, opened at the first, closed when it fails, bounded in time."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.connection: Any = None
        self.producer: Any = None

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __call__(self, job: ScheduledJob) -> None:
        """Send a message.

        Raises:
            BrokerAway: it was not sent.
            BrokerLost: it may have been sent.
        """
        reused = self.producer is not None
        try:
            self.send(job)
        except BrokerLost:
            if not reused:
                raise
            # While it was idle, a broker or something on the way to it may have cut the connection.
            self.send_again(job)

    def terminate(self, job: ScheduledJob) -> None:
        """Have the worker that runs the job kill its process. Raises BrokerAway or BrokerLost."""
        self.open()
        with self.closed_on_error(BrokerLost):
            self.app.control.revoke(job.task_id, terminate=True, connection=self.connection)

    def send_again(self, job: ScheduledJob) -> None:
        try:
            self.send(job)
        except BrokerAway as error:
            raise BrokerLost(str(error)) from error

    def send(self, job: ScheduledJob) -> None:
        self.open()
        with self.closed_on_error(BrokerLost):
            send(job, self.app, self.producer)

    def open(self) -> None:
        if self.producer is None:
            with self.closed_on_error(BrokerAway):
                timeout = settings.PUBLISH_TIMEOUT_SECONDS
                self.connection = self.app.connection_for_write(connect_timeout=timeout)
                self.connection.transport_options = bounded(self.connection, timeout)
                self.connection.connect()
                self.producer = self.app.amqp.Producer(self.connection, auto_declare=False)

    @contextmanager
    def closed_on_error(self, told_as: type[Exception]) -> Iterator[None]:
        """Close the connection at any error, and raise one of the connection itself as ``told_as``."""
        try:
            yield
        except BaseException as error:
            of_connection = (OSError, OperationalError, *getattr(self.connection, "connection_errors", ()))
            self.close()
            if isinstance(error, of_connection):
                raise told_as(str(error) or repr(error)) from error
            raise

    def close(self) -> None:
        connection, self.connection, self.producer = self.connection, None, None
        if connection is not None:
            connection.release()


def bounded(connection: Any, timeout: float) -> dict[str, Any]:
    """Give the transport's options with a time-out for each step; what the project has set itself stays.

    Without one a publish waits for a frozen Redis for ever. RabbitMQ confirms what it has taken, as without that a
    message to a dying broker is lost in silence.
    """
    ours: dict[str, dict[str, Any]] = {
        "redis": {"socket_timeout": timeout, "socket_connect_timeout": timeout},
        "amqp": {
            "read_timeout": int(timeout) or 1,
            "write_timeout": int(timeout) or 1,
            "confirm_publish": True,
        },
    }
    return ours.get(connection.transport.driver_type, {}) | dict(connection.transport_options or {})


def send(job: ScheduledJob, app: Celery, producer: Any) -> None:
    """Publish the message of one job; what Flower and the logs show of it is the callable and its arguments.

    The "sent" event has the name that ``send_task`` is given, and it may come after those of the worker: only if all
    have the callable's name does Flower keep it. What the worker runs is in the header.
    """
    alias = job._state.db
    app.send_task(
        job.callable_name,
        args=(job.pk, job.attempts),
        kwargs={} if alias == router.db_for_write(ScheduledJob) else {"using": alias},
        headers={"task": run.name},
        shadow=job.callable_name,
        argsrepr=storable(redact(serializers.preview(job.args_text), "args", job), MOST_SHOWN),
        kwargsrepr=storable(redact(serializers.preview(job.kwargs_text), "kwargs", job), MOST_SHOWN),
        priority=broker_priority(job.priority, producer.connection.transport.driver_type),
        producer=producer,
        retry=False,
        route_name=run.name,
        task_type=run,
        add_to_parent=False,
        **SENT_WITH,
        **limits(job),
        **({"queue": job.queue} if job.queue else {}),
    )


def limits(job: ScheduledJob) -> dict[str, float]:
    """Give the time limits that the job has of its own."""
    own = {"soft_time_limit": job.soft_time_limit, "time_limit": job.time_limit}
    return {name: seconds for name, seconds in own.items() if seconds is not None}


def broker_priority(priority: int, driver: str) -> int:
    """Map -100…100 to the broker's 0…9.

    Messages without a priority have 0, which is the highest one on Redis and the lowest one elsewhere.
    """
    level = -(-abs(priority) * 9 // 100)
    return level if (priority < 0) == (driver == "redis") else 0
