"""Schedule and reschedule: check everything, then insert one row. The broker is never touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.contenttypes.models import ContentType
from django.db import connections, router
from django.db.models import Model
from django.utils import timezone

from django_future_celery import content_objects, serializers
from django_future_celery.callables import (
    check_allowed,
    check_arguments,
    check_home,
    find_method,
    method_path,
    path_of,
    resolve,
    takes_job,
)
from django_future_celery.conf import settings
from django_future_celery.durations import end_of, start_of
from django_future_celery.exceptions import (
    ArgumentsTooLarge,
    CallableNotFound,
    InvalidArguments,
    InvalidOption,
)
from django_future_celery.models import ScheduledJob

LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100
MOST_ATTEMPTS = 32_767
LONGEST_QUEUE = 100

#: Stands for "copy it from the job" where None has a meaning of its own.
NOT_GIVEN: Final[Any] = object()


def schedule(
    date: datetime | timedelta | str,
    callable_name: str | Callable[..., Any],
    content_object: Model | None = None,
    expires: datetime | timedelta | str | None = "7d",
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    priority: int = 0,
    max_attempts: int = 1,
    check: bool = True,
    using: str | None = None,
) -> ScheduledJob:
    """See :func:`django_future_celery.schedule_job`."""
    kwargs = {} if kwargs is None else kwargs
    job = ScheduledJob(callable_name=path_of(callable_name))
    job._state.db = database = checked_alias(using)
    set_slot(job, date, expires, now=timezone.now())
    set_options(job, queue, priority, max_attempts)
    set_content_object(job, content_object, database)
    check_target(job.callable_name, content_object)
    check_types(args, kwargs)
    if check:
        check_call(job.callable_name, content_object, args, kwargs)
    set_arguments(job, args, kwargs)
    job.save(using=database)
    return job


def reschedule(
    job: ScheduledJob,
    date: datetime | timedelta | str,
    callable_name: str | Callable[..., Any] = NOT_GIVEN,
    content_object: Model | None = NOT_GIVEN,
    expires: datetime | timedelta | str | None = NOT_GIVEN,
    args: Sequence[Any] = NOT_GIVEN,
    kwargs: Mapping[str, Any] | None = NOT_GIVEN,
    *,
    queue: str | None = NOT_GIVEN,
    priority: int = NOT_GIVEN,
    max_attempts: int = NOT_GIVEN,
    check: bool = True,
    using: str | None = None,
    relative_to: str = "now",
) -> ScheduledJob:
    """Schedule a new job like ``job``; what is not given is copied, the length of the slot included.

    Args:
        date: as for ``schedule_job``; an offset counts from the moment of this call.
        relative_to: ``'scheduled'`` lets an offset count from the start of the old job's slot instead.

    Raises:
        As ``schedule_job``; InvalidOption also for another ``relative_to``.
    """
    if relative_to not in ("now", "scheduled"):
        raise InvalidOption(f"relative_to={relative_to!r} is unknown: use 'now' or 'scheduled'.")

    def chosen(given: Any, old: Any) -> Any:
        return old() if given is NOT_GIVEN else given

    def slot_length() -> timedelta | None:
        return job.time_slot_end - job.time_slot_start if job.time_slot_end else None

    return schedule(
        start_of(date, now=timezone.now() if relative_to == "now" else job.time_slot_start),
        chosen(callable_name, lambda: job.callable_name),
        chosen(content_object, job.fetch_content_object),
        chosen(expires, slot_length),
        chosen(args, lambda: job.args),
        chosen(kwargs, lambda: job.kwargs),
        queue=chosen(queue, lambda: job.queue),
        priority=chosen(priority, lambda: job.priority),
        max_attempts=chosen(max_attempts, lambda: job.max_attempts),
        check=check,
        using=using or job.database,
    )


def checked_alias(using: str | None) -> str:
    """Give the alias of the database that the row goes into."""
    alias = using or router.db_for_write(ScheduledJob)
    if alias not in connections.settings:
        raise InvalidOption(f"using={alias!r} is no database of this project: DATABASES has {list(connections)}.")
    return alias


def set_slot(job: ScheduledJob, date: Any, expires: Any, now: datetime) -> None:
    job.time_slot_start = start_of(date, now=now)
    job.time_slot_end = end_of(expires, start=job.time_slot_start)


def set_options(job: ScheduledJob, queue: Any, priority: Any, max_attempts: Any) -> None:
    job.queue = "" if queue is None else queue
    job.priority = _whole("priority", priority, LOWEST_PRIORITY, HIGHEST_PRIORITY)
    job.max_attempts = _whole("max_attempts", max_attempts, 1, MOST_ATTEMPTS)
    if not isinstance(queue, str | None) or len(job.queue) > LONGEST_QUEUE:
        raise InvalidOption(f"queue={queue!r}: use a queue's name, of at most {LONGEST_QUEUE} characters, or None.")


def set_content_object(job: ScheduledJob, content_object: Model | None, using: str) -> None:
    if content_object is None:
        return
    job.object_id = content_objects.key_of(content_object)
    content_objects.check_database(content_object, using)
    types = ContentType.objects.db_manager(using)
    job.content_type = types.get_for_model(content_object, for_concrete_model=False)


def check_target(path: str, content_object: Model | None) -> None:
    """Refuse a callable that is not allowed, and a method where there is no content object."""
    if "." in path:
        check_allowed(path)
    elif content_object is None:
        raise CallableNotFound(
            f"{path!r} has no dot, so it names a method of the content object, and there is none: "
            "give content_object=, or a path such as 'shop.jobs.remind'."
        )
    else:
        check_allowed(method_path(content_object.__class__, path))


def check_call(path: str, content_object: Any, args: Any, kwargs: Any) -> None:
    """Refuse a call that no worker could make: nothing behind the path, or arguments that do not fit."""
    if "." in path:
        function, given = resolve(path), int(content_object is not None)
        check_home(path, function)
    else:
        find_method(content_object.__class__, path)
        function, given = getattr(content_object, path), 0
    check_arguments(function, given + takes_job(function), args, kwargs)


def check_types(args: Any, kwargs: Any) -> None:
    if not isinstance(args, list | tuple):
        raise InvalidArguments(f"args={args!r}: use a list or a tuple.")
    if not isinstance(kwargs, dict) or not all(isinstance(name, str) for name in kwargs):
        raise InvalidArguments(f"kwargs={kwargs!r}: use a dict with strings as keys, or None.")


def set_arguments(job: ScheduledJob, args: Any, kwargs: Any) -> None:
    job.args_text = serializers.dumps(args, bind=job.binding("args"))
    job.kwargs_text = serializers.dumps(kwargs, bind=job.binding("kwargs"))
    size = len(job.args_text) + len(job.kwargs_text)
    if size > settings.MAX_ARGUMENTS_SIZE:
        raise ArgumentsTooLarge(
            f"The arguments of {job.callable_name} take {size} characters, FUTURE_CELERY_MAX_ARGUMENTS_SIZE is "
            f"{settings.MAX_ARGUMENTS_SIZE}: store them elsewhere and pass a key, or raise the setting."
        )


def _whole(name: str, value: Any, lowest: int, highest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InvalidOption(f"{name}={value!r}: use a whole number from {lowest} to {highest}.")
    return value
