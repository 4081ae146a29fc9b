"""The admin: what it shows is text whatever it holds, and what it does is refused where any code would be refused."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import escape

from django_future_celery import schedule_job
from django_future_celery.admin import ScheduledJobAdmin
from django_future_celery.admin.chunks import MOST_ERRORS
from django_future_celery.admin.texts import describe_duration
from django_future_celery.models import ScheduledJob
from django_future_celery.redaction import NOT_SHOWN
from django_future_celery.states import END_STATES, Status
from tests.factories import MINUTE, due_job, job_in, row_of, started_job
from tests.shop.models import Coupon, Order

pytestmark = pytest.mark.django_db

LIST = "/admin/django_future_celery/scheduledjob/"
HOSTILE = "<script>alert('x')</script>"
HOUR = timedelta(hours=1)
DB = "default"

# A second admin site, which also knows orders.
shop_site = admin.AdminSite(name="shop_admin")
shop_site.register(Order)
shop_site.register(ScheduledJob, ScheduledJobAdmin)
urlpatterns = [path("admin/", admin.site.urls), path("shop-admin/", shop_site.urls)]


@pytest.fixture(autouse=True)
def fresh_content_types():
    yield
    ContentType.objects.clear_cache()


@pytest.fixture
def admin_client(client):
    """As pytest-django's own, but without a password, whose hash would take longer than any test."""
    client.force_login(User.objects.create_user("boss", is_staff=True, is_superuser=True))
    return client


def waiting_job(**columns):
    """A job that becomes due in a day, and may start for an hour."""
    start = timezone.now() + timedelta(days=1)
    return due_job(DB, **{"time_slot_start": start, "time_slot_end": start + HOUR} | columns)


def page_of(job):
    return f"{LIST}{job.pk}/change/"


def text_of(response):
    assert response.status_code == 200
    return response.content.decode()


def post(client, action, *jobs, **data):
    """As from the page that asks whether one is sure; an action that does not ask takes no notice."""
    return client.post(LIST, {"action": action, "sure": "1", "_selected_action": [job.pk for job in jobs]} | data)


def told(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def logged(job):
    entries = LogEntry.objects.filter(object_id=str(job.pk)).order_by("pk")
    return [(entry.action_flag, entry.get_change_message()) for entry in entries]


def client_with(client, *codenames):
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


# -- looking --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hostile_job():
    job = started_job(
        DB,
        callable_name=HOSTILE,
        args_text=f'["{HOSTILE}"]',
        kwargs_text=f'{{"a": "{HOSTILE}"}}',
        queue=HOSTILE,
        object_id=HOSTILE,
        content_type=ContentType.objects.get_for_model(Coupon),
    )
    ScheduledJob.objects.filter(pk=job.pk).update(
        status=Status.FAILED, wake_at=None, worker=HOSTILE, task_id=HOSTILE, error=HOSTILE, return_value=HOSTILE
    )
    return job


def test_hostile_content_is_text_in_the_list(admin_client, hostile_job):
    text = text_of(admin_client.get(LIST))
    assert HOSTILE not in text
    assert text.count(escape(HOSTILE)) >= 3  # callable, queue, content object


def test_hostile_content_is_text_on_the_page_of_a_job(admin_client, hostile_job):
    text = text_of(admin_client.get(page_of(hostile_job)))
    assert HOSTILE not in text
    assert "alert(" in text
    assert f'<pre class="future-text" dir="ltr" tabindex="0">{escape(HOSTILE)}</pre>' in text


def test_hostile_content_is_text_in_what_an_action_tells(admin_client, hostile_job):
    text = text_of(admin_client.post(LIST, {"action": "run_now", "_selected_action": hostile_job.pk}, follow=True))
    assert "could not be scheduled" in text
    assert HOSTILE not in text


@pytest.fixture
def secret_job():
    job = started_job(DB, args_text='["token=hunter2"]', kwargs_text='{"password": "hunter2"}')
    ScheduledJob.objects.filter(pk=job.pk).update(
        status=Status.FAILED, wake_at=None, error="ValueError: key=hunter2", return_value="{'api': 'hunter2'}"
    )
    return job


def test_secrets_are_masked_on_the_page_of_a_job(admin_client, secret_job):
    text = text_of(admin_client.get(page_of(secret_job)))
    assert "hunter2" not in text
    assert text.count("*" * 20) == 4


def test_secrets_are_masked_in_what_an_action_tells(admin_client, settings):
    job = job_in(Status.FAILED, DB, kwargs_text='{"token": "hunter2"}', callable_name="tests.shop.jobs.add")
    settings.FUTURE_CELERY_REDACT = "tests.test_admin.by_kind"
    response = post(admin_client, "run_now", job)
    assert f"Job {job.pk}: <error>" in told(response)


def by_kind(text, what, job):
    return f"<{what}>"


@pytest.mark.parametrize(("path", "count"), [("nowhere.redact", 4), ("tests.test_admin.HOSTILE", 4)])
def test_a_broken_function_that_redacts_breaks_no_page(admin_client, hostile_job, settings, path, count):
    settings.FUTURE_CELERY_REDACT = path
    text = text_of(admin_client.get(page_of(hostile_job)))
    assert text.count(escape(NOT_SHOWN)) == count


def test_what_a_function_that_redacts_gives_is_text(admin_client, secret_job, settings):
    settings.FUTURE_CELERY_REDACT = "tests.test_admin.by_kind"
    text = text_of(admin_client.get(page_of(secret_job)))
    assert all(f">{escape(f'<{what}>')}</pre>" in text for what in ("args", "kwargs", "result", "error"))


@pytest.mark.parametrize("status", Status.values)
def test_every_status_has_its_badge_and_its_page(admin_client, status):
    job = job_in(status, DB)
    badge = f'<span class="future-badge future-{status}">{status}</span>'
    assert badge in text_of(admin_client.get(LIST))
    assert badge in text_of(admin_client.get(page_of(job)))


def test_a_job_whose_message_is_out_is_labelled_sent(admin_client):
    job = due_job(DB)
    ScheduledJob.objects.filter(pk=job.pk).update(dispatched_at=timezone.now())
    assert '<span class="future-badge future-sent">sent</span>' in text_of(admin_client.get(LIST))


def test_the_list_shows_attempts_and_content_objects_by_name(admin_client):
    order = Order.objects.create()
    due_job(DB, callable_name="remind", content_object=order, max_attempts=3)
    text = text_of(admin_client.get(LIST))
    assert '<bdi dir="ltr" class="future-tries">0 / 3</bdi>' in text
    assert f"order {order.pk}" in text


def test_the_queries_of_the_list_neither_grow_with_its_rows_nor_read_long_columns(admin_client):
    def queries_with_more_rows(count):
        for _ in range(count):
            for status in Status.values:
                job_in(status, DB, callable_name="remind", content_object=Order.objects.create())
        with CaptureQueriesContext(connection) as queries:
            text_of(admin_client.get(LIST))
        return [query["sql"] for query in queries]

    few, many = queries_with_more_rows(1), queries_with_more_rows(5)
    assert len(few) == len(many)
    columns = [connection.ops.quote_name(name) for name in ("args", "kwargs", "return_value", "error")]
    assert not [sql for sql in many if any(column in sql for column in columns)]


def test_the_filters_know_the_content_types_in_use(admin_client):
    mine = due_job(DB, callable_name="remind", content_object=Order.objects.create())
    other = due_job(DB, callable_name="remind", content_object=Coupon.objects.create(code="A"))
    plain = due_job(DB)
    orders = ContentType.objects.get_for_model(Order)

    (spec,) = [
        spec
        for spec in admin_client.get(LIST).context["cl"].filter_specs
        if getattr(spec, "lookup_kwarg", "") == "content_type__id__exact"
    ]
    assert sorted(str(label) for _, label in spec.lookup_choices) == ["Shop | coupon", "Shop | order"]

    found = admin_client.get(LIST, {"content_type__id__exact": orders.pk}).context["cl"].result_list
    assert [job.pk for job in found] == [mine.pk]
    found = admin_client.get(LIST).context["cl"].result_list
    assert [job.pk for job in found] == [plain.pk, other.pk, mine.pk]


@pytest.mark.parametrize(
    "query, hits",
    [
        ({"q": "needle"}, 1),
        ({"q": "haystack"}, 0),
        ({"status__exact": "scheduled"}, 1),
        ({"status__exact": "failed"}, 0),
    ],
)
def test_search_and_filters(admin_client, query, hits):
    due_job(DB, unique_key="the-needle")
    assert len(admin_client.get(LIST, query).context["cl"].result_list) == hits


def test_times_are_shown_in_the_current_time_zone(admin_client, settings):
    start = datetime(2027, 1, 31, 23, 30)
    job = due_job(DB, time_slot_start=timezone.make_aware(start) if settings.USE_TZ else start, time_slot_end=None)
    assert "Jan. 31, 2027, 11:30 p.m." in text_of(admin_client.get(LIST))
    assert "Jan. 31, 2027, 11:30 p.m." in text_of(admin_client.get(page_of(job)))


def test_the_page_of_a_job_shows_arguments_without_decoding_them(admin_client, monkeypatch):
    order = Order.objects.create()
    args = (order, {1, 2}, SimpleNamespace())
    job = schedule_job("1d", "tests.shop.jobs.echo", args=args, kwargs={"at": 5}, check=False)
    shown = escape(f"(<shop.order {order.pk}>, {{1, 2}}, <pickled>)")
    order.delete()
    monkeypatch.setattr("pickle.loads", None)
    text = text_of(admin_client.get(page_of(job)))
    assert shown in text
    assert escape("{'at': 5}") in text


@pytest.mark.urls(__name__)
def test_the_content_object_is_a_link_where_it_has_a_page(admin_client):
    order = Order.objects.create()
    job = due_job(DB, callable_name="remind", content_object=order)
    link = f'<a href="/shop-admin/shop/order/{order.pk}/change/">order {order.pk}</a>'
    assert link in text_of(
        admin_client.get(reverse("shop_admin:django_future_celery_scheduledjob_change", args=[job.pk]))
    )
    assert link not in text_of(admin_client.get(page_of(job)))
    assert f"order {order.pk}" in text_of(admin_client.get(page_of(job)))


def test_a_content_object_that_is_gone_is_told_so(admin_client):
    order = Order.objects.create()
    job = due_job(DB, callable_name="remind", content_object=order)
    key = order.pk
    order.delete()
    assert f"order {key} <em>(no longer in the database)</em>" in text_of(admin_client.get(page_of(job)))


def test_a_content_type_that_is_gone_is_told_so(admin_client):
    kind = ContentType.objects.create(app_label="old", model="thing")
    job = due_job(DB, callable_name="remind", content_type=kind, object_id="7")
    ContentType.objects.filter(pk=kind.pk).delete()
    ContentType.objects.clear_cache()
    assert "? 7" in text_of(admin_client.get(LIST))
    assert "? 7 <em>(no longer in the database)</em>" in text_of(admin_client.get(page_of(job)))


@pytest.mark.parametrize(
    "seconds, text", [(0.123, "0.12 s"), (59.4, "59.4 s"), (61.6, "0:01:02"), (90_000, "1 day, 1:00:00")]
)
def test_durations(seconds, text):
    assert describe_duration(timedelta(seconds=seconds)) == text


# -- permissions ----------------------------------------------------------------------------------------------------


def test_nobody_adds_a_job_here(admin_client):
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(f"{LIST}add/", {"callable_name": "os.getcwd"}).status_code == 403
    assert not ScheduledJob.objects.exists()


def test_nobody_edits_a_job_on_its_page(admin_client):
    job = due_job(DB)
    before = row_of(job)
    response = admin_client.get(page_of(job))
    assert not response.context["adminform"].form.fields
    assert 'name="_save"' not in text_of(response)
    assert admin_client.post(page_of(job), {"callable_name": "os.getcwd", "priority": 9}).status_code == 403
    assert row_of(job) == before


def test_a_viewer_looks_and_does_nothing(client):
    job = due_job(DB)
    before = row_of(job)
    viewer = client_with(client, "view_scheduledjob")
    text_of(viewer.get(page_of(job)))
    text = text_of(viewer.get(LIST))
    assert 'name="action"' not in text
    for action in ScheduledJobAdmin.actions:
        post(viewer, action, job, date="1d", priority=1)
        post(viewer, action, job, date="1d", priority=1, index="0")
        post(viewer, action, job, date="1d", priority=1, select_across="1")
    assert row_of(job) == before
    assert ScheduledJob.objects.count() == 1
    assert viewer.post(f"{LIST}{job.pk}/delete/", {"post": "yes"}).status_code == 403


def test_who_may_change_may_act_but_not_delete(client):
    job = due_job(DB)
    changer = client_with(client, "change_scheduledjob")
    assert set(changer.get(LIST).context["cl"].model_admin.get_actions(changer.get(LIST).wsgi_request)) == {
        "run_now",
        "retry",
        "reschedule",
        "change_priority",
        "cancel",
        "terminate",
    }
    text_of(changer.get(page_of(job)))
    post(changer, "cancel", job)
    assert row_of(job)["status"] == Status.CANCELLED


def test_who_may_delete_deletes(client):
    job, other = due_job(DB), due_job(DB)
    deleter = client_with(client, "view_scheduledjob", "delete_scheduledjob")
    deleter.post(f"{LIST}{job.pk}/delete/", {"post": "yes"})
    post(deleter, "delete_selected", other)
    assert not ScheduledJob.objects.exists()


# -- run now --------------------------------------------------------------------------------------------------------


def test_run_now_moves_a_waiting_job(admin_client):
    job = waiting_job()
    before = timezone.now()
    response = post(admin_client, "run_now", job)
    moved = ScheduledJob.objects.get(pk=job.pk)
    assert before <= moved.time_slot_start <= timezone.now()
    assert moved.time_slot_end == job.time_slot_end
    assert moved.wake_at == moved.due_at
    assert told(response) == ["1 job was moved to its new start."]
    ((flag, message),) = logged(job)
    assert flag == CHANGE
    assert message.startswith("Moved to ")
    assert ScheduledJob.objects.start(job.pk, 0, worker="w", task_id="")


@pytest.mark.parametrize("action", ["run_now", "reschedule"])
@pytest.mark.parametrize("status", sorted(END_STATES))
def test_an_ended_job_gets_a_new_one_like_it(admin_client, action, status):
    job = job_in(status, DB, kwargs_text='{"entry":"x"}', queue="q", priority=3, max_attempts=2)
    before = row_of(job)
    response = post(admin_client, action, job, date="0s")
    new = ScheduledJob.objects.exclude(pk=job.pk).get()
    assert row_of(job) == before
    assert new.status == Status.SCHEDULED
    assert new.time_slot_end - new.time_slot_start == job.time_slot_end - job.time_slot_start
    assert abs(new.time_slot_start - timezone.now()) < MINUTE
    assert (new.kwargs, new.queue, new.priority, new.max_attempts) == ({"entry": "x"}, "q", 3, 2)
    assert told(response) == ["1 job had ended: a new one like it was scheduled."]
    assert logged(job) == [(CHANGE, f"Scheduled again as job {new.pk}.")]
    assert logged(new) == [(ADDITION, f"Scheduled again, like job {job.pk}.")]


@pytest.mark.parametrize("action", ["run_now", "reschedule"])
def test_a_running_job_is_skipped(admin_client, action):
    job = started_job(DB, time_slot_end=timezone.now() + MINUTE)
    before = row_of(job)
    response = post(admin_client, action, job, date="1d")
    assert row_of(job) == before
    assert ScheduledJob.objects.count() == 1
    assert told(response) == ["1 job was skipped: it is running or has ended."]
    assert logged(job) == []


def test_a_job_whose_slot_is_over_is_not_run_now(admin_client):
    end = timezone.now() - MINUTE
    job = due_job(DB, time_slot_start=end - HOUR, time_slot_end=end)
    before = row_of(job)
    assert told(post(admin_client, "run_now", job)) == ["1 job was skipped: its slot is over. Reschedule it instead."]
    assert row_of(job) == before


def test_many_jobs_are_counted_by_what_became_of_them(admin_client):
    jobs = [waiting_job(), waiting_job(time_slot_end=None), started_job(DB), job_in(Status.COMPLETE, DB)]
    assert sorted(told(post(admin_client, "run_now", *jobs))) == [
        "1 job had ended: a new one like it was scheduled.",
        "1 job was skipped: it is running or has ended.",
        "2 jobs were moved to their new start.",
    ]


# -- cancel ---------------------------------------------------------------------------------------------------------


def test_cancel_ends_what_waits(admin_client):
    jobs = [waiting_job(), due_job(DB)]
    response = post(admin_client, "cancel", *jobs)
    assert {row_of(job)["status"] for job in jobs} == {Status.CANCELLED}
    assert told(response) == ["2 jobs were cancelled."]
    assert all(logged(job) == [(CHANGE, "Cancelled.")] for job in jobs)


@pytest.mark.parametrize("status", sorted(END_STATES))
@pytest.mark.parametrize("action", ["cancel", "terminate"])
def test_cancel_skips_what_has_ended(admin_client, action, status):
    job = job_in(status, DB)
    before = row_of(job)
    assert told(post(admin_client, action, job)) == ["1 job was skipped: it has ended."]
    assert row_of(job) == before
    assert logged(job) == []


@pytest.mark.parametrize(
    ("action", "words", "entry", "killed"),
    [
        ("cancel", "1 running job was asked to stop.", "Asked to stop.", False),
        ("terminate", "1 running job is about to be killed.", "Terminated.", True),
    ],
)
def test_cancel_asks_what_runs_to_stop(admin_client, action, words, entry, killed):
    job = started_job(DB)
    waiting = waiting_job()

    assert told(post(admin_client, action, job, waiting)) == ["1 job was cancelled.", words]
    row = row_of(job)
    assert (row["status"], row["terminate"]) == ("running", killed)
    assert job.cancel_requested()
    assert logged(job) == [(CHANGE, entry)]
    assert "asked to stop" in text_of(admin_client.get(LIST))


def test_the_page_of_a_job_shows_its_earlier_attempts_as_text(admin_client):
    job = started_job(DB, max_attempts=3)
    ScheduledJob.objects.try_again(job, f"{HOSTILE} key=hunter2", timezone.now(), 1)
    text = text_of(admin_client.get(page_of(job)))

    assert "Attempt 1 of 3" in text and "host:1" in text and "hunter2" not in text
    assert escape(HOSTILE) in text and HOSTILE not in text


def test_a_job_that_waits_for_its_code_says_so(admin_client):
    due_job(DB, unknown_since=timezone.now(), error="w does not have the code")
    assert "waiting for its code" in text_of(admin_client.get(LIST))


# -- reschedule -----------------------------------------------------------------------------------------------------


def test_reschedule_asks_when_and_keeps_the_selection(admin_client):
    jobs = [waiting_job(), waiting_job(), started_job(DB), job_in(Status.FAILED, DB)]
    before = [row_of(job) for job in jobs]
    response = admin_client.post(
        f"{LIST}?queue=", {"action": "reschedule", "index": "0", "_selected_action": [job.pk for job in jobs]}
    )
    text = text_of(response)
    assert all(f'<input type="hidden" name="_selected_action" value="{job.pk}">' in text for job in jobs)
    assert f'href="{LIST}?queue="' in text
    assert "This applies to 4 jobs:" in text
    assert "Running jobs are skipped." in text
    assert [row_of(job) for job in jobs] == before


@pytest.mark.parametrize(
    "date, complaint",
    [
        ("", "This field is required."),
        ("5", "has no unit"),
        ("-1d", "has a sign"),
        ("soon", "cannot be understood"),
        ("2027-01-01", "is a date without a time"),
        ("9999999d", "outside the years"),
        (HOSTILE, escape(HOSTILE)),
        ("5d\0", "Null characters are not allowed."),
        # No time in Berlin: stored, it would break every page that shows it.
        ("9999-12-31T23:59Z", "outside the years"),
    ],
)
def test_a_time_that_is_none_is_told_in_the_form(admin_client, date, complaint):
    job = waiting_job()
    before = row_of(job)
    text = text_of(post(admin_client, "reschedule", job, date=date))
    assert complaint in text
    assert 'class="errorlist"' in text
    assert HOSTILE not in text
    assert f'value="{job.pk}"' in text
    assert row_of(job) == before


@pytest.mark.parametrize("date, seconds", [("2h30m", 9000), ("1d", 86400), ("PT5M", 300)])
def test_reschedule_moves_the_slot_by_an_offset_from_now(admin_client, date, seconds):
    job = waiting_job()
    due = timezone.now() + timedelta(seconds=seconds)
    assert told(post(admin_client, "reschedule", job, date=date)) == ["1 job was moved to its new start."]
    moved = ScheduledJob.objects.get(pk=job.pk)
    assert due <= moved.time_slot_start <= due + MINUTE
    assert moved.time_slot_end - moved.time_slot_start == HOUR


def test_reschedule_takes_a_time_in_the_current_time_zone(admin_client, settings):
    job = waiting_job(time_slot_end=None)
    post(admin_client, "reschedule", job, date="2027-07-01T09:00")
    moved = ScheduledJob.objects.get(pk=job.pk)
    start = datetime(2027, 7, 1, 9)
    assert moved.time_slot_start == (timezone.make_aware(start) if settings.USE_TZ else start)
    assert moved.time_slot_end is None
    assert logged(job)[0][1].startswith("Moved to 2027-07-01 09:00:00")


def test_reschedule_of_all_that_the_filter_finds(admin_client):
    listed, other = [waiting_job(queue="a") for _ in range(3)], waiting_job(queue="b")
    data = {"action": "reschedule", "_selected_action": [listed[0].pk], "select_across": "1"}
    assert '<input type="hidden" name="select_across" value="1">' in text_of(admin_client.post(f"{LIST}?queue=a", data))
    before = row_of(other)
    response = admin_client.post(f"{LIST}?queue=a", data | {"date": "1h", "sure": "1"})
    assert told(response) == ["3 jobs were moved to their new start."]
    assert row_of(other) == before


def test_a_slot_that_would_end_after_the_end_of_time_is_refused(admin_client):
    job = waiting_job(time_slot_end=timezone.now() + timedelta(days=2))
    before = row_of(job)
    first, last = told(post(admin_client, "reschedule", job, date="9999-12-30T12:00"))
    assert first.startswith(f"Job {job.pk}: ")
    assert last == "1 job could not be scheduled."
    assert row_of(job) == before


# -- refusals and lost races ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["run_now", "reschedule"])
@pytest.mark.parametrize(
    "columns, reason",
    [
        ({"callable_name": "tests.shop.jobs.gone"}, "has no &#x27;gone&#x27;"),
        ({"callable_name": "remind"}, "has no dot"),
        ({"kwargs_text": '{"a":{"$pickle":"forged"}}'}, "pickle"),
        ({"args_text": "nonsense"}, "not JSON"),
        ({"kwargs_text": '{"no_such":1}'}, "does not take"),
    ],
)
def test_a_job_that_cannot_be_copied_is_told_with_the_reason(admin_client, action, columns, reason):
    job = job_in(Status.COMPLETE, DB, **columns)
    response = post(admin_client, action, job, date="1d")
    first, last = told(response)
    assert first.startswith(f"Job {job.pk}: ")
    assert reason in escape(first)
    assert last == "1 job could not be scheduled."
    assert ScheduledJob.objects.count() == 1
    assert logged(job) == []


def test_a_callable_that_is_not_allowed_is_not_run_again(admin_client, settings):
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["other.*"]
    job = job_in(Status.COMPLETE, DB)
    assert "FUTURE_CELERY_ALLOWED_CALLABLES" in told(post(admin_client, "run_now", job))[0]
    assert ScheduledJob.objects.count() == 1


def test_an_ended_job_without_its_content_object_is_not_run_again(admin_client):
    order = Order.objects.create()
    job = job_in(Status.COMPLETE, DB, callable_name="remind", content_object=order)
    order.delete()
    assert "no longer in the database" in told(post(admin_client, "run_now", job))[0]


def test_of_many_refusals_only_the_first_are_told_one_by_one(admin_client):
    jobs = [job_in(Status.COMPLETE, DB, callable_name="no.such") for _ in range(MOST_ERRORS + 2)]
    messages = told(post(admin_client, "run_now", *jobs))
    assert len(messages) == MOST_ERRORS + 1
    assert messages[-1] == f"{len(jobs)} jobs could not be scheduled."


@pytest.mark.parametrize("action", ["run_now", "reschedule"])
def test_a_job_that_a_worker_takes_first_is_left_to_it(admin_client, action, monkeypatch):
    """The action sees it waiting; before it writes, a worker starts it."""
    job = due_job(DB)
    running = {}
    write = ScheduledJob.save

    def late(self, **options):
        ScheduledJob.objects.start(self.pk, 0, worker="w", task_id="")
        running.update(row_of(self))
        return write(self, **options)

    monkeypatch.setattr(ScheduledJob, write.__name__, late)
    response = post(admin_client, action, job, date="1d")
    assert told(response) == ["1 job was skipped: it is running or has ended."]
    assert row_of(job) == running
    assert running["status"] == Status.RUNNING
    assert logged(job) == []


def test_a_run_that_ends_while_its_page_of_jobs_is_open_is_copied(admin_client):
    job = started_job(DB)
    text_of(post(admin_client, "reschedule", job))
    ScheduledJob.objects.complete(job, None, timezone.now())
    assert told(post(admin_client, "reschedule", job, date="1d")) == [
        "1 job had ended: a new one like it was scheduled."
    ]


def test_a_run_that_the_databases_clock_starts_in_our_future_takes_no_negative_time():
    model_admin = ScheduledJobAdmin(ScheduledJob, admin.site)
    ahead = SimpleNamespace(execution_start=timezone.now() + HOUR, execution_end=None)
    assert model_admin.duration(ahead) == "<bdi>0.0 s</bdi>"
