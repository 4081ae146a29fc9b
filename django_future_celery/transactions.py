"""The connections around a job: the transaction that it runs in, and what it may leave behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from django.db import connections, transaction

from django_future_celery.exceptions import TransactionLeftOpen


def transaction_around(using: str, atomic: bool) -> AbstractContextManager[Any]:
    return transaction.atomic(using=using, durable=True) if atomic else nullcontext()


@contextmanager
def unbroken(connection: Any, before: Mapping[str, int]) -> Iterator[None]:
    """Raise if the transaction that the block began in is not the one that it ends in; close what it left unusable.

    Args:
        connection: of the job; it is inside the job's own transaction, unless the job is to have none.
        before: as ``open_blocks`` gave it outside of that.

    Raises:
        TransactionLeftOpen: the block left an atomic() open, here or in another database.
        OperationalError: MySQL rolled the transaction of a deadlock's victim back, and the block swallowed the error:
            MySQL then goes on in a new transaction as if nothing had been. A savepoint does not outlive that.
    """
    atomic, using = connection.in_atomic_block, connection.alias
    mark = transaction.savepoint(using) if atomic and connection.vendor == "mysql" else None
    yield
    within = {**before, using: before.get(using, 0) + 1} if atomic else before
    if left := [each.alias for each in tidy(within)]:
        raise TransactionLeftOpen(f"The job left a transaction.atomic() open in {', '.join(left)}: use it with 'with'.")
    if mark is not None:
        transaction.savepoint_commit(mark, using)


def may_start_another(connection: Any) -> bool:
    """Whether the transaction of a job may also start the next one.

    Not without one, and not where the commit has more to do: its hooks may take long, and the next job would count as
    running all the while. Under REPEATABLE READ and above the snapshot is that of this job: what others did to the next
    one since would end this one with an error.
    """
    return connection.in_atomic_block and not connection.run_on_commit and reads_committed(connection)


def has_begun(connection: Any) -> bool:
    """Whether something of a job's transaction is to be committed, as far as that can be told.

    On PostgreSQL a transaction begins with its first query, so that one without queries costs no way to the server.
    """
    if connection.vendor != "postgresql" or connection.connection is None:
        return True
    idle: bool = connection.connection.info.transaction_status == 0
    return not idle or bool(connection.run_on_commit) or connection.needs_rollback


def reads_committed(connection: Any) -> bool:
    if connection.vendor == "sqlite":
        return True  # It has one writer at a time.
    level = connection.isolation_level if connection.vendor == "mysql" else connection.isolation_level.name
    return str(level).upper().replace("_", " ") == "READ COMMITTED"


def open_blocks() -> dict[str, int]:
    """Give the number of atomic() blocks that are open on each connection of this thread."""
    return {each.alias: len(each.atomic_blocks) for each in connections.all(initialized_only=True)}


def leave_clean(before: Mapping[str, int]) -> None:
    """Close what a job left unusable: broken, with autocommit switched, or inside more blocks than ``before``."""
    for connection in tidy(before):
        forget(connection)


def tidy(before: Mapping[str, int]) -> list[Any]:
    """Close what a job left broken, or with autocommit switched; give what is inside more blocks than ``before``."""
    left = []
    for connection in connections.all(initialized_only=True):
        if len(connection.atomic_blocks) > before.get(connection.alias, 0):
            left.append(connection)
        elif connection.in_atomic_block or connection.connection is None:
            continue
        elif connection.errors_occurred or connection.autocommit != connection.settings_dict["AUTOCOMMIT"]:
            connection.close()
    return left


def close_if_broken(using: str) -> None:
    """Have the next query open another connection if the one that an earlier task has left does not answer.

    Celery leaves connections open if the project says so (``CELERY_DB_REUSE_MAX``), and checks none of them.
    """
    connection = connections[using]
    if connection.errors_occurred and not connection.in_atomic_block:
        if connection.connection is None or connection.is_usable():
            connection.errors_occurred = False
        else:
            connection.close()


def forget(connection: Any) -> None:
    """Have the next query open another connection: Django would keep one inside a block that nobody will leave."""
    del connections[connection.alias]
    with suppress(Exception):
        connection.connection.close()
