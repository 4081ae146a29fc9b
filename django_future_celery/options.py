"""What a call, a callable or the settings may say of a job's attempts and limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypedDict, TypeVar, Unpack

from django_future_celery.conf import settings
from django_future_celery.durations import length_of
from django_future_celery.exceptions import InvalidOption

MOST_ATTEMPTS = 32_767

Time = float | timedelta | str | None


class Options(TypedDict, total=False):
    """The options; each time in seconds, as a timedelta, or as text such as ``'5m'``."""

    max_attempts: int | None
    retry_backoff: Time
    retry_backoff_max: Time
    soft_time_limit: Time
    time_limit: Time


NAMES = tuple(Options.__annotations__)

DECLARED = "future_celery_options"

F = TypeVar("F", bound=Callable[..., Any])


def job_options(**options: Unpack[Options]) -> Callable[[F], F]:
    """Give a callable its own defaults for options of ``schedule_job``; a call may say otherwise.

    Args:
        options: ``max_attempts``, ``retry_backoff``, ``retry_backoff_max``, ``soft_time_limit`` and ``time_limit``.

    Raises:
        InvalidOption: a value is out of its range.
    """
    declared = checked(options)

    def declare(function: F) -> F:
        # A staticmethod object hands out its function, not itself.
        setattr(getattr(function, "__func__", function), DECLARED, declared)
        return function

    return declare


def chosen(given: Mapping[str, Any], function: Callable[..., Any] | None) -> dict[str, Any]:
    """Give the columns of a new job: as the call says, or else the callable, or else the settings."""
    declared = getattr(function, DECLARED, None)
    declared = declared if isinstance(declared, dict) else {}
    said = {name: value for name, value in given.items() if value is not None}
    return checked({"max_attempts": settings.MAX_ATTEMPTS, **declared, **said})


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give the options that are not None as they are stored.

    Raises:
        TypeError: there is no option of that name.
        InvalidOption: a value is out of its range.
    """
    if unknown := sorted(set(options) - set(NAMES)):
        raise TypeError(f"{', '.join(unknown)}: there is no such option; use {', '.join(NAMES)}.")
    stored = {name: _stored(name, value) for name, value in options.items() if value is not None}
    soft, hard = stored.get("soft_time_limit"), stored.get("time_limit")
    if soft is not None and hard is not None and soft >= hard:
        raise InvalidOption(f"soft_time_limit={soft:g} s is not below time_limit={hard:g} s: the job would be killed.")
    return stored


def check_relative_to(value: str) -> None:
    """Refuse what says neither that offsets count from now nor from the start of the slot. Raises InvalidOption."""
    if value not in ("now", "scheduled"):
        raise InvalidOption(f"relative_to={value!r} is unknown: use 'now' or 'scheduled'.")


def whole(name: str, value: Any, lowest: int, highest: int) -> int:
    """Give the whole number. Raises InvalidOption."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InvalidOption(f"{name}={value!r}: use a whole number from {lowest} to {highest}.")
    return value


def _stored(name: str, value: Any) -> Any:
    return whole(name, value, 1, MOST_ATTEMPTS) if name == "max_attempts" else _seconds(name, value)


def _seconds(name: str, value: Any) -> float:
    """Give the seconds of a number of them, as Celery has it, of a timedelta or of text such as ``'5m'``."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        try:
            seconds = length_of(value).total_seconds()
        except (ValueError, TypeError) as error:
            raise InvalidOption(f"{name}={value!r}: {error}") from error
    if not 0 < seconds <= timedelta.max.total_seconds():
        raise InvalidOption(f"{name}={value!r}: use a time above zero, such as 30, '5m' or a timedelta.")
    return seconds
