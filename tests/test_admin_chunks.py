"""Actions on all that match: they ask first, work in chunks, and touch nothing else."""

import re

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.core import signing
from django.utils import timezone

from django_future_celery.admin import chunks
from django_future_celery.models import ScheduledJob
from django_future_celery.states import END_STATES, Status
from tests.factories import due_job, job_in, row_of, started_job
from tests.test_admin import (  # noqa: F401
    HOSTILE,
    HOUR,
    LIST,
    admin_client,
    client_with,
    logged,
    post,
    text_of,
    told,
    waiting_job,
)

pytestmark = pytest.mark.django_db

DB = "default"


@pytest.fixture
def one_chunk_a_request(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 2)
    monkeypatch.setattr(chunks, "SECONDS", 0)


@pytest.fixture
def boss(admin_client):  # noqa: F811
    return admin_client


def on_all(client, action, query="", **data):
    some = ScheduledJob.objects.values_list("pk", flat=True)[0]
    base = {"action": action, "_selected_action": [some], "select_across": "1"}
    return client.post(f"{LIST}{query}", base | data)


def progress_in(response):
    return re.search(r'name="progress" value="([^"]+)"', text_of(response))[1]


def to_the_end(client, action, query="", **data):
    """Go on as the script or the button does; give the last response and the number of requests."""
    response, requests = on_all(client, action, query, sure="1", **data), 1
    while response.status_code == 200:
        response, requests = on_all(client, action, query, progress=progress_in(response)), requests + 1
    return response, requests


# -- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["run_now", "retry", "cancel", "terminate", "delete_selected", "reschedule"])
def test_an_action_on_all_asks_first(boss, action):
    jobs = [waiting_job(), job_in(Status.FAILED, DB), started_job(DB)]
    before = [row_of(job) for job in jobs]
    text = text_of(on_all(boss, action))
    assert "on all pages: 3." in text
    assert [row_of(job) for job in jobs] == before
    assert ScheduledJob.objects.count() == 3


@pytest.mark.parametrize("action", ["terminate", "delete_selected"])
def test_what_destroys_asks_for_few_jobs_too_and_names_them(boss, action):
    job = waiting_job(callable_name=HOSTILE)
    text = text_of(post(boss, action, job, sure=[]))
    assert "This applies to 1 job:" in text
    assert f"<li>{job.pk} &lt;script&gt;" in text
    assert ScheduledJob.objects.filter(pk=job.pk, status=Status.SCHEDULED).exists()


def test_the_page_that_asks_says_that_not_all_were_searched(boss, monkeypatch):
    for module in ("windows", "lists"):
        monkeypatch.setattr(f"django_future_celery.admin.{module}.MOST_SEARCHED", 2)
    for _ in range(3):
        waiting_job()
    assert "Only 2 jobs were searched" in text_of(on_all(boss, "cancel", "?q=note"))


# -- chunks -----------------------------------------------------------------------------------------------------------


def test_a_long_action_goes_on_from_request_to_request(boss, one_chunk_a_request):
    jobs = [waiting_job() for _ in range(5)]
    response = on_all(boss, "cancel", sure="1")
    text = text_of(response)
    assert "2 jobs were cancelled." in text
    assert '<progress max="100" value="40">' in text
    assert "<script>" not in text and "style=" not in text
    assert ScheduledJob.objects.scheduled().count() == 3
    response, requests = to_the_end(boss, "cancel")
    assert requests == 3
    assert ScheduledJob.objects.scheduled().count() == 0
    assert all(logged(job) == [(2, "Cancelled.")] for job in jobs)


def test_the_numbers_and_errors_of_all_requests_are_told_at_the_end(boss, one_chunk_a_request):
    for _ in range(3):
        job_in(Status.COMPLETE, DB)
        job_in(Status.COMPLETE, DB, callable_name="no.such")
    response, _requests = to_the_end(boss, "retry")
    messages = told(response)
    assert messages[-2:] == ["3 jobs had ended: new ones like them were scheduled.", "3 jobs could not be scheduled."]
    assert len(messages) == 5


def test_jobs_that_the_action_itself_schedules_are_left_alone(boss, one_chunk_a_request):
    for _ in range(3):
        job_in(Status.FAILED, DB)
    to_the_end(boss, "retry", "?state=all")
    assert ScheduledJob.objects.count() == 6


def test_only_what_matches_is_touched_also_if_few_of_many_do(boss, one_chunk_a_request, monkeypatch):
    monkeypatch.setattr(chunks, "SCANNED", 3)
    mine, others = [], []
    for _ in range(3):
        others += [waiting_job() for _ in range(4)]
        mine.append(waiting_job(queue="a"))
    before = [row_of(job) for job in others]
    _response, requests = to_the_end(boss, "change_priority", "?queue=a", priority="7")
    assert requests > 3
    assert {row_of(job)["priority"] for job in mine} == {7}
    assert [row_of(job) for job in others] == before


def test_an_action_on_a_tab_stays_in_it(boss):
    failed, complete = job_in(Status.FAILED, DB), job_in(Status.COMPLETE, DB)
    on_all(boss, "delete_selected", "?state=failed", sure="1")
    assert [*ScheduledJob.objects.all()] == [complete]
    assert LogEntry.objects.get().action_flag == DELETION
    assert failed.pk


def test_an_action_goes_back_no_further_than_the_list(boss):
    jobs = [job_in(Status.FAILED, DB) for _ in range(3)]
    on_all(boss, "delete_selected", f"?before={jobs[2].pk}", sure="1")
    assert [*ScheduledJob.objects.all()] == [jobs[2]]


def test_nothing_that_matches_is_told(boss):
    waiting_job()
    assert told(on_all(boss, "cancel", "?queue=none", sure="1")) == ["No job matched."]


@pytest.mark.parametrize("forge", [lambda: "", lambda: "x", lambda: signing.dumps({"after": 0})])
def test_a_progress_that_this_site_did_not_write_is_refused(boss, forge):
    job = waiting_job()
    assert on_all(boss, "cancel", progress=forge()).status_code == 400
    assert row_of(job)["status"] == Status.SCHEDULED


def test_who_may_not_act_may_not_go_on_either(client, boss, one_chunk_a_request):
    for _ in range(3):
        waiting_job()
    progress = progress_in(on_all(boss, "cancel", sure="1"))
    on_all(client_with(client, "view_scheduledjob"), "cancel", progress=progress)
    assert ScheduledJob.objects.scheduled().count() == 1


def test_a_selected_job_that_left_the_tab_is_acted_on_all_the_same(boss):
    job = due_job(DB)
    ScheduledJob.objects.start(job.pk, 0, worker="w", task_id="")
    response = boss.post(f"{LIST}?state=due", {"action": "cancel", "_selected_action": [job.pk]})
    assert told(response) == ["1 running job was asked to stop."]


# -- the actions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(END_STATES))
def test_retry_schedules_a_new_job_like_one_that_has_ended(boss, status):
    job = job_in(status, DB, queue="q")
    before = row_of(job)
    post(boss, "retry", job)
    new = ScheduledJob.objects.exclude(pk=job.pk).get()
    assert row_of(job) == before
    assert (new.status, new.queue, new.time_slot_start <= timezone.now()) == (Status.SCHEDULED, "q", True)


def test_retry_skips_what_has_not_ended(boss):
    jobs = [waiting_job(), started_job(DB)]
    before = [row_of(job) for job in jobs]
    assert told(post(boss, "retry", *jobs)) == ["2 jobs were skipped: they have not ended."]
    assert [row_of(job) for job in jobs] == before


def test_the_priority_of_waiting_jobs_is_changed(boss):
    job, running = waiting_job(), started_job(DB)
    before = row_of(running)
    response = post(boss, "change_priority", job, running, priority="-100")
    assert told(response) == ["1 job has its new priority.", "1 job was skipped: it is running or has ended."]
    assert row_of(job)["priority"] == -100
    assert row_of(running) == before
    assert logged(job) == [(2, "Priority changed to -100.")]


@pytest.mark.parametrize("priority", ["", "101", "-101", "x", "1.5"])
def test_a_priority_that_is_none_is_told_in_the_form(boss, priority):
    job = waiting_job()
    assert 'class="errorlist"' in text_of(post(boss, "change_priority", job, priority=priority))
    assert row_of(job)["priority"] == 0


def test_delete_spares_what_runs(boss):
    job, running, ended = waiting_job(), started_job(DB), job_in(Status.FAILED, DB)
    response = post(boss, "delete_selected", job, running, ended)
    assert told(response) == ["2 jobs were deleted.", "1 job was skipped: it is running."]
    assert [*ScheduledJob.objects.all()] == [running]


def test_delete_takes_the_permission_to_delete(client):
    job = waiting_job()
    post(client_with(client, "view_scheduledjob", "change_scheduledjob"), "delete_selected", job)
    assert ScheduledJob.objects.filter(pk=job.pk).exists()


def test_reschedule_of_many_uses_one_instant(boss, one_chunk_a_request):
    for _ in range(5):
        waiting_job()
    to_the_end(boss, "reschedule", date="1h")
    [start] = set(ScheduledJob.objects.values_list("time_slot_start", flat=True))
    assert start > timezone.now() + HOUR / 2
