"""The beat scheduler in this process: when it sends periodic tasks, and what it knows of those that others sent."""

import json
import logging
from datetime import timedelta

import pytest
from celery import Celery
from django.apps import apps
from django.conf import settings as django_settings
from django.db import OperationalError, connections
from django.utils import timezone

from django_future_celery import schedule_job
from django_future_celery.clock import SECOND
from django_future_celery.dispatcher import Tick, databases
from django_future_celery.exceptions import BrokerAway
from django_future_celery.leadership import Leadership
from django_future_celery.models import BeatLease, ScheduledJob
from django_future_celery.recovery import Recovered
from django_future_celery.schedulers import DatabaseScheduler

pytestmark = pytest.mark.django_db(databases=list(django_settings.DATABASES), transaction=True)

IN_ROWS = apps.is_installed("django_celery_beat")
APP = "periodic"
HOURLY = {"task": "shop.hourly", "schedule": 3600.0}
LONG_AGO = timedelta(hours=2)


@pytest.fixture
def start(tmp_path):
    """Start beats as processes do, each with a file of its own; ``sent`` has the names of what it sent."""
    started = []

    def start():
        app = Celery(APP, broker="memory://", set_as_current=False)
        app.conf.beat_schedule = {"hourly": HOURLY}
        app.conf.result_expires = None  # Celery's own periodic task
        beat = DatabaseScheduler(app=app, schedule_filename=str(tmp_path / str(len(started))))
        beat.sent = []
        beat.send_task = lambda name, *args, **options: beat.sent.append(name)
        started.append(beat)
        return beat

    yield start
    for beat in started:
        beat.close()


@pytest.fixture
def beat(start):
    return start()


def last_run(beat, when):
    """Say when the task was sent last, as the beat that sent it has written it down."""
    if IN_ROWS:
        from django_celery_beat.models import PeriodicTask, PeriodicTasks

        PeriodicTask.objects.filter(name="hourly").update(last_run_at=when)
        PeriodicTasks.update_changed()
    else:
        BeatLease.objects.update(last_runs=json.dumps({"hourly": when.isoformat()}))
    beat._in_order = False


def written_run(beat):
    if IN_ROWS:
        from django_celery_beat.models import PeriodicTask

        return PeriodicTask.objects.get(name="hourly").last_run_at
    return json.loads(BeatLease.objects.get().last_runs).get("hourly")


def make_due(beat):
    beat.tick()
    last_run(beat, timezone.now() - LONG_AGO)


def tick(beat, times=3):
    for _ in range(times):
        beat.tick()
    return beat.sent


def test_what_is_due_is_sent_once_and_that_is_written_down_at_once(beat):
    make_due(beat)
    before = written_run(beat)

    assert tick(beat) == ["shop.hourly"]
    assert written_run(beat) > before


def test_a_standby_sends_nothing_and_writes_nothing(start):
    holder, standby = start(), start()
    make_due(holder)
    before = written_run(holder)

    assert tick(standby) == []
    assert written_run(standby) == before


def test_what_the_holder_has_sent_is_not_sent_again_by_the_next_one(start):
    holder, standby = start(), start()
    make_due(holder)
    tick(standby)
    tick(holder)
    holder.close()

    assert tick(standby) == []
    assert standby._leadership.held


def test_what_the_holder_did_not_send_is_sent_by_the_next_one(start):
    holder, standby = start(), start()
    make_due(holder)
    tick(standby)
    holder.close()

    assert tick(standby) == ["shop.hourly"]


def test_a_holder_that_lost_its_lease_sends_nothing_of_what_is_due(beat):
    make_due(beat)
    BeatLease.objects.update(holder="another", until=2**62)

    assert tick(beat) == []
    assert not beat._leadership.held


def test_a_lease_lost_while_beat_looked_for_what_is_due_is_noticed_before_it_is_sent(beat, monkeypatch):
    """It was frozen, or waited for its broker."""
    make_due(beat)
    before = written_run(beat)

    def frozen():
        BeatLease.objects.update(holder="another", until=2**62)

    monkeypatch.setattr(beat._publish, "open", frozen)

    assert tick(beat) == []
    assert written_run(beat) == before


def test_a_holder_that_lost_its_lease_and_gets_it_back_reads_what_was_sent_meanwhile(beat):
    make_due(beat)
    other = Leadership(APP)
    BeatLease.objects.update(until=1)
    assert other.take()
    tick(beat)
    last_run(beat, timezone.now())
    other.release()

    assert tick(beat) == []
    assert beat._leadership.held


def test_while_the_broker_is_away_what_is_due_stays_due_and_then_is_sent_once(beat, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    make_due(beat)
    with monkeypatch.context() as outage:

        def away():
            raise BrokerAway("refused")

        outage.setattr(beat._publish, "open", away)
        assert tick(beat) == []

    assert tick(beat) == ["shop.hourly"]
    assert [each for each in caplog.messages if "away" in each or "broker" in each.lower()] == [
        "The broker does not take messages, periodic tasks wait: refused",
        next(each for each in caplog.messages if each.startswith("The broker is back after")),
    ]


def test_a_connection_that_was_idle_for_long_is_opened_anew_before_a_task_can_be_lost_on_it(beat):
    make_due(beat)
    tick(beat)
    first = beat.producer
    last_run(beat, timezone.now() - LONG_AGO)
    tick(beat)
    assert beat.producer is first

    beat._last_sent -= 60
    last_run(beat, timezone.now() - LONG_AGO)
    assert len(tick(beat)) == 3
    assert beat.producer is not first


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("gone"), "The broker went away while the periodic task hourly was sent: gone"),
        (TypeError("not JSON"), "Message Error: Couldn't apply scheduled task hourly: not JSON"),
    ],
)
def test_a_task_that_cannot_be_sent_is_told_and_not_tried_again_at_each_tick(beat, caplog, error, told):
    def broken(*args, **options):
        raise error

    make_due(beat)
    beat.send_task = broken
    tick(beat)

    assert [record.getMessage().splitlines()[0] for record in caplog.records] == [told]


@pytest.mark.parametrize("step", ["renew", "last_runs", "take"])
def test_while_nobody_can_know_who_leads_what_is_due_stays_due_and_then_is_sent_once(beat, monkeypatch, caplog, step):
    caplog.set_level(logging.INFO)
    make_due(beat)
    if step == "take":
        BeatLease.objects.update(holder="", until=0)
    with monkeypatch.context() as outage:

        def away(*args):
            raise OperationalError("no route\n to host")

        outage.setattr(Leadership, step, away)
        assert tick(beat) == []

    assert tick(beat) == ["shop.hourly"]
    told = [each for each in caplog.messages if "periodic tasks wait" in each or "is back" in each]
    assert told[0] == "The periodic tasks wait for their database: no route to host"
    assert len(told) == 2 and told[1].startswith("The schedule of the periodic tasks is back after")


def test_of_a_silent_database_jobs_and_periodic_tasks_tell_once(beat, monkeypatch, caplog):
    def away(*args):
        raise OperationalError("no route to host")

    make_due(beat)
    monkeypatch.setattr("django_future_celery.dispatcher.database_now", away)
    monkeypatch.setattr("django_future_celery.schedulers.database_now", away)
    monkeypatch.setattr(Leadership, "renew", away)
    for _ in range(3):
        beat._next_tick = 0.0
        beat.tick()

    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


def test_a_beat_looks_at_its_lease_more_often_than_it_is_over(start, settings):
    settings.FUTURE_CELERY_TICK_SECONDS = 600
    settings.FUTURE_CELERY_BEAT_LEASE_SECONDS = 6
    holder, standby = start(), start()
    for _ in range(2):
        assert holder.tick() <= 2
        assert standby.tick() <= 1


def test_what_another_has_sent_is_not_sent_again_by_a_beat_whose_own_file_is_older(start):
    if IN_ROWS:
        pytest.skip("the rows of django-celery-beat are shared")
    holder, standby = start(), start()
    for beat in (holder, standby):
        beat.schedule["hourly"].last_run_at = timezone.now() - LONG_AGO
    assert tick(holder) == ["shop.hourly"]
    holder.close()

    assert tick(standby) == []


@pytest.mark.parametrize(("wake", "instant"), [(7.0, 101.95), (5.03, 100.03)])
def test_the_next_tick_is_a_moment_ahead_of_what_is_due_next(beat, monkeypatch, wake, instant):
    """By the database's clock. What is left behind inside that moment was not to be sent ahead."""
    assert next_tick_after(beat, monkeypatch, wake=int(wake * SECOND)) == pytest.approx(instant)


def next_tick_after(beat, monkeypatch, **columns):
    """Give when a beat ticks again after a tick at 5 s, which was 100 s by its stopwatch."""
    nothing = {"wake": None, "sent": 0, "over": 0, "recovered": Recovered(), "more": False, "full": False}
    [using] = databases()
    done = Tick(**nothing | {"now": 5 * SECOND, "stopwatch": 100.0, "broken": False} | columns)
    monkeypatch.setattr("django_future_celery.schedulers.tick_all", lambda *args: {using: done})
    return beat._tick_jobs()


@pytest.mark.parametrize(("window", "pause"), [(1000, 0.2), (100, 0.02), (50_000, 0.2)])
def test_a_full_window_has_time_to_empty_before_it_is_filled_up(beat, monkeypatch, settings, window, pause):
    settings.FUTURE_CELERY_WINDOW = window
    left = {"more": True, "sent": 3}

    assert next_tick_after(beat, monkeypatch, **left, full=True) == 100 + pause
    assert next_tick_after(beat, monkeypatch, **left) == 100


def test_a_nudge_lets_beat_look_at_once(beat, settings):
    alias = next((each for each in connections if connections[each].vendor == "postgresql"), None)
    if alias is None:
        pytest.skip("PostgreSQL only")
    settings.FUTURE_CELERY_NUDGE = True
    settings.FUTURE_CELERY_DATABASES = [alias]
    settings.FUTURE_CELERY_TICK_SECONDS = 600
    for _ in range(2):
        assert beat.tick() == 0.0  # It listens now, and has looked since.
    job = schedule_job("0s", "tests.shop.jobs.nothing", using=alias)
    while beat._next_tick:
        assert beat.tick() == 0.0
    beat.tick()

    assert ScheduledJob.objects.using(alias).get(pk=job.pk).dispatches == 1
