"""How the jobs are doing: what is found in the rows, and what the command and the page make of it."""

import json
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_future_celery import checkup
from django_future_celery.checkup import OFTEN, Limits, look, report
from django_future_celery.clock import SECOND
from django_future_celery.models import Process
from django_future_celery.states import Status
from tests.factories import due_job, job_in, started_job

pytestmark = pytest.mark.django_db(databases=list(django_settings.DATABASES), transaction=True)

MINUTE = 60 * SECOND
LEASE = 60 * SECOND


@pytest.fixture
def tick(alias, now):
    """Let a beat have ticked so many microseconds ago."""

    def tick(ago=0, kind="beat"):
        name = f"{kind}-{ago}"
        Process.objects.using(alias).create(kind=kind, name=name, host="h", pid=1, since=now - ago, seen=now - ago)

    return tick


def send(rows, job, now, times=1):
    for _ in range(times):
        [job] = rows.lease([rows.get(pk=job.pk)], rows.get(pk=job.pk).wake_at)
    return job


def codes(alias, **limits):
    return list(report(alias, Limits(**limits)).problems)


def test_an_empty_table_has_nothing_to_tell(alias, now):
    found = look(alias, now, due_age=300)

    assert not found.due and not found.sent and not found.late and not found.running
    assert (found.oldest, found.lost, found.unanswered, found.tick_age) == (0.0, 0, 0, None)


def test_jobs_are_counted_by_queue_and_by_where_they_are(alias, rows, now):
    due_job(alias)
    due_job(alias, queue="slow", priority=-5)
    due_job(alias, queue="slow", priority=7)
    send(rows, due_job(alias, queue="mail"), now)
    started_job(alias, queue="run")
    due_job(alias, time_slot_start=timezone.now() + timedelta(days=1), time_slot_end=None)
    for status in (Status.COMPLETE, Status.FAILED, Status.CANCELLED, Status.EXPIRED):
        job_in(status, alias)

    found = look(alias, now + MINUTE, due_age=300)

    assert found.due == {"": 1, "slow": 2}
    assert found.sent == {"mail": 1}
    assert found.running == {"run": 1}
    assert not found.late


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_job_is_late_when_it_has_been_due_for_too_long_sent_or_not(alias, rows, now, is_sent):
    job = due_job(alias, queue="slow")
    if is_sent:
        send(rows, job, now)

    assert look(alias, now + 4 * MINUTE, due_age=300).late == {}
    found = look(alias, now + 6 * MINUTE, due_age=300)
    assert found.late == {"slow": 1}
    assert found.oldest == pytest.approx(360, abs=5)


def test_a_job_that_was_scheduled_for_the_past_is_not_late_at_once(alias, now):
    start = timezone.now() - timedelta(days=3)
    due_job(alias, time_slot_start=start, time_slot_end=None)

    assert look(alias, now + MINUTE, due_age=300).oldest < 70


def test_the_next_attempt_is_due_when_its_pause_is_over(alias, rows, now):
    job = started_job(alias, max_attempts=2, time_slot_end=None)
    rows.try_again(job, "Traceback", timezone.now(), now + 60 * MINUTE)

    assert look(alias, now + 59 * MINUTE, due_age=300).due == {}
    assert look(alias, now + 61 * MINUTE, due_age=300).oldest == pytest.approx(60, abs=5)
    send(rows, job, now)
    assert look(alias, now + 61 * MINUTE, due_age=300).oldest == pytest.approx(60, abs=5)


def test_a_run_is_lost_when_nobody_ends_it_for_a_lease_after_its_own(alias, now):
    started_job(alias)

    assert look(alias, now + LEASE + LEASE // 2, due_age=300).lost == 0
    assert look(alias, now + 2 * LEASE + MINUTE, due_age=300).lost == 1


def test_a_job_that_is_sent_again_and_again_is_unanswered(alias, rows, now):
    job = send(rows, due_job(alias), now, times=OFTEN - 1)
    assert look(alias, now, due_age=300).unanswered == 0

    send(rows, job, now)
    assert look(alias, now, due_age=300).unanswered == 1


def test_counts_end_and_no_priority_is_overlooked(alias, now, monkeypatch):
    monkeypatch.setattr(checkup, "MOST", 3)
    for priority in (5, 5, 5, 5, 5, -5, -5):
        due_job(alias, priority=priority, queue=str(priority))

    assert look(alias, now, due_age=300).due == {"5": 3, "-5": 1}


def test_the_number_of_queries_does_not_depend_on_the_rows(alias, now):
    def queries():
        with CaptureQueriesContext(connections[alias]) as captured:
            look(alias, now, due_age=300)
        return captured

    due_job(alias)
    first = len(queries())
    for _ in range(5):
        due_job(alias)
        job_in(Status.COMPLETE, alias)
    assert len(again := queries()) == first
    assert all("LIMIT" in query["sql"] for query in again if "SELECT" in query["sql"] and "clock" not in query["sql"])


def test_the_last_tick_is_that_of_any_beat_or_command_and_of_no_worker(alias, now, tick):
    tick(ago=90 * SECOND)
    tick(ago=30 * SECOND, kind="command")
    tick(ago=SECOND, kind="worker")

    found = look(alias, now, due_age=300)
    assert found.tick_age == 30
    assert [(each.kind, each.age) for each in found.processes] == [("worker", 1), ("command", 30), ("beat", 90)]


# -- what is wrong ----------------------------------------------------------------------------------------------------


def test_nothing_is_wrong_while_a_beat_ticks(alias, tick):
    tick()
    due_job(alias)

    assert codes(alias) == []


def test_each_problem_has_a_word(alias, rows, now, tick):
    tick(ago=2 * MINUTE)
    job = send(rows, due_job(alias), now, times=OFTEN)
    rows.filter(pk=job.pk).update(created_at=job.time_slot_start)

    assert codes(alias, due_age=30.0) == ["late", "unanswered", "silent"]


def test_a_lost_run_is_a_problem(alias, tick):
    tick()
    started_job(alias)
    with override_settings(FUTURE_CELERY_RUN_LEASE_SECONDS=-1000):
        assert codes(alias) == ["lost"]


def test_no_beat_at_all_is_silence(alias):
    assert codes(alias) == ["silent"]


def test_a_beat_that_sleeps_long_is_not_silent_while_it_sleeps(alias, tick):
    tick(ago=2 * MINUTE)
    assert codes(alias) == ["silent"]
    with override_settings(FUTURE_CELERY_TICK_SECONDS=60):
        assert codes(alias) == []


@pytest.fixture
def away(monkeypatch):
    def away(using):
        raise OperationalError("no route to 10.0.0.7")

    monkeypatch.setattr(checkup, "database_now", away)


def test_a_database_that_is_away_is_a_problem_of_its_own(alias, away):
    found = report(alias, Limits())

    assert found.problems == {"away": "The database does not answer: no route to 10.0.0.7"}
    assert found.checkup is None


# -- manage.py checkscheduledjobs -------------------------------------------------------------------------------------


def check(capsys, *arguments):
    """The exit code and what was printed."""
    try:
        call_command("checkscheduledjobs", *arguments)
    except CommandError as error:
        return error.returncode, capsys.readouterr().out + str(error)
    return 0, capsys.readouterr().out


def test_the_command_ends_well_if_all_is_well(alias, tick, capsys):
    tick()
    due_job(alias)
    code, out = check(capsys, "--database", alias)

    assert code == 0
    assert out.splitlines()[0] == f"{alias}: ok"
    assert [line.split() for line in out.splitlines() if "due " in line] == [["due", "1"]]
    assert "beat-0, seen " in out


@pytest.mark.parametrize("option", ["--max-due-age=10s", "--max-tick-age=0s"])
def test_the_command_ends_with_1_if_something_is_late_or_silent(alias, rows, tick, capsys, option):
    tick(ago=SECOND)
    job = due_job(alias)
    rows.filter(pk=job.pk).update(created_at=job.time_slot_start)
    code, out = check(capsys, "--database", alias, option)

    assert code == 1
    assert f"{alias}: {'late' if 'due' in option else 'silent'}" in out


def test_the_command_ends_with_2_if_a_database_is_away(alias, away, capsys):
    code, out = check(capsys, "--database", alias)

    assert code == 2
    assert "The database does not answer: no route to 10.0.0.7" in out


def test_the_command_prints_json(alias, tick, capsys):
    tick()
    code, out = check(capsys, "--database", alias, "--json")
    found = json.loads(out)[alias]

    assert code == 0
    assert (found["due"], found["problems"]) == (0, {})
    assert found["processes"][0]["name"] == "beat-0"


def test_the_command_looks_into_all_databases(capsys):
    with override_settings(FUTURE_CELERY_DATABASES=list(django_settings.DATABASES)):
        _, out = check(capsys, "--json")

    assert set(json.loads(out.partition("\n}")[0] + "}")) == set(django_settings.DATABASES)


def test_the_command_refuses_what_is_no_length_of_time(capsys):
    with pytest.raises(CommandError, match="has no unit"):
        call_command("checkscheduledjobs", "--max-due-age=5")


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_answers_200_with_numbers_and_no_names(client, alias, tick):
    tick()
    due_job(alias)
    with override_settings(FUTURE_CELERY_DATABASES=[alias]):
        response = client.get("/health/")

    assert response.status_code == 200
    body = response.json()
    assert (body["ok"], body["databases"][alias]["due"]) == (True, 1)
    assert "tests.shop" not in response.text and "beat-0" not in response.text
    assert response["Cache-Control"] == "no-store"


def test_the_page_answers_503_if_something_is_wrong(client, alias):
    with override_settings(FUTURE_CELERY_DATABASES=[alias]):
        response = client.get("/health/")

    assert response.status_code == 503
    assert response.json()["databases"][alias]["problems"] == ["silent"]


def test_the_page_does_not_tell_where_the_database_is(client, away):
    response = client.get("/health/")

    assert response.status_code == 503
    assert response.json()["databases"]["default"] == {"problems": ["away"]}
    assert "10.0.0.7" not in response.text


def test_the_page_answers_where_each_request_has_a_transaction_and_the_database_is_away(client, away, monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    monkeypatch.setattr("django.db.transaction.Atomic.__enter__", lambda self: pytest.fail("no transaction"))

    assert client.get("/health/").status_code == 503


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_the_page_is_only_read(client, method):
    assert getattr(client, method)("/health/").status_code == 405


def test_the_page_answers_head(client):
    assert client.head("/health/").content == b""
