"""What the measurements know of a peer. Its own library is imported only by the processes that are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: What is fastest with Django's PostgreSQL backend, the same for everybody who uses it.
PREPARED: Mapping[str, Any] = {"server_side_binding": True, "prepare_threshold": 1}

#: Gives how many of so many jobs are done.
Look = Callable[[Any, int], int]


@dataclass(frozen=True)
class Peer:
    #: As in ``--peers``.
    name: str
    #: As in the table.
    title: str
    #: How it is configured, and what it keeps; goes into the results.
    how: str
    #: The module of ``benchmarks.project`` with its job, and with ``fill(jobs)``.
    module: str
    #: The arguments of Python, a process each.
    commands: tuple[tuple[str, ...], ...]
    done: Look
    apps: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: Of its connections to PostgreSQL, if these are Django's.
    options: Mapping[str, Any] = field(default_factory=lambda: PREPARED)
    #: The call that makes its tables, where Django's migrations do not.
    schema: tuple[str, ...] = ()
    #: The distributions whose versions the results name.
    distributions: tuple[str, ...] = ()


def counted(sql: str) -> Look:
    """The jobs that are done are counted in the database."""
    return lambda stage, jobs: stage.number(sql)


def left_queue(stage: Any, jobs: int) -> int:
    """Messages neither waiting nor held by a worker without acknowledgement."""
    pipeline = stage.redis.pipeline()
    return jobs - sum(pipeline.llen("celery").hlen("unacked").execute())
