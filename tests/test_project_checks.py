"""The system checks of what is around: each unsafe or slow surrounding by its id, and none for a good one."""

import sys
from types import SimpleNamespace

import pytest
from celery import Celery
from django.core import checks
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_future_celery.project_checks import check_databases, check_deployment, check_project

OPTIONS = {"socket_timeout": 10, "socket_connect_timeout": 5}
GOOD = {"broker_url": "redis://127.0.0.1:6379/0", "broker_transport_options": OPTIONS}


def ids(messages):
    return [message.id.removeprefix("future_celery.") for message in messages]


@pytest.fixture(autouse=True)
def with_time_zones(settings):
    settings.USE_TZ = True


@pytest.fixture
def celery(monkeypatch):
    """Have this process load a project's Celery app with this configuration."""

    def load(main="project", **conf):
        app = Celery(main, set_as_current=False)
        app.conf.update(GOOD | conf)
        monkeypatch.setitem(sys.modules, "celery", SimpleNamespace(current_app=app))
        return check_project()

    return load


def test_a_good_project_has_nothing_to_be_told(celery):
    assert celery(task_time_limit=60) == []


def test_a_project_that_has_not_loaded_celery_has_nothing_to_be_told(monkeypatch):
    monkeypatch.delitem(sys.modules, "celery")
    assert check_project() == []


def test_celery_that_is_just_being_imported_is_not_asked(monkeypatch):
    monkeypatch.setitem(sys.modules, "celery", SimpleNamespace())
    assert check_project() == []


def test_the_app_that_celery_makes_up_is_not_the_projects(celery):
    assert celery("default", accept_content=["pickle"]) == []


@pytest.mark.parametrize("name", ["pickle", "application/x-python-serialize"])
def test_pickles_among_the_messages_are_a_warning(celery, name):
    assert ids(celery(accept_content=["json", name])) == ["W105"]


@pytest.mark.parametrize("pool", ["threads", "solo", "gevent", "eventlet"])
@pytest.mark.parametrize("limit", ["task_time_limit", "task_soft_time_limit"])
def test_a_time_limit_is_a_warning_in_a_pool_that_cannot_enforce_it(celery, pool, limit):
    assert ids(celery(worker_pool=pool, **{limit: 60})) == ["W106"]


def test_such_a_pool_without_limits_is_no_trouble(celery):
    assert celery(worker_pool="threads") == []


@pytest.mark.parametrize("url", ["redis://x/0", "rediss://x/0", "sentinel://x:1", "redis+socket:///x", ["redis://x/0"]])
@pytest.mark.parametrize("missing", [{"socket_timeout"}, {"socket_connect_timeout"}, set(OPTIONS)])
def test_redis_without_time_outs_is_a_warning_that_names_them(celery, url, missing):
    options = {name: value for name, value in OPTIONS.items() if name not in missing}
    [message] = celery(broker_url=url, broker_transport_options=options)

    assert ids([message]) == ["W107"]
    assert all(name in message.msg for name in missing)


@pytest.mark.parametrize("url", ["amqp://x", "filesystem://", "memory://", None])
def test_other_brokers_need_no_time_outs(celery, url):
    assert celery(broker_url=url, broker_transport_options={}) == []


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"WINDOW": 199}, ["W103"]),
        ({"WINDOW": 200}, []),
        ({"CLAIM_SIZE": 2000}, ["W103"]),
        ({"DISPATCH_LEASE_SECONDS": 9.9}, ["W104"]),
        ({"DISPATCH_LEASE_SECONDS": 10}, []),
        ({"PUBLISH_TIMEOUT_SECONDS": 31}, ["W104"]),
        ({"WINDOW": "1", "DISPATCH_LEASE_SECONDS": None}, []),
    ],
)
def test_settings_that_do_not_fit_together_are_a_warning(celery, changed, found):
    with override_settings(**{f"FUTURE_CELERY_{name}": value for name, value in changed.items()}):
        assert ids(celery()) == found


def test_a_project_without_time_zones_is_warned_of_the_hour_that_comes_twice(celery, settings):
    settings.USE_TZ = False
    assert ids(celery()) == ["W102"]


def test_a_replica_among_the_databases_of_the_jobs_is_a_warning(celery, monkeypatch, settings):
    monkeypatch.setitem(connections.settings["default"]["TEST"], "MIRROR", "primary")
    assert celery() == []

    settings.FUTURE_CELERY_DATABASES = ["default"]
    [message] = celery()
    assert ids([message]) == ["W101"] and "'default'" in message.msg


def test_a_replica_that_does_not_exist_is_told_by_the_settings_own_check(celery, settings):
    settings.FUTURE_CELERY_DATABASES = ["nowhere"]
    assert celery() == []


@pytest.mark.django_db(databases="__all__")
def test_databases_with_transactions_are_no_trouble_and_nothing_is_written_to_find_out(alias):
    with CaptureQueriesContext(connections[alias]) as queries:
        assert "E101" not in ids(check_databases(databases=[alias]))

    assert not [each["sql"] for each in queries if not each["sql"].startswith("SELECT")]


def test_tables_of_myisam_have_no_transactions(monkeypatch):
    mysql = next((name for name in connections if connections[name].vendor == "mysql"), None)
    if mysql is None:
        pytest.skip("no MySQL")
    features = type(connections[mysql].features)(connections[mysql])
    features._mysql_storage_engine = "MyISAM"
    monkeypatch.setattr(connections[mysql], "features", features)
    [message] = check_databases(databases=[mysql])
    assert ids([message]) == ["E101"] and repr(mysql) in message.msg
    assert message.level == checks.ERROR


@pytest.mark.parametrize(("allowed", "found"), [(None, ["W108"]), ([], []), (["shop.jobs.*"], [])])
def test_a_deployment_where_any_function_may_be_run_is_warned(settings, allowed, found):
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = allowed
    assert ids(check_deployment()) == found


@pytest.mark.parametrize("pickles", [True, False])
def test_that_warning_says_when_pickles_are_read_as_well(settings, pickles):
    settings.FUTURE_CELERY_PICKLE = pickles
    [message] = check_deployment()
    assert ("FUTURE_CELERY_PICKLE" in message.hint) is pickles


@pytest.mark.django_db(databases="__all__")
def test_the_checks_are_registered_and_that_of_a_deployment_for_deployments_only(capsys, settings):
    settings.USE_TZ = False
    call_command("check")
    assert "W108" not in (errors := capsys.readouterr().err) and "W102" in errors
    call_command("check", deploy=True)
    assert "W108" in capsys.readouterr().err
