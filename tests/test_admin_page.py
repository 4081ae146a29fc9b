"""The page of one job: its way in time, its attempts, and its buttons."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone
from django.utils.html import escape, strip_tags

from django_future_celery import schedule_job
from django_future_celery.admin.timeline import timeline
from django_future_celery.clock import SECOND, database_now
from django_future_celery.models import ScheduledJob
from django_future_celery.states import Status
from tests.factories import MINUTE, due_job, job_in, row_of, started_job, user_with

pytestmark = pytest.mark.django_db

LIST = "/admin/django_future_celery/scheduledjob/"
HOSTILE = "<script>alert('x')</script>"
HOUR = timedelta(hours=1)
DB = "default"


@pytest.fixture
def admin_client(client):
    """As pytest-django's own, but without a password, whose hash would take longer than any test."""
    client.force_login(user_with(is_superuser=True))
    return client


def page_of(job):
    return f"{LIST}{job.pk}/change/"


def html_of(client, job):
    response = client.get(page_of(job))
    assert response.status_code == 200
    return response.content.decode()


def words(html):
    return " ".join(unescape(strip_tags(html)).split())


def buttons(html):
    return dict(re.findall(r'form="future-actions" name="action" value="(\w+)">([^<]*)<', html))


def press(client, action, job, **data):
    return client.post(page_of(job), {"action": action} | data)


def told(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def failed_job(alias, attempts=3):
    """A job that failed after that many attempts, the n-th of n seconds."""
    job = due_job(alias, max_attempts=attempts)
    rows = ScheduledJob.objects.using(alias)
    for number in range(1, attempts + 1):
        run = rows.start(job.pk, number - 1, worker=f"host:{number}", task_id=f"task-{number}")
        ended = run.execution_start + timedelta(seconds=number)
        if number < attempts:
            assert rows.try_again(run, f"boom {number}", ended, database_now(alias))
        else:
            assert rows.fail(run, f"boom {number}", ended)
    return rows.get(pk=job.pk)


# -- the sentence and the way ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status.values)
def test_the_page_says_why_the_job_has_not_run_yet(admin_client, status):
    job = job_in(status, DB)

    assert f'<p class="future-why">{escape(job.why_not_yet())}</p>' in html_of(admin_client, job)


def steps(job, now=None):
    return [(step.text, step.detail) for step in timeline(job, now or timezone.now()) if not step.ahead]


@pytest.mark.django_db(databases="__all__")
class TestTheTimeline:
    def test_of_a_job_with_three_attempts_has_each(self, alias):
        way = timeline(failed_job(alias), timezone.now() + HOUR)

        assert {(step.text, step.detail, step.kind) for step in way} == {
            ("Scheduled", "", "scheduled"),
            ("Due", "", ""),
            ("Started", "attempt 1 of 3", "running"),
            ("Started", "attempt 2 of 3", "running"),
            ("Started", "attempt 3 of 3", "running"),
            ("Failed", "", "failed"),
        }
        assert [step.at for step in way] == sorted(step.at for step in way)
        assert not any(step.ahead for step in way)

    def test_tells_the_time_between_two_steps(self, alias):
        job = started_job(alias)
        ScheduledJob.objects.using(alias).complete(job, None, job.execution_start + timedelta(seconds=2.5))
        *_, start, end = timeline(job, timezone.now() + HOUR)

        assert (start.text, end.text, end.after) == ("Started", "Complete", "2.5 s")

    def test_tells_what_is_to_come_and_when(self, alias):
        job = schedule_job("2h", "tests.shop.jobs.nothing", expires="1h", using=alias)
        now = job.time_slot_start - 2 * HOUR
        ahead = [(step.text, step.after) for step in timeline(job, now) if step.ahead]

        assert ahead == [("Due", "2:00:00"), ("Slot ends", "3:00:00")]

    def test_of_a_sent_job_tells_when_it_is_sent_again(self, alias, rows, now):
        job = due_job(alias)
        rows.lease([job], now)
        job = rows.get(pk=job.pk)

        assert ("Sent", "") in steps(job)
        assert "Sent again" in [step.text for step in timeline(job, timezone.now()) if step.ahead]

    def test_of_a_job_that_pauses_tells_when_it_is_due_again(self, alias, rows, now):
        job = started_job(alias, max_attempts=2)
        rows.try_again(job, "boom", timezone.now(), now + 1000 * SECOND)

        assert [step.text for step in timeline(job, timezone.now()) if step.ahead] == ["Due again", "Slot ends"]

    def test_of_a_job_without_its_code_says_since_when(self, alias, rows):
        job = due_job(alias)
        rows.start(job.pk, 0, worker="w", task_id="", missing=lambda job: "no code")

        assert ("Its code was missing", "") in steps(rows.get(pk=job.pk), timezone.now() + MINUTE)

    def test_of_a_run_that_was_asked_to_stop_ends_with_that(self, alias, rows):
        job = started_job(alias)
        rows.filter(pk=job.pk).cancel()

        assert steps(rows.get(pk=job.pk), timezone.now() + MINUTE)[-1] == ("Asked to stop", "")

    @pytest.mark.parametrize("status", [Status.EXPIRED, Status.CANCELLED])
    def test_of_a_job_that_ended_while_it_waited_ends_with_that(self, alias, status):
        job = job_in(status, alias)

        assert [text for text, _ in steps(job)].count(status.label.capitalize()) == 1
        assert "Asked to stop" not in [text for text, _ in steps(job)]

    def test_of_a_job_whose_slot_ended_before_the_next_attempt_ends_with_the_slot(self, alias, rows):
        job = started_job(alias, max_attempts=2)
        rows.try_again(job, "boom", timezone.now(), 1)
        rows.filter(pk=job.pk).expire(job.time_slot_end + MINUTE)
        last = timeline(rows.get(pk=job.pk), job.time_slot_end + HOUR)[-1]

        assert (last.text, last.at) == ("Failed", job.time_slot_end)


# -- attempts -------------------------------------------------------------------------------------------------------


def test_each_attempt_is_shown_with_its_error_worker_and_task(admin_client):
    html = html_of(admin_client, failed_job(DB))

    assert html.count('<details class="future-attempt"') == 3
    assert html.count('<details class="future-attempt" open>') == 1
    for number in (1, 2, 3):
        assert f"Attempt {number} of 3 failed {number}.0 s" in words(html)
        assert f"host:{number}" in html and f"task-{number}" in html and f">boom {number}</pre>" in html
    assert html.index("boom 3") < html.index("boom 2") < html.index("boom 1")


def test_an_error_is_shown_once(admin_client):
    job = failed_job(DB, attempts=1)

    assert html_of(admin_client, job).count("boom 1") == 1


def test_what_the_row_says_beside_its_attempts_is_shown_too(admin_client):
    job = started_job(DB, max_attempts=2)
    ScheduledJob.objects.try_again(job, "boom", timezone.now(), 1)
    ScheduledJob.objects.filter(pk=job.pk).expire(job.time_slot_end + MINUTE)
    html = html_of(admin_client, job)

    assert html.count(">boom</pre>") == 1
    assert ">Not tried again: its slot is over before the next attempt.</pre>" in html


def test_a_run_that_was_given_back_is_no_failure(admin_client):
    job = started_job(DB)
    assert ScheduledJob.objects.give_back(job, "no code here", database_now(DB))

    assert "Attempt 1 of 2 given back" in words(html_of(admin_client, job))


def test_hostile_attempts_are_text(admin_client, settings):
    settings.FUTURE_CELERY_FLOWER_URL = "https://flower.example.com/"
    job = due_job(DB, max_attempts=2)
    run = ScheduledJob.objects.start(job.pk, 0, worker=HOSTILE, task_id=f'"{HOSTILE}')
    ScheduledJob.objects.try_again(run, HOSTILE, timezone.now(), 1)
    html = html_of(admin_client, job)

    assert HOSTILE not in html
    assert html.count(escape(HOSTILE)) >= 3


def test_secrets_of_earlier_attempts_are_masked(admin_client):
    job = started_job(DB, max_attempts=2)
    ScheduledJob.objects.try_again(job, "ValueError: token=hunter2", timezone.now(), 1)

    assert "hunter2" not in html_of(admin_client, job)


def test_an_attempt_leads_to_its_task_in_flower(admin_client, settings):
    job = failed_job(DB, attempts=2)
    assert "/task/" not in html_of(admin_client, job)
    settings.FUTURE_CELERY_FLOWER_URL = "https://flower.example.com/"
    html = html_of(admin_client, job)

    assert '<a href="https://flower.example.com/task/task-1">task-1</a>' in html
    assert '<a href="https://flower.example.com/task/task-2">task-2</a>' in html


# -- sections -------------------------------------------------------------------------------------------------------


def test_sections_that_have_nothing_to_say_are_left_out(admin_client):
    html = html_of(admin_client, due_job(DB))
    assert not {"Result", "Error", "Attempts", "Limits"} & set(re.findall(r'fieldset-heading">([^<]*)<', html))
    html = html_of(admin_client, job_in(Status.COMPLETE, DB, retry_backoff=5.0))
    assert {"Result", "Attempts", "Limits"} <= set(re.findall(r'fieldset-heading">([^<]*)<', html))


def test_long_arguments_are_laid_out(admin_client):
    job = due_job(DB, args_text=f'["{"a" * 60}", "{"b" * 60}"]')

    assert escape(f"[\n  '{'a' * 60}',\n  '{'b' * 60}'\n]") in html_of(admin_client, job)


def test_a_job_leads_to_the_one_that_it_was_made_from(admin_client):
    old = job_in(Status.COMPLETE, DB)
    new = old.reschedule("1d")
    assert f'<a href="{page_of(old)}">job {old.pk}</a>' in html_of(admin_client, new)
    old.delete()

    assert f"job {old.pk or new.rescheduled_from} <em>(no longer in the database)</em>" in html_of(admin_client, new)
    assert "Rescheduled from" not in words(html_of(admin_client, due_job(DB)))


def test_the_page_brings_no_script_and_no_style_of_its_own(admin_client):
    html = html_of(admin_client, failed_job(DB))
    content = html[html.index('<div class="module future-way">') :]

    assert "style=" not in content and "onclick" not in content
    assert not re.findall(r"<style|<script(?![^>]* src=)", content)


def test_the_page_takes_few_queries(admin_client, django_assert_max_num_queries):
    job = failed_job(DB)
    admin_client.get(page_of(job))
    with django_assert_max_num_queries(8):
        admin_client.get(page_of(job))


# -- buttons --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "actions"),
    [
        (Status.SCHEDULED, {"run_now", "reschedule", "cancel"}),
        (Status.RUNNING, {"cancel", "terminate"}),
        (Status.COMPLETE, {"run_now", "reschedule"}),
        (Status.FAILED, {"run_now", "reschedule"}),
        (Status.EXPIRED, {"run_now", "reschedule"}),
        (Status.CANCELLED, {"run_now", "reschedule"}),
    ],
)
def test_the_buttons_are_what_may_be_done_to_a_job_now(admin_client, status, actions):
    assert set(buttons(html_of(admin_client, job_in(status, DB)))) == actions


def test_a_button_acts_on_this_job_and_leads_back_to_its_page(admin_client):
    job, other = due_job(DB), due_job(DB)
    before = row_of(other)
    response = press(admin_client, "cancel", job)

    assert (response.status_code, response["Location"]) == (302, page_of(job))
    assert told(response) == ["1 job was cancelled."]
    assert row_of(job)["status"] == Status.CANCELLED
    assert row_of(other) == before


@pytest.mark.parametrize("across", ["0", "1"])
def test_a_forged_selection_reaches_no_other_job(admin_client, across):
    job, other = due_job(DB), due_job(DB)
    press(admin_client, "cancel", job, _selected_action=[other.pk], select_across=across)

    assert row_of(job)["status"] == Status.CANCELLED
    assert row_of(other)["status"] == Status.SCHEDULED


def test_run_again_makes_a_new_job_that_knows_the_old_one(admin_client):
    job = job_in(Status.FAILED, DB, callable_name="tests.shop.jobs.nothing")
    press(admin_client, "run_now", job)

    assert ScheduledJob.objects.get(rescheduled_from=job.pk).status == Status.SCHEDULED


def test_reschedule_asks_when_and_then_moves_the_job(admin_client):
    job = due_job(DB)
    asked = press(admin_client, "reschedule", job)
    assert asked.status_code == 200 and 'name="date"' in asked.content.decode()
    done = press(admin_client, "reschedule", job, date="2d", sure="1")

    assert done["Location"] == page_of(job)
    assert ScheduledJob.objects.get(pk=job.pk).time_slot_start > timezone.now() + 47 * HOUR


@pytest.mark.parametrize("action", ["nonsense", "", "delete_selected"])
def test_an_unknown_action_does_nothing(client, action):
    client.force_login(user_with("change_scheduledjob"))
    job = due_job(DB)
    before = row_of(job)

    assert press(client, action, job)["Location"] == page_of(job)
    assert row_of(job) == before


def test_who_may_only_look_has_no_buttons_and_may_not_press_them(client):
    client.force_login(user_with("view_scheduledjob"))
    job = due_job(DB)
    before = row_of(job)

    assert buttons(html_of(client, job)) == {}
    assert all(press(client, action, job).status_code == 403 for action in ("run_now", "cancel", "reschedule"))
    assert row_of(job) == before


def test_who_may_change_has_buttons(client):
    client.force_login(user_with("change_scheduledjob"))
    job = due_job(DB)

    assert "cancel" in buttons(html_of(client, job))
    press(client, "cancel", job)
    assert row_of(job)["status"] == Status.CANCELLED


@pytest.mark.parametrize("key", ["999999999", "nonsense", "_3C"])
def test_a_button_of_a_job_that_is_gone_finds_nothing(admin_client, key):
    assert admin_client.post(f"{LIST}{key}/change/", {"action": "cancel"}).status_code == 404


def test_a_button_needs_the_token_of_its_page():
    client = Client(enforce_csrf_checks=True)
    client.force_login(user_with(is_superuser=True))
    job = due_job(DB)

    assert press(client, "cancel", job).status_code == 403
    assert row_of(job)["status"] == Status.SCHEDULED
    token = re.search(
        r'id="future-actions"><input type="hidden" name="csrfmiddlewaretoken" value="(\w+)"', html_of(client, job)
    )
    assert press(client, "cancel", job, csrfmiddlewaretoken=token[1]).status_code == 302
