"""Who is at work, as the rows of beats, workers and commands say it."""

import logging
import os
import socket
from types import SimpleNamespace

import pytest
from celery import Celery
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import OperationalError
from django.test import override_settings

from django_future_celery import tasks
from django_future_celery.clock import to_datetime
from django_future_celery.models import Process
from django_future_celery.presence import FORGOTTEN, SEEN_SECONDS, Presence
from django_future_celery.schedulers import DatabaseScheduler
from django_future_celery.states import Kind
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(databases=list(django_settings.DATABASES), transaction=True)


class Stopwatch:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def stopwatch():
    return Stopwatch()


@pytest.fixture
def beat(stopwatch):
    return Presence(Kind.BEAT, "host:1:abc", stopwatch)


def seen(alias):
    return list(Process.objects.using(alias).order_by("name").values_list("kind", "name"))


def test_a_process_says_what_it_is_and_since_when(alias, beat, now):
    beat.show(alias)

    row = Process.objects.using(alias).get()
    assert (row.kind, row.name, row.host, row.pid) == ("beat", "host:1:abc", socket.gethostname(), os.getpid())
    assert now <= row.since == row.seen
    assert row.seen_at == row.since_at == to_datetime(row.seen)


def test_it_writes_seldom(alias, beat, stopwatch, django_assert_num_queries):
    beat.show(alias)
    stopwatch.seconds = SEEN_SECONDS - 0.1
    with django_assert_num_queries(0, using=alias):
        beat.show(alias)


def test_it_is_seen_again_and_again(alias, beat, stopwatch):
    beat.show(alias)
    first = Process.objects.using(alias).get()
    stopwatch.seconds = SEEN_SECONDS
    beat.show(alias)

    again = Process.objects.using(alias).get()
    assert again.seen > first.seen
    assert again.since == first.since


def test_the_next_process_of_the_same_name_takes_the_row_over(alias, beat, now):
    Process.objects.using(alias).create(kind="beat", name=beat.name, host="old", pid=1, since=5, seen=5)
    beat.show(alias)

    row = Process.objects.using(alias).get()
    assert (row.host, row.pid) == (socket.gethostname(), os.getpid())
    assert row.since >= now


def test_who_was_not_seen_for_a_day_is_forgotten(alias, beat, now):
    for name, last in {"yesterday": now - FORGOTTEN, "today": now}.items():
        Process.objects.using(alias).create(kind="worker", name=name, host="h", pid=1, since=5, seen=last)
    beat.show(alias)

    assert [name for _, name in seen(alias)] == ["host:1:abc", "today"]


def test_who_ends_takes_its_row_away_and_no_other(alias, beat):
    Process.objects.using(alias).create(kind="beat", name="other", host="h", pid=1, since=5, seen=5)
    beat.write(alias, FORGOTTEN)
    beat.leave()

    assert seen(alias) == [("beat", "other")]


def test_the_row_of_a_successor_stays(alias, beat):
    beat.show(alias)
    Process.objects.using(alias).update(pid=os.getpid() + 1)
    beat.leave()

    assert seen(alias) == [("beat", "host:1:abc")]


@pytest.mark.parametrize("act", ["show", "leave"])
def test_a_database_that_is_away_breaks_nothing(alias, beat, monkeypatch, caplog, act):
    beat.show(alias)

    def away(using):
        raise OperationalError("away")

    monkeypatch.setattr(Process.objects, "using", away)
    beat._next.clear()
    with caplog.at_level(logging.WARNING):
        getattr(beat, act)(*[alias] * (act == "show"))

    [record] = caplog.records
    assert "host:1:abc" in record.getMessage() and "away" in record.getMessage()


def test_a_worker_is_seen_from_its_start_to_its_end_also_if_it_has_nothing_to_do():
    with override_settings(FUTURE_CELERY_DATABASES=list(django_settings.DATABASES)):
        tasks.on_ready(SimpleNamespace(hostname="celery@host"))
        for alias in django_settings.DATABASES:
            wait_until(lambda alias=alias: seen(alias) == [("worker", "celery@host")], what="the worker's row")
        tasks.on_shutdown(SimpleNamespace(hostname="celery@host"))

    assert [seen(alias) for alias in django_settings.DATABASES] == [[]] * len(django_settings.DATABASES)


def test_the_end_of_a_worker_that_never_was_ready_is_no_trouble():
    tasks.on_shutdown(SimpleNamespace(hostname="celery@host"))


def test_a_beat_is_seen_when_it_has_ticked_until_it_ends(tmp_path):
    app = Celery("presence", broker="memory://", set_as_current=False)
    beat = DatabaseScheduler(app=app, schedule_filename=str(tmp_path / "schedule"))
    assert seen("default") == []

    beat.tick()
    assert seen("default") == [("beat", beat._leadership.holder)]

    beat.close()
    assert seen("default") == []


def test_a_beat_is_not_seen_where_it_could_not_tick(tmp_path, monkeypatch):
    app = Celery("presence", broker="memory://", set_as_current=False)
    beat = DatabaseScheduler(app=app, schedule_filename=str(tmp_path / "schedule"))
    monkeypatch.setattr("django_future_celery.schedulers.tick_all", lambda *args: {})
    beat.tick()
    beat.close()

    assert seen("default") == []


def test_the_tick_as_a_task_is_one_beat_whoever_runs_it(monkeypatch):
    monkeypatch.setattr(tasks.ticking, "_next", {})
    tasks.tick.apply(throw=True)

    assert seen("default") == [("beat", "django_future_celery.tick")]


def test_the_command_is_seen(alias, capsys):
    call_command("runscheduledjobs", database=alias)

    assert seen(alias) == [("command", f"runscheduledjobs@{socket.gethostname()}")]
