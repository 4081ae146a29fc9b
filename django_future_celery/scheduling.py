"""Schedule and reschedule: check everything, then insert one row. The broker is never touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Unpack

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
from django_future_celery.options import NAMES, Options, chosen, whole

LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100
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
    check: bool = True,
    using: str | None = None,
    rescheduled_from: int | None = None,
    **options: Unpack[Options],
) -> ScheduledJob:
    """See :func:`django_future_celery.schedule_job`; the ``options`` are those of ``job_options``."""
    kwargs = {} if kwargs is None else kwargs
    job = ScheduledJob(callable_name=path_of(callable_name), rescheduled_from=rescheduled_from)
    job._state.db = database = checked_alias(using)
    set_slot(job, date, expires, now=timezone.now())
    set_place(job, queue, priority)
    set_content_object(job, content_object, database)
    check_target(job.callable_name, content_object)
    check_types(args, kwargs)
    function = check_call(job.callable_name, content_object, args, kwargs) if check else None
    vars(job).update(chosen(options, function))
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
    check: bool = True,
    using: str | None = None,
    relative_to: str = "now",
    **options: Unpack[Options],
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

    def given_or(given: Any, old: Any) -> Any:
        return old() if given is NOT_GIVEN else given

    def slot_length() -> timedelta | None:
        return job.time_slot_end - job.time_slot_start if job.time_slot_end else None

    as_before: Any = {name: getattr(job, name) for name in NAMES}
    database = using or job.database
    return schedule(
        start_of(date, now=timezone.now() if relative_to == "now" else job.time_slot_start),
        given_or(callable_name, lambda: job.callable_name),
        given_or(content_object, job.fetch_content_object),
        given_or(expires, slot_length),
        given_or(args, lambda: job.args),
        given_or(kwargs, lambda: job.kwargs),
        queue=given_or(queue, lambda: job.queue),
        priority=given_or(priority, lambda: job.priority),
        check=check,
        using=database,
        # In another database this id is another job's.
        rescheduled_from=job.pk if database == job.database else None,
        **as_before | options,
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


def set_place(job: ScheduledJob, queue: Any, priority: Any) -> None:
    job.queue = "" if queue is None else queue
    job.priority = whole("priority", priority, LOWEST_PRIORITY, HIGHEST_PRIORITY)
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


def check_call(path: str, content_object: Any, args: Any, kwargs: Any) -> Callable[..., Any]:
    """Give the callable, or refuse a call that no worker could make: nothing there, or arguments that do not fit."""
    if "." in path:
        function, given = resolve(path), int(content_object is not None)
        check_home(path, function)
    else:
        find_method(content_object.__class__, path)
        function, given = getattr(content_object, path), 0
    check_arguments(function, given + takes_job(function), args, kwargs)
    return function


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
