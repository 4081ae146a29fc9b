"""The settings: one class, typed defaults, read when they are first used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from django.conf import settings as django_settings
from django.core.signals import setting_changed

PREFIX = "FUTURE_CELERY_"


class Settings:
    """Each attribute is the default of the Django setting of the same name with ``FUTURE_CELERY_`` before it.

    The comment of each has two paragraphs: what it means, with its unit, and when to change it. The documentation is
    made of them.
    """

    #: Longest sleep between two ticks, in seconds. A tick also comes at each next due instant.
    #:
    #: Lower it if jobs that are scheduled for now must start sooner and ``NUDGE`` is not for you. A tick that finds
    #: nothing costs a few index reads.
    TICK_SECONDS: float = 5.0
    #: How long a sent message may stay unstarted before its job is sent again, in seconds; doubles at each repeat, up
    #: to 32 leases.
    #:
    #: Lower it if your broker loses messages and a job must not wait a minute for that. Raise it if messages often wait
    #: for longer because all workers are busy: a second message does no harm, but is work for nothing.
    DISPATCH_LEASE_SECONDS: float = 60.0
    #: How long a run counts as alive after its last sign of life, in seconds.
    #:
    #: Lower it to notice machines that died sooner. Raise it if yours freeze for longer: a run that was silent for so
    #: long is rolled back, though its process may live.
    RUN_LEASE_SECONDS: float = 60.0
    #: How often a process renews the leases of its runs, in seconds; less than half the run lease.
    #:
    #: Change it together with ``RUN_LEASE_SECONDS``; a quarter of that is a good value. Jobs that are shorter than this
    #: cost no renewal.
    HEARTBEAT_SECONDS: float = 15.0
    #: Whether jobs that are due at once wake beat when they are committed, by NOTIFY; on PostgreSQL only.
    #:
    #: Turn it on where you schedule jobs for now and want them within milliseconds, not seconds. It takes psycopg 3 and
    #: a connection for beat that PgBouncer does not share, and commits that notify queue up behind one another.
    NUDGE: bool = False
    #: How many due rows one round of a tick takes; up to four times as many while jobs take a few milliseconds.
    #:
    #: Rarely. More rows make fewer, longer transactions. Keep it well below ``WINDOW``.
    CLAIM_SIZE: int = 200
    #: How many jobs may be with the broker at a time, up to four times as many while jobs take a few milliseconds; the
    #: rest wait in the database.
    #:
    #: Raise it if your workers run dry between two ticks, or if the jobs of one slow queue take the room of others.
    #: What is with the broker can no longer be overtaken by a job of higher priority.
    WINDOW: int = 1000
    #: How many jobs may share a message while many are due; 1: none do.
    #:
    #: Set it to 1 if each job must be a Celery task of its own, to be seen as one by everything that listens to
    #: Celery's signals. That costs much of the throughput of short jobs.
    BATCH_SIZE: int = 200
    #: How old a message of several jobs may be for another of its jobs to be started, in seconds.
    #:
    #: Lower it if a worker that is told to end must end sooner. Raise it if most of your jobs take about a second:
    #: what a worker does not start in time goes back to the database, and is sent again.
    BATCH_SECONDS: float = 2.0
    #: Longest wait for the broker at one step of a publish, in seconds.
    #:
    #: Raise it if the way to your broker is long. Keep it below half of ``DISPATCH_LEASE_SECONDS``.
    PUBLISH_TIMEOUT_SECONDS: float = 5.0
    #: How many times a job may be started at most, where neither the call nor the callable says it.
    #:
    #: Raise it if all your jobs may be started twice without harm outside the database. Else say it at each callable,
    #: with ``job_options``.
    MAX_ATTEMPTS: int = 1
    #: How long a beat may be silent before another one sends the periodic tasks, in seconds.
    #:
    #: Lower it if you run several beats and periodic tasks must not wait ten seconds when one dies. Raise it if beats
    #: often stop for longer and the lease moves to and fro.
    BEAT_LEASE_SECONDS: float = 10.0
    #: Pause before the second attempt of a job that raised, in seconds; doubles at each further attempt.
    #:
    #: When you know how long what your jobs depend on is usually away. A call or a callable may say its own.
    RETRY_BACKOFF_SECONDS: float = 10.0
    #: Longest pause between two attempts, in seconds.
    #:
    #: Lower it if a job must be tried again soon after a long outage is over.
    RETRY_BACKOFF_MAX_SECONDS: float = 3600.0
    #: How long a job waits for a process that has its code, in seconds, before it fails; never after its slot.
    #:
    #: Lower it to hear sooner of callables that were renamed. Keep it longer than your longest deployment.
    UNKNOWN_CALLABLE_GRACE: float = 604_800.0
    #: Pause between the end of a sticky job and its next start, in seconds.
    #:
    #: To have all sticky jobs come more or less often. For one of them alone use a periodic task.
    STICKY_INTERVAL: float = 60.0
    #: Whether arguments that JSON cannot hold may be stored as signed pickles.
    #:
    #: Turn it off if no job needs it: one way less to run code for somebody who can write rows and has your
    #: ``SECRET_KEY``. A job that waits and has a pickle would then fail.
    PICKLE: bool = True
    #: Most characters that args and kwargs may take on the row, together.
    #:
    #: Raise it if you must pass large values; better store them elsewhere and pass a key.
    MAX_ARGUMENTS_SIZE: int = 65_536
    #: Most characters kept of a return value.
    #:
    #: Raise it if you read results by program and they are longer.
    MAX_RESULT_SIZE: int = 10_000
    #: Most characters kept of a traceback; its end is kept.
    #:
    #: Raise it if your tracebacks are deep. Each failed attempt keeps its own.
    MAX_ERROR_SIZE: int = 20_000
    #: Patterns such as "shop.jobs.*" of the callables that may be scheduled and run; None: any importable one.
    #:
    #: Always, in production: who can write to the table can otherwise have any function called. The admin offers to
    #: add jobs only where this is set.
    ALLOWED_CALLABLES: Sequence[str] | None = None
    #: Aliases of the databases that a tick looks into; None: the one that the routers name for ScheduledJob.
    #:
    #: When you schedule jobs in more than one database.
    DATABASES: Sequence[str] | None = None
    #: How long jobs that have ended are kept, such as "30d"; ticks delete them afterwards. None: for ever.
    #:
    #: In most projects: set it to as long as you want to look back.
    RETENTION: timedelta | str | None = None
    #: Dotted path of the function ``(text, what, job)`` that gives what may be shown of arguments, results and errors;
    #: None: all may.
    #:
    #: When your secrets have other names, or when nothing of a text may be shown.
    REDACT: str | None = "django_future_celery.redaction.mask_secrets"
    #: Whether processes count jobs and their times for Prometheus; takes the extra ``prometheus``.
    #:
    #: When Prometheus watches your project.
    PROMETHEUS: bool = False
    #: Whether the run of a job is a span of the trace in which it was scheduled; takes the extra ``opentelemetry``.
    #:
    #: When you trace your project with OpenTelemetry.
    OPENTELEMETRY: bool = False
    #: Address of Flower, such as "https://flower.example.com/", for links from the admin; None: no links.
    #:
    #: When you run Flower.
    FLOWER_URL: str | None = None


class Reader:
    """Reads each setting once: Django takes its time to say that a project has not set it, and jobs ask for several."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(django_settings, PREFIX + name, getattr(Settings, name))
        setattr(self, name, value)
        return value


settings = cast("Settings", Reader())


def forget(*, setting: str, **options: Any) -> None:
    """Have a setting read anew that a test has changed."""
    vars(settings).pop(setting.removeprefix(PREFIX), None)


setting_changed.connect(forget, dispatch_uid=__name__)

#: The tick as a periodic task, for projects that run another beat scheduler than ours:
#: ``app.conf.beat_schedule = BEAT_SCHEDULE``, or its entry among your own.
BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "django-future-celery": {"task": "django_future_celery.tick", "schedule": Settings.TICK_SECONDS}
}
