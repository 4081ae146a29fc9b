"""The system checks: each setting by its id, names that we do not know, and what a database needs."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from django_future_celery.checks import RULES, check_settings
from django_future_celery.conf import PREFIX, Settings, settings
from django_future_celery.project_checks import check_databases

ROOT = Path(__file__).parent.parent

SECONDS = [0, -1, "60", None, True, [60]]
COUNT = [0, -1, 1.5, "60", None, True]
WRONG = {
    "TICK_SECONDS": ("E001", SECONDS),
    "DISPATCH_LEASE_SECONDS": ("E002", SECONDS),
    "RUN_LEASE_SECONDS": ("E003", SECONDS),
    "HEARTBEAT_SECONDS": ("E004", [*SECONDS, 30, 60]),
    "CLAIM_SIZE": ("E005", COUNT),
    "WINDOW": ("E006", COUNT),
    "BATCH_SIZE": ("E024", COUNT),
    "BATCH_SECONDS": ("E023", SECONDS),
    "PUBLISH_TIMEOUT_SECONDS": ("E007", SECONDS),
    "RETRY_BACKOFF_SECONDS": ("E008", SECONDS),
    "RETRY_BACKOFF_MAX_SECONDS": ("E009", SECONDS),
    "STICKY_INTERVAL": ("E010", SECONDS),
    "MAX_ATTEMPTS": ("E019", [*COUNT, 32_768]),
    "UNKNOWN_CALLABLE_GRACE": ("E020", SECONDS),
    "PICKLE": ("E011", [0, 1, "False", None]),
    "NUDGE": ("E022", [0, 1, "False", None]),
    "MAX_ARGUMENTS_SIZE": ("E012", COUNT),
    "MAX_RESULT_SIZE": ("E013", COUNT),
    "MAX_ERROR_SIZE": ("E014", COUNT),
    "ALLOWED_CALLABLES": ("E015", ["shop.jobs.*", 5, True, [5], ["a.b", None], {"shop.*"}]),
    "DATABASES": ("E016", ["default", [], ["nowhere"], 5, [None], True]),
    "REDACT": ("E018", ["nowhere.redact", "json.missing", "json.__doc__", "redact", "", 5, True]),
    "BEAT_LEASE_SECONDS": ("E017", SECONDS),
    "RETENTION": ("E021", [0, 30, True, "", "30", "0d", timedelta(), timedelta(days=-1), "2030-01-01T00:00"]),
    "PROMETHEUS": ("E025", [0, 1, "False", None]),
    "OPENTELEMETRY": ("E026", [0, 1, "False", None]),
    "FLOWER_URL": ("E027", ["", "flower.example.com", "javascript:alert(1)", "https://", "http://[", 5, b"http://a"]),
}
RIGHT = {
    "TICK_SECONDS": [0.1, 1, 60],
    "HEARTBEAT_SECONDS": [0.1, 29.9],
    "CLAIM_SIZE": [1],
    "PICKLE": [True, False],
    "RETENTION": [None, "30d", "PT12H", timedelta(days=1)],
    "NUDGE": [True, False],
    "PROMETHEUS": [True, False],
    "OPENTELEMETRY": [True, False],
    "ALLOWED_CALLABLES": [None, [], ["shop.jobs.*"], ("a.b", "c.d")],
    "DATABASES": [None, ["default"], ("default",)],
    "REDACT": [None, "django_future_celery.redaction.mask_secrets", "builtins.format"],
    "FLOWER_URL": [None, "http://127.0.0.1:5555", "https://example.com/flower/"],
}

#: Heartbeat and run lease are compared with each other, so a wrong one may be told at both.
TWO_SETTINGS = {"RUN_LEASE_SECONDS": {"E004"}}


def ids(messages):
    return {message.id.removeprefix("future_celery.") for message in messages}


def each(values):
    return [pytest.param(name, value, id=f"{name}={value!r}") for name, found in values.items() for value in found]


def test_every_setting_has_a_check_and_every_check_a_setting_and_a_test():
    names = {name for name in vars(Settings) if name.isupper()}

    assert names == set(RULES) == set(WRONG)
    assert {name: rule.id for name, rule in RULES.items()} == {name: ident for name, (ident, _) in WRONG.items()}
    assert len({rule.id for rule in RULES.values()}) == len(RULES)


@pytest.mark.parametrize(("name", "value"), each({name: values for name, (_, values) in WRONG.items()}))
def test_a_wrong_value_is_told_by_its_id(name, value):
    with override_settings(**{PREFIX + name: value}):
        messages = check_settings()

    ident = WRONG[name][0]
    assert ids(messages) - TWO_SETTINGS.get(name, set()) == {ident}
    [message] = [message for message in messages if message.id == f"future_celery.{ident}"]
    assert message.level == checks.ERROR
    assert f"{PREFIX}{name} = {value!r}: it must be " in message.msg


@pytest.mark.parametrize(("name", "value"), each(RIGHT))
def test_a_right_value_is_no_trouble(name, value):
    with override_settings(**{PREFIX + name: value}):
        assert check_settings() == []


def test_the_defaults_are_no_trouble():
    assert check_settings() == []


def test_several_wrong_values_are_told_together():
    with override_settings(FUTURE_CELERY_WINDOW=0, FUTURE_CELERY_PICKLE=None):
        assert ids(check_settings()) == {"E006", "E011"}


@pytest.mark.parametrize("name", ["FUTURE_CELERY_WINDOWS", "FUTURE_CELERY_ALLOWED_CALLABLE", "FUTURE_CELERY_"])
def test_an_unknown_name_is_a_warning_that_lists_the_known_ones(name):
    with override_settings(**{name: 1}):
        [message] = check_settings()

    assert (message.id, message.level) == ("future_celery.W001", checks.WARNING)
    assert message.msg.startswith(f"{name} is no setting")
    assert all(PREFIX + known in message.hint for known in RULES)


@pytest.mark.parametrize("name", ["CELERY_FUTURE", "FUTURE_CELERIES", "DJANGO_FUTURE_CELERY_X"])
def test_names_of_others_are_none_of_our_business(name):
    with override_settings(**{name: 1}):
        assert check_settings() == []


def test_settings_are_read_when_they_are_used():
    assert settings.WINDOW == 1000
    with override_settings(FUTURE_CELERY_WINDOW=7):
        assert settings.WINDOW == 7
    assert settings.WINDOW == 1000


def test_a_setting_of_none_is_none_and_not_the_default():
    with override_settings(FUTURE_CELERY_WINDOW=None):
        assert settings.WINDOW is None


def test_a_setting_that_does_not_exist_has_no_value():
    with pytest.raises(AttributeError):
        settings.WINDOWS  # noqa: B018


@pytest.fixture
def options(monkeypatch):
    """Set the OPTIONS of the SQLite database."""
    alias = next((name for name in connections if connections[name].vendor == "sqlite"), None)
    if alias is None:
        pytest.skip("no SQLite database")

    def choose(found):
        monkeypatch.setitem(connections[alias].settings_dict, "OPTIONS", found)
        return check_databases(databases=[alias])

    return choose


@pytest.mark.parametrize("found", [{}, {"transaction_mode": "DEFERRED"}, {"transaction_mode": None}, {"timeout": 20}])
def test_a_sqlite_database_without_immediate_transactions_is_a_warning(options, found):
    [message] = options(found)

    assert (message.id, message.level) == ("future_celery.W002", checks.WARNING)
    assert "IMMEDIATE" in message.hint


@pytest.mark.parametrize("mode", ["IMMEDIATE", "immediate"])
def test_a_sqlite_database_with_immediate_transactions_is_no_trouble(options, mode):
    assert options({"transaction_mode": mode}) == []


@pytest.mark.django_db(databases="__all__")
def test_other_databases_are_no_trouble():
    others = [name for name in connections if connections[name].vendor != "sqlite"]

    assert check_databases(databases=others) == []


STRICT = ["future_celery.W003"]


@pytest.mark.parametrize(
    ("level", "ids"), [("READ_COMMITTED", []), ("REPEATABLE_READ", STRICT), ("SERIALIZABLE", STRICT)]
)
def test_strict_isolation_is_a_warning_where_the_heartbeat_would_clash_with_it(monkeypatch, level, ids):
    alias = next((name for name in connections if connections[name].vendor == "postgresql"), None)
    if alias is None:
        pytest.skip("no PostgreSQL")
    from psycopg import IsolationLevel

    monkeypatch.setitem(connections[alias].settings_dict, "OPTIONS", {"isolation_level": IsolationLevel[level]})
    assert [message.id for message in check_databases(databases=[alias])] == ids


@pytest.mark.parametrize("chosen", [None, []])
def test_no_database_is_looked_at_unless_it_is_named(options, chosen):
    options({})

    assert check_databases(databases=chosen) == []


@pytest.mark.django_db(databases="__all__")
def test_the_checks_are_registered():
    with override_settings(FUTURE_CELERY_WINDOW=0), pytest.raises(Exception, match="E006"):
        call_command("check")


@pytest.mark.django_db(databases="__all__")
def test_the_check_of_databases_runs_where_django_looks_at_them(options):
    options({})
    found = checks.run_checks(tags=[checks.Tags.database], databases=list(connections))

    assert "future_celery.W002" in {message.id for message in found}
    assert "future_celery.W002" not in {message.id for message in checks.run_checks()}


@pytest.mark.parametrize("flags", [[], ["--database", "default"]], ids=["check", "check --database"])
def test_a_default_project_has_no_errors(tmp_path, flags):
    """As ``django-admin startproject`` makes it, with our app added: a warning at most, of SQLite."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment["PYTHONPATH"] = str(ROOT)

    def run(*command):
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run("-m", "django", "startproject", "mysite", ".").returncode == 0
    with (tmp_path / "mysite" / "settings.py").open("a") as file:
        file.write("\nINSTALLED_APPS += ['django_future_celery']\n")
    done = run("manage.py", "check", "--fail-level", "ERROR", *flags)

    assert done.returncode == 0, done.stderr
    assert ("future_celery.W002" in done.stderr) is bool(flags)
    assert done.stderr.count("(future_celery.") == bool(flags)
