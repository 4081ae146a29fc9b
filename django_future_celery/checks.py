"""System checks of the settings: each by its id. What the project around must be is in project_checks.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core import checks
from django.db import connections

from django_future_celery.conf import PREFIX, settings
from django_future_celery.durations import length_of
from django_future_celery.exceptions import FutureCeleryError
from django_future_celery.options import MOST_ATTEMPTS
from django_future_celery.redaction import find_redactor


@dataclass(frozen=True)
class Rule:
    """What a setting may be: a predicate, and the same in words."""

    id: str
    holds: Callable[[Any], bool]
    words: str


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _names(value: Any) -> bool:
    return value is None or (
        isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(name, str) for name in value)
    )


def _aliases(value: Any) -> bool:
    return value is None or (_names(value) and bool(value) and all(alias in connections.settings for alias in value))


def _redactor(value: Any) -> bool:
    try:
        find_redactor(value)
    except Exception:
        return False
    return True


def _retention(value: Any) -> bool:
    try:
        return value is None or bool(length_of(value))
    except FutureCeleryError:
        return False


def _extra(name: str, module: str) -> tuple[Callable[[Any], bool], str]:
    def holds(value: Any) -> bool:
        return value is False or (value is True and _importable(module))

    return holds, f"False, or True with django-future-celery[{name}] installed"


def _importable(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True


def _address(value: Any) -> bool:
    if value is None:
        return True
    try:
        url = urlsplit(value)
        return url.scheme in ("http", "https") and bool(url.hostname)
    except (AttributeError, TypeError, ValueError):
        return False


SECONDS = (_positive, "a number of seconds above 0")
SWITCH = (lambda value: isinstance(value, bool), "True or False")
COUNT = (_whole, "a whole number above 0")

RULES = {
    "TICK_SECONDS": Rule("E001", *SECONDS),
    "DISPATCH_LEASE_SECONDS": Rule("E002", *SECONDS),
    "RUN_LEASE_SECONDS": Rule("E003", *SECONDS),
    "HEARTBEAT_SECONDS": Rule(
        "E004",
        lambda value: _positive(value) and not (_positive(lease := settings.RUN_LEASE_SECONDS) and value * 2 >= lease),
        "a number of seconds below half of FUTURE_CELERY_RUN_LEASE_SECONDS",
    ),
    "CLAIM_SIZE": Rule("E005", *COUNT),
    "WINDOW": Rule("E006", *COUNT),
    "BATCH_SIZE": Rule("E024", *COUNT),
    "BATCH_SECONDS": Rule("E023", *SECONDS),
    "PUBLISH_TIMEOUT_SECONDS": Rule("E007", *SECONDS),
    "RETRY_BACKOFF_SECONDS": Rule("E008", *SECONDS),
    "RETRY_BACKOFF_MAX_SECONDS": Rule("E009", *SECONDS),
    "STICKY_INTERVAL": Rule("E010", *SECONDS),
    "MAX_ATTEMPTS": Rule("E019", lambda value: _whole(value) and value <= MOST_ATTEMPTS, f"from 1 to {MOST_ATTEMPTS}"),
    "UNKNOWN_CALLABLE_GRACE": Rule("E020", *SECONDS),
    "PICKLE": Rule("E011", *SWITCH),
    "NUDGE": Rule("E022", *SWITCH),
    "MAX_ARGUMENTS_SIZE": Rule("E012", *COUNT),
    "MAX_RESULT_SIZE": Rule("E013", *COUNT),
    "MAX_ERROR_SIZE": Rule("E014", *COUNT),
    "ALLOWED_CALLABLES": Rule("E015", _names, "None, or a list of patterns such as ['shop.jobs.*']"),
    "DATABASES": Rule("E016", _aliases, "None, or a list of aliases that DATABASES has"),
    "REDACT": Rule("E018", _redactor, "None, or the dotted path of a function (text, what, job) that can be imported"),
    "BEAT_LEASE_SECONDS": Rule("E017", *SECONDS),
    "RETENTION": Rule("E021", _retention, "None, or a length of time above 0, such as '30d' or a timedelta"),
    "PROMETHEUS": Rule("E025", *_extra("prometheus", "prometheus_client")),
    "OPENTELEMETRY": Rule("E026", *_extra("opentelemetry", "opentelemetry.trace")),
    "FLOWER_URL": Rule("E027", _address, "None, or an address such as 'https://flower.example.com/'"),
}


def check_settings(**options: Any) -> list[checks.CheckMessage]:
    return [*wrong_values(), *unknown_names()]


def wrong_values() -> list[checks.CheckMessage]:
    return [
        checks.Error(f"{PREFIX}{name} = {value!r}: it must be {rule.words}.", id=f"future_celery.{rule.id}")
        for name, rule in RULES.items()
        if not rule.holds(value := getattr(settings, name))
    ]


def unknown_names() -> list[checks.CheckMessage]:
    """A setting with our prefix that we do not know is a typing error, and would be ignored in silence."""
    names = [name for name in dir(django_settings) if name.startswith(PREFIX) and name.isupper()]
    return [
        checks.Warning(
            f"{name} is no setting of django_future_celery.",
            hint=f"The settings are {', '.join(PREFIX + known for known in RULES)}.",
            id="future_celery.W001",
        )
        for name in names
        if name.removeprefix(PREFIX) not in RULES
    ]
