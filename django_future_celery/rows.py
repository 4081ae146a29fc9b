"""From calls to rows that are not yet inserted: everything about a call is checked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from operator import is_
from typing import Any, NamedTuple

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
from django_future_celery.clock import to_micros
from django_future_celery.conf import settings
from django_future_celery.durations import end_of, start_of
from django_future_celery.exceptions import ArgumentsTooLarge, CallableNotFound, InvalidArguments, InvalidOption
from django_future_celery.models import ScheduledJob
from django_future_celery.options import chosen, whole
from django_future_celery.watching import trace_context

LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100
LONGEST_QUEUE = 100


class Target(NamedTuple):
    """What a callable settles for all of its jobs."""

    #: None where it was not looked up.
    function: Callable[..., Any] | None
    #: How many arguments it gets from us before those of the call.
    leading: int
    #: The columns of the options where a call says nothing.
    options: Mapping[str, Any]


class RowBuilder:
    """Builds the rows of one call, for one database and by one look at the clock; each callable is looked up once."""

    def __init__(self, using: str | None) -> None:
        self.database = checked_alias(using)
        self.now = timezone.now()
        self.most_characters = settings.MAX_ARGUMENTS_SIZE
        self.targets: dict[tuple[str, type, bool], Target] = {}
        #: What the last call shares with the next one if that is given the same objects, and what follows from them.
        self.shared: tuple[Any, ...] = (object(),)
        self.settled: tuple[Target, dict[str, Any]]

    def build(
        self,
        date: datetime | timedelta | str,
        callable_name: str | Callable[..., Any],
        content_object: Model | None,
        expires: datetime | timedelta | str | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        queue: str | None,
        priority: int,
        check: bool,
        options: Mapping[str, Any],
    ) -> ScheduledJob:
        """Give the row of a call that was checked; see ``schedule_job`` for the parameters and what is raised."""
        kwargs = {} if kwargs is None else kwargs
        object_columns = self.content_object_columns(content_object)
        shared = date, callable_name, expires, queue, priority, check, content_object.__class__
        # Many calls in a row are given the very same objects; equal ones may differ, as datetimes in their ``fold``.
        if not all(map(is_, shared, self.shared)):
            path = path_of(callable_name)
            columns = self.columns(path, date, expires, queue, priority)
            self.settled = self.target(path, content_object, check), columns
            self.shared = shared
        target, columns = self.settled
        check_types(args, kwargs)
        if target.function is not None:
            check_arguments(target.function, target.leading, args, kwargs)
        said = chosen(options, target.function) if options else target.options
        job = new_row(self.database, {**columns, **object_columns, **said})
        set_arguments(job, args, kwargs, self.most_characters)
        return job

    def columns(self, path: str, date: Any, expires: Any, queue: Any, priority: Any) -> dict[str, Any]:
        start = start_of(date, now=self.now)
        return {
            "created_at": self.now,
            "callable_name": path,
            "wake_at": to_micros(start),
            "time_slot_start": start,
            "time_slot_end": end_of(expires, start=start),
            **checked_place(queue, priority),
        }

    def target(self, path: str, content_object: Model | None, check: bool) -> Target:
        key = path, content_object.__class__, check
        if key not in self.targets:
            check_target(path, content_object)
            function, leading = find_function(path, content_object) if check else (None, 0)
            self.targets[key] = Target(function, leading, chosen({}, function))
        return self.targets[key]

    def content_object_columns(self, content_object: Model | None) -> dict[str, Any]:
        if content_object is None:
            return {}
        key = content_objects.key_of(content_object)
        content_objects.check_database(content_object, self.database)
        types = ContentType.objects.db_manager(self.database)
        return {
            "content_type_id": types.get_for_model(content_object, for_concrete_model=False).pk,
            "object_id": key,
        }


def checked_alias(using: str | None) -> str:
    """Give the alias of the database that the row goes into."""
    alias = using or router.db_for_write(ScheduledJob)
    if alias not in connections.settings:
        raise InvalidOption(f"using={alias!r} is no database of this project: DATABASES has {list(connections)}.")
    return alias


def checked_place(queue: Any, priority: Any) -> dict[str, Any]:
    if queue is not None and (not isinstance(queue, str) or len(queue) > LONGEST_QUEUE):
        raise InvalidOption(f"queue={queue!r}: use a queue's name, of at most {LONGEST_QUEUE} characters, or None.")
    return {"queue": queue or "", "priority": whole("priority", priority, LOWEST_PRIORITY, HIGHEST_PRIORITY)}


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


def find_function(path: str, content_object: Any) -> tuple[Callable[..., Any], int]:
    """Give the callable, and how many arguments it gets from us."""
    if "." in path:
        function, given = resolve(path), int(content_object is not None)
        check_home(path, function)
    else:
        find_method(content_object.__class__, path)
        function, given = getattr(content_object, path), 0
    return function, given + takes_job(function)


def check_types(args: Any, kwargs: Any) -> None:
    if not isinstance(args, list | tuple):
        raise InvalidArguments(f"args={args!r}: use a list or a tuple.")
    if not isinstance(kwargs, dict) or not all(isinstance(name, str) for name in kwargs):
        raise InvalidArguments(f"kwargs={kwargs!r}: use a dict with strings as keys, or None.")


@cache
def defaults() -> Mapping[str, Any]:
    """The values of a new row where a call says nothing; without those that each row has of its own moment."""
    momentary = ("created_at", "trace_context")
    return {
        each.attname: each.get_default() for each in ScheduledJob._meta.concrete_fields if each.name not in momentary
    }


def new_row(database: str, columns: Mapping[str, Any]) -> ScheduledJob:
    values = {**defaults(), **columns, "trace_context": trace_context()}
    return ScheduledJob.from_values(values, database, adding=True)


def twin(job: ScheduledJob) -> ScheduledJob:
    """Give another instance of a stored row, with the same values."""
    return ScheduledJob.from_values(vars(job), job._state.db)


def set_arguments(job: ScheduledJob, args: Any, kwargs: Any, most_characters: int) -> None:
    job.args_text = serializers.plain(args) or serializers.dumps(args, bind=job.binding("args"))
    job.kwargs_text = serializers.plain(kwargs) or serializers.dumps(kwargs, bind=job.binding("kwargs"))
    size = len(job.args_text) + len(job.kwargs_text)
    if size > most_characters:
        raise ArgumentsTooLarge(
            f"The arguments of {job.callable_name} take {size} characters, FUTURE_CELERY_MAX_ARGUMENTS_SIZE is "
            f"{most_characters}: store them elsewhere and pass a key, or raise the setting."
        )
