"""A call that is to be scheduled together with others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django_future_celery.options import Time

if TYPE_CHECKING:
    from django.db.models import Model


@dataclass(frozen=True, slots=True)
class Job:
    """One call for ``schedule_jobs``, with the arguments of ``schedule_job``; nothing is checked or written yet."""

    date: datetime | timedelta | str
    callable_name: str | Callable[..., Any]
    content_object: Model | None = None
    expires: datetime | timedelta | str | None = "7d"
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] | None = None
    queue: str | None = None
    priority: int = 0
    check: bool = True
    max_attempts: int | None = None
    retry_backoff: Time = None
    retry_backoff_max: Time = None
    soft_time_limit: Time = None
    time_limit: Time = None
