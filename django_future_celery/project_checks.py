"""System checks of what is around: databases, Celery's configuration, and how the settings fit together."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings as django_settings
from django.core import checks
from django.db import connections

from django_future_celery.conf import PREFIX, settings

#: A message with a pickle in it runs code where it is read.
PICKLES = {"pickle", "application/x-python-serialize"}
#: A time limit ends a run by a signal or by its process, and these pools have neither for a task.
POOLS_WITHOUT_LIMITS = {"threads", "solo", "gevent", "eventlet"}


def check_databases(databases: Sequence[str] | None = None, **options: Any) -> list[checks.CheckMessage]:
    aliases = databases or ()
    return [*without_transactions(aliases), *late_locks(aliases), *strict_isolation(aliases)]


def check_project(**options: Any) -> list[checks.CheckMessage]:
    return [*without_time_zones(), *narrow_settings(), *replicas(), *unsafe_celery()]


def check_deployment(**options: Any) -> list[checks.CheckMessage]:
    """Any callable: who can write to the table, by SQL injection say, would run code on the workers."""
    if settings.ALLOWED_CALLABLES is not None:
        return []
    return [
        checks.Warning(
            "Any importable function can be scheduled and run: whoever can write to the table of jobs can run code.",
            hint=f"Set {PREFIX}ALLOWED_CALLABLES, for example to ['shop.jobs.*']."
            + (f" Set {PREFIX}PICKLE = False if no job needs it." if settings.PICKLE else ""),
            id="future_celery.W108",
        )
    ]


# -- databases --------------------------------------------------------------------------------------------------------


def without_transactions(databases: Sequence[str]) -> list[checks.CheckMessage]:
    return [
        checks.Error(
            f"The database {alias!r} has no transactions; what a job that failed wrote would stay.",
            hint="Under MySQL and MariaDB use InnoDB: ALTER TABLE … ENGINE=InnoDB, and default_storage_engine.",
            id="future_celery.E101",
        )
        for alias in databases
        # MySQL and MariaDB answer from what they say of themselves; for others Django would create a table to find out.
        if connections[alias].vendor == "mysql" and not connections[alias].features.supports_transactions
    ]


def strict_isolation(databases: Sequence[str]) -> list[checks.CheckMessage]:
    """The heartbeat writes to the row of a running job, and PostgreSQL then refuses the job's own write to it."""
    return [
        checks.Warning(
            f"The PostgreSQL database {alias!r} isolates transactions more strictly than READ COMMITTED; jobs that run "
            "for longer than FUTURE_CELERY_HEARTBEAT_SECONDS will fail with 'could not serialize access'.",
            hint="Leave OPTIONS['isolation_level'] out, and set it in the jobs that need it.",
            id="future_celery.W003",
        )
        for alias in databases
        if connections[alias].vendor == "postgresql"
        and getattr(connections[alias].settings_dict["OPTIONS"].get("isolation_level"), "name", None)
        in ("REPEATABLE_READ", "SERIALIZABLE")
    ]


def late_locks(databases: Sequence[str]) -> list[checks.CheckMessage]:
    """SQLite has one write lock; a transaction that asks for it late may find it gone, and fails at once."""
    return [
        checks.Warning(
            f"The SQLite database {alias!r} opens transactions without the write lock; under several processes "
            "some will fail with 'database is locked'.",
            hint="Set OPTIONS = {'transaction_mode': 'IMMEDIATE', 'timeout': 20} for it.",
            id="future_celery.W002",
        )
        for alias in databases
        if connections[alias].vendor == "sqlite"
        and str(connections[alias].settings_dict["OPTIONS"].get("transaction_mode")).upper() != "IMMEDIATE"
    ]


def replicas() -> list[checks.CheckMessage]:
    return [
        checks.Warning(
            f"{PREFIX}DATABASES names {alias!r}, which is a replica: it takes no writes, and its rows are those of "
            "its primary.",
            hint="Name the primary alone.",
            id="future_celery.W101",
        )
        for alias in settings.DATABASES or ()
        if connections.settings.get(alias, {}).get("TEST", {}).get("MIRROR")
    ]


# -- settings that do not fit together ---------------------------------------------------------------------------------


def without_time_zones() -> list[checks.CheckMessage]:
    if django_settings.USE_TZ:
        return []
    return [
        checks.Warning(
            "USE_TZ is off: when the clocks go back, an hour comes twice, and jobs of that hour may be an hour late.",
            hint="Set USE_TZ = True, or a TIME_ZONE without summer time.",
            id="future_celery.W102",
        )
    ]


def narrow_settings() -> Iterator[checks.CheckMessage]:
    """Settings that are right one by one; wrong ones are told elsewhere."""
    if _both_numbers(settings.WINDOW, settings.CLAIM_SIZE) and settings.WINDOW < settings.CLAIM_SIZE:
        yield checks.Warning(
            f"{PREFIX}WINDOW = {settings.WINDOW} is below {PREFIX}CLAIM_SIZE = {settings.CLAIM_SIZE}: "
            "no tick takes more than the window.",
            hint=f"Give {PREFIX}WINDOW several times {PREFIX}CLAIM_SIZE.",
            id="future_celery.W103",
        )
    lease, timeout = settings.DISPATCH_LEASE_SECONDS, settings.PUBLISH_TIMEOUT_SECONDS
    if _both_numbers(lease, timeout) and lease < 2 * timeout:
        yield checks.Warning(
            f"{PREFIX}DISPATCH_LEASE_SECONDS = {lease} is below twice {PREFIX}PUBLISH_TIMEOUT_SECONDS = {timeout}: "
            "while the broker is slow, jobs are sent again before their message is out.",
            hint="Raise the first, or lower the second.",
            id="future_celery.W104",
        )


def _both_numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)


# -- Celery -----------------------------------------------------------------------------------------------------------


def celery_conf() -> Any:
    """Give the configuration of the project's Celery app; None if this process has not loaded one."""
    app = getattr(sys.modules.get("celery"), "current_app", None)
    # "default" is what Celery makes up where there is none.
    return None if app is None or app.main == "default" else app.conf


def unsafe_celery() -> Iterator[checks.CheckMessage]:
    conf = celery_conf()
    if conf is None:
        return
    if PICKLES & set(conf.accept_content or ()):
        yield checks.Warning(
            "Celery's accept_content has pickle: whoever can write to the broker can run code on the workers.",
            hint="Set accept_content = ['json']; messages of scheduled jobs are JSON.",
            id="future_celery.W105",
        )
    if conf.worker_pool in POOLS_WITHOUT_LIMITS and (conf.task_time_limit or conf.task_soft_time_limit):
        yield checks.Warning(
            f"Celery's time limits have no effect in the pool {conf.worker_pool!r}: a job that hangs, hangs for ever.",
            hint="Use the pool 'prefork', or take the limits out.",
            id="future_celery.W106",
        )
    missing = {"socket_timeout", "socket_connect_timeout"} - set(conf.broker_transport_options or ())
    if missing and on_redis(conf.broker_read_url):
        yield checks.Warning(
            f"Celery's broker_transport_options lack {' and '.join(sorted(missing))}: "
            "a worker waits for ever for a Redis that went away without a word.",
            hint="Set broker_transport_options = {'socket_timeout': 10, 'socket_connect_timeout': 5}.",
            id="future_celery.W107",
        )


def on_redis(url: Any) -> bool:
    first = url[0] if isinstance(url, list | tuple) else url
    return str(first or "").startswith(("redis", "sentinel"))
