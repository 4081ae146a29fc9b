"""When a job becomes due, and when its slot is over: the accepted forms of time, turned into datetimes."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from django_future_celery.exceptions import InvalidTime, InvalidTimeType


def gettext_noop(message: str) -> str:
    """Mark a message for the catalogues. Django's function of this name needs the settings, which may still be read."""
    return message


UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FORMS = "Use '5d', '1d12h', 'PT30M', '2027-01-01T09:00', a timedelta or a datetime."

#: Days that no time zone moves out of the calendar: what is stored can be shown anywhere.
FIRST, LAST = datetime.min + timedelta(days=1), datetime.max - timedelta(days=1)

_PIECE = re.compile(r"(\d+)\s*([smhdw])\s*", re.ASCII)
_OFFSET = re.compile(rf"(?:{_PIECE.pattern})+", re.ASCII)
_DURATION = re.compile(
    r"P(?=.)(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?"
    r"(?:(?P<seconds>\d+)(?:[.,](?P<microseconds>\d{1,6}))?S)?)?",
    re.ASCII,
)
# Python alone would take any character between date and time, and so some bare numbers.
_DATETIME = re.compile(r"[\dW-]+[T ][\d:.,]+\s*(?:Z|[+-][\d:.]+)?", re.ASCII)

_REFUSED = (
    (re.compile(r""), gettext_noop("%(value)r is empty.")),
    (re.compile(r"\d+([.,]\d+)?"), gettext_noop("%(value)r has no unit: write '5m', '5h' or '5d'.")),
    (re.compile(r"[-+].*"), gettext_noop("%(value)r has a sign: offsets count forward and have none.")),
    (
        re.compile(r"P[^T]*[YM].*"),
        gettext_noop("%(value)r has years or months, which have no fixed length: use weeks or days."),
    ),
    (re.compile(r"\d{4}-[\dW-]+"), gettext_noop("%(value)r is a date without a time: write '2027-01-01T09:00'.")),
    (re.compile(r".*", re.DOTALL), gettext_noop("%(value)r cannot be understood as a time.")),
)


def start_of(value: datetime | timedelta | str, *, now: datetime) -> datetime:
    """Tell when a job becomes due.

    ``value`` is a datetime, a timedelta of zero or more, an offset of whole seconds, minutes, hours, days and
    weeks (``'5d'``, ``'1d12h'``), an ISO 8601 duration without years and months, or an ISO 8601 datetime.
    Offsets count from ``now``, which is as ``timezone.now()`` gives it: elapsed time under ``USE_TZ``, else
    naive arithmetic. Naive datetimes are in Django's current time zone; ``fold`` tells equal ones apart.

    Returns what Django stores: UTC under ``USE_TZ``, else naive in the default time zone.
    Raises InvalidTimeType for another type, InvalidTime for a value that says no time.
    """
    return _instant(value, now)


def end_of(expires: datetime | timedelta | str | None, *, start: datetime) -> datetime | None:
    """Tell when the slot that begins at ``start`` is over; None means never.

    Takes the forms of ``start_of``; offsets count from ``start``. Returns a datetime as ``start_of`` does.
    Raises InvalidTimeType for another type, InvalidTime for what says no time, or no time after ``start``.
    """
    if expires is None:
        return None
    end = _instant(expires, start)
    if end <= _stored(start):
        told = {"value": expires, "start": start}
        raise InvalidTime(
            gettext_noop("The end, %(value)r, is not after the start, %(start)s."), told, "Use a later one or None."
        )
    return end


def offset_of(value: datetime | timedelta | str) -> timedelta | None:
    """Give the offset that a form of ``start_of`` says, None for a datetime."""
    time = _parsed(value) if isinstance(value, str) else value
    return time if isinstance(time, timedelta) else None


def length_of(value: timedelta | str) -> timedelta:
    """Give the length of time that a timedelta of zero or more, ``'5m'`` or ``'PT30M'`` says.

    Raises InvalidTimeType for another type, InvalidTime for what says no length.
    """
    length = _parsed(value) if isinstance(value, str) else value
    if isinstance(length, timedelta):
        return _forward(length)
    if isinstance(length, datetime):
        hint = "Use '5m', 'PT30M' or a timedelta."
        raise InvalidTime("%(value)r is an instant, not a length of time.", {"value": value}, hint)
    raise InvalidTimeType(f"{value!r} is a {type(value).__name__}: use '5m', 'PT30M' or a timedelta.")


def _instant(value: datetime | timedelta | str, base: datetime) -> datetime:
    time = _parsed(value) if isinstance(value, str) else value
    try:
        if isinstance(time, timedelta):
            return _within_calendar(_stored(base) + _forward(time))
        if isinstance(time, datetime):
            return _within_calendar(_stored(time))
    except OverflowError:
        told = {"value": value}
        raise InvalidTime(gettext_noop("%(value)r is outside the years 1 to 9999: give a nearer time."), told) from None
    raise InvalidTimeType(f"{value!r} is a {type(value).__name__}, which says no time. {FORMS}")


def _within_calendar(instant: datetime) -> datetime:
    # The year says it of nearly all, without another datetime.
    if not FIRST.year < instant.year < LAST.year and not FIRST <= instant.replace(tzinfo=None) <= LAST:
        raise OverflowError
    return instant


def _forward(offset: timedelta) -> timedelta:
    if offset < timedelta():
        hint = "Give a past time as a datetime."
        raise InvalidTime(gettext_noop("%(value)r is negative: offsets count forward."), {"value": offset}, hint)
    return offset


@functools.lru_cache(maxsize=256)
def _parsed(value: str) -> datetime | timedelta:
    text = value.strip()
    if _OFFSET.fullmatch(text):
        return _offset(text)
    if duration := _DURATION.fullmatch(text):
        return _duration(duration)
    if _DATETIME.fullmatch(text) and (time := _datetime(text)):
        return time
    reason = next(reason for pattern, reason in _REFUSED if pattern.fullmatch(text))
    raise InvalidTime(reason, {"value": value}, FORMS)


def _offset(text: str) -> timedelta:
    pieces = _PIECE.findall(text)
    numbers = {UNITS[unit]: number for number, unit in pieces}
    if len(numbers) < len(pieces):
        raise InvalidTime(gettext_noop("%(value)r names a unit twice: add the two up."), {"value": text})
    return _timedelta(text, numbers)


def _duration(match: re.Match[str]) -> timedelta:
    numbers = {unit: number for unit, number in match.groupdict().items() if number}
    if "microseconds" in numbers:
        numbers["microseconds"] = numbers["microseconds"].ljust(6, "0")
    return _timedelta(match.string, numbers)


def _timedelta(text: str, numbers: dict[str, str]) -> timedelta:
    try:
        return timedelta(**{unit: int(number) for unit, number in numbers.items()})
    except (OverflowError, ValueError):  # int() refuses thousands of digits with a ValueError
        told = {"value": text}
        raise InvalidTime(
            gettext_noop("%(value)r is longer than time lasts here: give a shorter offset."), told
        ) from None


def _datetime(text: str) -> datetime | None:
    try:
        return parse_datetime(text)
    except ValueError as error:
        told = {"value": text}
        raise InvalidTime(gettext_noop("%(value)r is no datetime."), told, f"Python says: {error}. {FORMS}") from None


def _stored(value: datetime) -> datetime:
    """Give the instant as Django stores it: UTC, or naive in the default time zone if ``USE_TZ`` is off."""
    if value.tzinfo is UTC and settings.USE_TZ:
        return value
    if timezone.is_naive(value):
        if not settings.USE_TZ:
            return value
        value = timezone.make_aware(value)
    instant = _existing(value)
    return instant if settings.USE_TZ else timezone.make_naive(instant, timezone.get_default_timezone())


def _existing(value: datetime) -> datetime:
    instant = value.astimezone(UTC)
    local = value.replace(tzinfo=None)
    if instant.astimezone(value.tzinfo).replace(tzinfo=None) != local:
        told = {"time": local, "zone": value.tzinfo}
        raise InvalidTime(gettext_noop("%(time)s does not exist in %(zone)s: its clocks skip that hour."), told)
    return instant
