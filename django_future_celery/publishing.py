"""Messages to Celery: for one job each, or for several that are run one after another.

The names of the tasks and the form of the messages are a contract between the versions of two processes. A message
carries pairs ``(id, attempts)``, and the database's alias where it is not the usual one: never code, never arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from celery import Celery
from django.db import router
from kombu.exceptions import OperationalError

from django_future_celery import serializers
from django_future_celery.conf import settings
from django_future_celery.exceptions import BrokerAway, BrokerLost
from django_future_celery.models import ScheduledJob
from django_future_celery.redaction import redact
from django_future_celery.text import storable

#: The tasks for one job, and for several. Both are routed as the first one.
RUN, RUN_BATCH = "django_future_celery.run", "django_future_celery.run_batch"

#: Characters of the arguments that a message shows, as many as Celery's own.
MOST_SHOWN = 1024

#: Celery must not keep results, nor need more than JSON.
SENT_WITH: dict[str, Any] = {"ignore_result": True, "serializer": "json"}


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

    def __call__(self, jobs: Sequence[ScheduledJob]) -> None:
        """Send the message of one job or several.

        Raises:
            BrokerAway: it was not sent.
            BrokerLost: it may have been sent.
        """
        reused = self.producer is not None
        try:
            self.send(jobs)
        except BrokerLost:
            if not reused:
                raise
            # While it was idle, a broker or something on the way to it may have cut the connection.
            self.send_again(jobs)

    def terminate(self, job: ScheduledJob) -> None:
        """Have the worker that runs the job kill its process. Raises BrokerAway or BrokerLost."""
        self.open()
        with self.closed_on_error(BrokerLost):
            # A job that shares its message has a task id of its own, which Celery does not know.
            self.app.control.revoke(job.task_id.partition(".")[0], terminate=True, connection=self.connection)

    def send_again(self, jobs: Sequence[ScheduledJob]) -> None:
        try:
            self.send(jobs)
        except BrokerAway as error:
            raise BrokerLost(str(error)) from error

    def send(self, jobs: Sequence[ScheduledJob]) -> None:
        self.open()
        with self.closed_on_error(BrokerLost):
            if len(jobs) == 1:
                send_one(jobs[0], self.app, self.producer)
            else:
                send_several(jobs, self.app, self.producer)

    def open(self) -> None:
        if self.producer is None:
            with self.closed_on_error(BrokerAway):
                timeout = settings.PUBLISH_TIMEOUT_SECONDS
                self.connection = self.app.connection_for_write(connect_timeout=timeout)
                self.connection.transport_options = bounded(self.connection, timeout)
                self.connection.connect()
                self.producer = self.app.amqp.Producer(self.connection, auto_declare=False)

    @property
    def errors(self) -> tuple[type[BaseException], ...]:
        """What is raised when something is wrong with the connection, not with a message.

        A queue that Celery does not know is a KeyError, which kombu also counts among the errors of Redis' connections.
        """
        of_transport = getattr(self.connection, "connection_errors", ())
        return (OSError, OperationalError, *(each for each in of_transport if not issubclass(each, LookupError)))

    @contextmanager
    def closed_on_error(self, told_as: type[Exception]) -> Iterator[None]:
        """Close the connection at any error, and raise one of the connection itself as ``told_as``."""
        try:
            yield
        except BaseException as error:
            lost = isinstance(error, self.errors)
            self.close()
            if lost:
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


def send_one(job: ScheduledJob, app: Celery, producer: Any) -> None:
    """Publish the message of one job; what Flower and the logs show of it is the callable and its arguments.

    The "sent" event has the name that ``send_task`` is given, and it may come after those of the worker: only if all
    have the callable's name does Flower keep it. What the worker runs is in the header.
    """
    app.send_task(
        job.callable_name,
        args=(job.pk, job.attempts),
        task_id=new_task_id(job),
        headers={"task": RUN},
        shadow=job.callable_name,
        task_type=app.tasks.get(RUN),
        **shown(job),
        **limits(job),
        **options(job, producer),
    )


def new_task_id(job: ScheduledJob) -> str:
    """Give an id that ends in the job's, for the way from Flower to the admin, which reads the usual database."""
    usual = job._state.db == router.db_for_write(ScheduledJob)
    return f"{uuid4()}-{job.pk}" if usual else str(uuid4())


def send_several(jobs: Sequence[ScheduledJob], app: Celery, producer: Any) -> None:
    """Publish one message for jobs of the same database, queue and priority."""
    app.send_task(
        RUN_BATCH,
        args=([(job.pk, job.attempts) for job in jobs],),
        task_type=app.tasks.get(RUN_BATCH),
        event_dispatcher=NoEvents(),
        **options(jobs[0], producer),
    )


class NoEvents:
    """Tells nobody that a message was sent: the worker tells of its jobs, one by one."""

    def publish(self, *args: Any, **options: Any) -> None: ...


def options(job: ScheduledJob, producer: Any) -> dict[str, Any]:
    """Say where a message goes, and that the row decides on all that Celery might do with it."""
    alias = job._state.db
    return {
        "kwargs": {} if alias == router.db_for_write(ScheduledJob) else {"using": alias},
        "priority": broker_priority(job.priority, producer.connection.transport.driver_type),
        "producer": producer,
        "retry": False,
        "route_name": RUN,
        "add_to_parent": False,
        **SENT_WITH,
        **({"queue": job.queue} if job.queue else {}),
    }


def shown(job: ScheduledJob) -> dict[str, str]:
    """Give what is shown of the arguments, under Celery's names for that."""
    args = redact(serializers.preview(job.args_text), "args", job)
    kwargs = redact(serializers.preview(job.kwargs_text), "kwargs", job)
    return {"argsrepr": storable(args, MOST_SHOWN), "kwargsrepr": storable(kwargs, MOST_SHOWN)}


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
