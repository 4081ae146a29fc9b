"""The settings: one class, typed defaults, read when they are used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings

PREFIX = "FUTURE_CELERY_"


class Settings:
    """Each attribute is the default of the Django setting of the same name with ``FUTURE_CELERY_`` before it."""

    #: Longest sleep between two ticks, in seconds. A tick also comes at each next due instant.
    TICK_SECONDS: float = 5.0
    #: How long a sent message may stay unstarted before its job is sent again, in seconds; grows at each repeat.
    DISPATCH_LEASE_SECONDS: float = 60.0
    #: How long a run counts as alive after its last sign of life, in seconds.
    RUN_LEASE_SECONDS: float = 60.0
    #: How often a process renews the leases of its runs, in seconds; less than half the run lease.
    HEARTBEAT_SECONDS: float = 15.0
    #: Whether jobs that are due at once wake beat when they are committed, by NOTIFY; on PostgreSQL only.
    NUDGE: bool = False
    #: How many due rows one round of a tick takes.
    CLAIM_SIZE: int = 200
    #: How many jobs may be with the broker at a time; the rest wait in the database.
    WINDOW: int = 1000
    #: How many jobs may share a message while many are due; 1: none do.
    BATCH_SIZE: int = 100
    #: How old a message of several jobs may be for another of its jobs to be started, in seconds.
    BATCH_SECONDS: float = 2.0
    #: Longest wait for the broker at one step of a publish, in seconds.
    PUBLISH_TIMEOUT_SECONDS: float = 5.0
    #: How many times a job may be started at most, where neither the call nor the callable says it.
    MAX_ATTEMPTS: int = 1
    #: How long a beat may be silent before another one sends the periodic tasks, in seconds.
    BEAT_LEASE_SECONDS: float = 10.0
    #: Pause before the second attempt of a job that raised, in seconds; doubles at each further attempt.
    RETRY_BACKOFF_SECONDS: float = 10.0
    #: Longest pause between two attempts, in seconds.
    RETRY_BACKOFF_MAX_SECONDS: float = 3600.0
    #: How long a job waits for a process that has its code, in seconds, before it fails; never after its slot.
    UNKNOWN_CALLABLE_GRACE: float = 604_800.0
    #: Pause between the end of a sticky job and its next start, in seconds.
    STICKY_INTERVAL: float = 60.0
    #: Whether arguments that JSON cannot hold may be stored as signed pickles.
    PICKLE: bool = True
    #: Most characters that args and kwargs may take on the row, together.
    MAX_ARGUMENTS_SIZE: int = 65_536
    #: Most characters kept of a return value.
    MAX_RESULT_SIZE: int = 10_000
    #: Most characters kept of a traceback; its end is kept.
    MAX_ERROR_SIZE: int = 20_000
    #: Patterns such as "shop.jobs.*" of the callables that may be scheduled and run; None: any importable one.
    ALLOWED_CALLABLES: Sequence[str] | None = None
    #: Aliases of the databases that a tick looks into; None: the one that the routers name for ScheduledJob.
    DATABASES: Sequence[str] | None = None
    #: How long jobs that have ended are kept, such as "30d"; ticks delete them afterwards. None: for ever.
    RETENTION: timedelta | str | None = None
    #: Dotted path of the function ``(text, what, job)`` that gives what may be shown of arguments, results and errors.
    REDACT: str | None = "django_future_celery.redaction.mask_secrets"
    #: Whether processes count jobs and their times for Prometheus; takes the extra ``prometheus``.
    PROMETHEUS: bool = False
    #: Whether the run of a job is a span of the trace in which it was scheduled; takes the extra ``opentelemetry``.
    OPENTELEMETRY: bool = False
    #: Address of Flower, such as "https://flower.example.com/", for links from the admin; None: no links.
    FLOWER_URL: str | None = None

    def __getattribute__(self, name: str) -> Any:
        default = super().__getattribute__(name)
        return getattr(django_settings, PREFIX + name, default) if name.isupper() else default


settings = Settings()

#: The tick as a periodic task, for projects that run another beat scheduler than ours:
#: ``app.conf.beat_schedule = BEAT_SCHEDULE``, or its entry among your own.
BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "django-future-celery": {"task": "django_future_celery.tick", "schedule": Settings.TICK_SECONDS}
}
