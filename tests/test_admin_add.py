"""Jobs that are added by hand, and the jobs of an object."""

import json

import pytest
from django.contrib import admin
from django.contrib.admin.models import ADDITION
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.urls import path
from django.utils import timezone
from django.utils.html import escape

from django_future_celery import catalogue
from django_future_celery.admin import ScheduledJobAdmin, ScheduledJobInline
from django_future_celery.fields import ScheduledJobs
from django_future_celery.models import ScheduledJob
from django_future_celery.states import Status
from tests.factories import MINUTE, due_job, row_of
from tests.shop.models import Coupon, Order, Parcel
from tests.test_admin import HOSTILE, LIST, admin_client, client_with, logged, text_of  # noqa: F401

DB = "default"
ADD = f"{LIST}add/"
ECHO = f"{ADD}?callable_name=tests.shop.jobs.add"


class Inline(ScheduledJobInline):
    latest = 3


class OrderAdmin(admin.ModelAdmin):
    inlines = [Inline]


site = admin.AdminSite(name="admin")
site.register([Order, Parcel], OrderAdmin)
site.register(ScheduledJob, ScheduledJobAdmin)
urlpatterns = [path("admin/", site.urls)]


@pytest.fixture
def boss(admin_client, settings):  # noqa: F811
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["tests.shop.jobs.*", "tests.shop.models.Order.*", "os.getcwd"]
    return admin_client


def filled(**data):
    return {"args": "[2]", "kwargs": "{}", "date": "1h", "expires": "1d", "priority": "0"} | data


# -- choosing ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("allowed", [None, []])
def test_without_allowed_callables_nobody_adds_a_job(admin_client, settings, allowed):  # noqa: F811
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = allowed
    assert ADD not in text_of(admin_client.get(LIST))
    assert admin_client.get(ADD).status_code == 403
    assert admin_client.post(ECHO, filled()).status_code == 403


@pytest.mark.django_db
def test_who_may_not_add_does_not(client, settings):
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["tests.shop.jobs.*"]
    clerk = client_with(client, "view_scheduledjob", "change_scheduledjob")
    assert ADD not in text_of(clerk.get(LIST))
    assert clerk.post(ECHO, filled()).status_code == 403
    assert not ScheduledJob.objects.exists()


@pytest.mark.django_db
def test_callables_are_chosen_from_a_list_with_signature_and_words(boss):
    assert ADD in text_of(boss.get(LIST))
    text = text_of(boss.get(ADD))
    assert '<a href="?callable_name=tests.shop.jobs.add">' in text
    assert "(first, second=1)" in text
    assert "Swallow a database error, as careless code does." in text
    assert "?callable_name=os.getcwd" in text
    assert "schedule_job" not in text  # only imported there


@pytest.mark.parametrize(
    "patterns, found",
    [
        (["tests.shop.jobs.add"], {"tests.shop.jobs.add"}),
        (["tests.shop.jobs.note_*"], {"tests.shop.jobs.note_object"}),
        (["tests.*.add"], {"tests.shop.jobs.add"}),
        (["*.add"], {"tests.shop.jobs.add"}),
        (["os.path.j*"], set()),
        (["nowhere.jobs.*", "nowhere.jobs.x", "*_object"], {"tests.shop.jobs.note_object"}),
        ([], set()),
    ],
)
def test_the_catalogue_has_what_the_patterns_name_and_can_be_imported(settings, patterns, found):
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = patterns
    assert set(catalogue.permitted()) == found


def test_a_module_that_breaks_hides_no_other(settings, caplog, tmp_path, monkeypatch):
    (tmp_path / "broken_jobs.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["broken_jobs.*", "tests.shop.jobs.add"]
    assert set(catalogue.permitted()) == {"tests.shop.jobs.add"}
    assert "broken_jobs cannot be imported" in caplog.text


# -- filling in -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_job_is_added(boss):
    data = filled(args="[2]", kwargs='{"second": 3}', queue="slow", priority="5", max_attempts="4")
    response = boss.post(ECHO, data)
    assert response.status_code == 302
    job = ScheduledJob.objects.get()
    assert (job.callable_name, list(job.args), job.kwargs) == ("tests.shop.jobs.add", [2], {"second": 3})
    assert (job.queue, job.priority, job.max_attempts, job.status) == ("slow", 5, 4, Status.SCHEDULED)
    assert abs(job.time_slot_start - timezone.now() - 60 * MINUTE) < MINUTE
    assert job.time_slot_end - job.time_slot_start == 24 * 60 * MINUTE
    assert [flag for flag, _ in logged(job)] == [ADDITION]


@pytest.mark.django_db
def test_what_is_left_empty_is_nothing(boss):
    boss.post(f"{ADD}?callable_name=tests.shop.jobs.nothing", filled(args="", kwargs="", expires=""))
    job = ScheduledJob.objects.get()
    assert (list(job.args), job.kwargs, job.time_slot_end, job.max_attempts) == ([], {}, None, 1)


@pytest.mark.django_db
def test_a_job_is_added_for_an_object(boss):
    order = Order.objects.create()
    kind = ContentType.objects.get_for_model(Order)
    boss.post(
        f"{ADD}?callable_name=tests.shop.jobs.note_object", filled(args="[]", content_type=kind.pk, object_id=order.pk)
    )
    assert ScheduledJob.objects.get().fetch_content_object() == order


@pytest.mark.django_db
@pytest.mark.parametrize(
    "field, data, complaint",
    [
        ("args", {"args": "[2"}, "Enter a valid JSON."),
        ("kwargs", {"kwargs": '{"no_such": 1}'}, "does not take these arguments"),
        ("kwargs", {"args": "[1, 2, 3]"}, "does not take these arguments"),
        ("kwargs", {"args": '{"a": 1}'}, "use a list or a tuple"),
        ("kwargs", {"kwargs": "[1]"}, "use a dict"),
        ("date", {"date": "soon"}, "cannot be understood"),
        ("date", {"date": ""}, "required"),
        ("expires", {"expires": "0s"}, "is not after the start"),
        ("expires", {"expires": "soon"}, "cannot be understood"),
        ("priority", {"priority": "101"}, "less than or equal to 100"),
        ("max_attempts", {"max_attempts": "0"}, "greater than or equal to 1"),
        ("__all__", {"object_id": "7"}, "Give both"),
        ("object_id", {"object_id": "7", "content_type": "order"}, "no longer in the database"),
        ("queue", {"queue": "q" * 101}, "at most 100 characters"),
        ("date", {"date": HOSTILE}, HOSTILE),
    ],
)
def test_what_is_refused_is_told_in_the_form(boss, field, data, complaint):
    if "content_type" in data:
        data = data | {"content_type": ContentType.objects.get_for_model(Order).pk}
    response = boss.post(ECHO, filled(**data))
    assert HOSTILE not in text_of(response)
    assert complaint in " ".join(response.context["form"].errors[field])
    assert escape(complaint) in text_of(response) or complaint in text_of(response)
    assert not ScheduledJob.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["os.system", "subprocess.run", "tests.shop.jobs.missing", HOSTILE, ""])
def test_no_other_callable_is_added(boss, path):
    response = boss.post(f"{ADD}?callable_name={path}", filled(args="[]"))
    assert "Choose what is to be called." in text_of(response)
    assert HOSTILE not in text_of(response)
    assert not ScheduledJob.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("tag", ["$pickle", "$model", "$enum"])
def test_arguments_that_look_like_stored_ones_are_plain_dicts(boss, tag):
    boss.post(f"{ADD}?callable_name=tests.shop.jobs.echo", filled(args=json.dumps([{tag: "x"}])))
    assert list(ScheduledJob.objects.get().args) == [{tag: "x"}]


# -- the jobs of an object, in its admin ------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_the_page_of_an_object_shows_its_latest_jobs(admin_client):  # noqa: F811
    order, other = Order.objects.create(), Order.objects.create()
    jobs = [due_job(DB, callable_name="remind", content_object=order) for _ in range(5)]
    strange = due_job(DB, callable_name="remind", content_object=other)
    text = text_of(admin_client.get(f"/admin/shop/order/{order.pk}/change/"))
    assert [f"/scheduledjob/{job.pk}/change/" in text for job in jobs] == [False, False, True, True, True]
    assert f"/scheduledjob/{strange.pk}/" not in text
    assert "future-badge future-scheduled" in text


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_an_object_with_jobs_is_saved_and_they_stay(admin_client):  # noqa: F811
    order = Order.objects.create()
    job = due_job(DB, callable_name="remind", content_object=order)
    before = row_of(job)
    page = f"/admin/shop/order/{order.pk}/change/"
    prefix = "django_future_celery-scheduledjob-content_type-object_id"
    numbers = {f"{prefix}-TOTAL_FORMS": "1", f"{prefix}-INITIAL_FORMS": "1", f"{prefix}-0-id": job.pk}
    response = admin_client.post(page, {"note": "new", f"{prefix}-0-priority": "9", **numbers})
    assert response.status_code == 302
    assert Order.objects.get().note == "new"
    assert row_of(job) == before
    assert text_of(admin_client.get("/admin/shop/order/add/"))


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_the_inline_knows_keys_that_are_no_numbers_and_is_hidden_from_others(client, admin_client):  # noqa: F811
    parcel = Parcel.objects.create()
    job = due_job(DB, callable_name="remind", content_object=parcel)
    page = f"/admin/shop/parcel/{parcel.pk}/change/"
    assert f"/scheduledjob/{job.pk}/change/" in text_of(admin_client.get(page))
    assert "scheduledjob" not in text_of(client_with(client, "view_parcel").get(page))


# -- the jobs of an object, in code -----------------------------------------------------------------------------------


def job_for(thing, alias, **columns):
    kind = ContentType.objects.db_manager(alias).get_for_model(thing)
    return due_job(alias, content_type=kind, object_id=str(thing.pk), **columns)


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize(("model", "columns"), [(Coupon, {"code": "a"}), (Parcel, {})])
def test_the_relation_gives_the_jobs_of_an_object(alias, model, columns):
    thing = model.objects.using(alias).create(**columns)
    job = job_for(thing, alias)
    due_job(alias)
    assert [*thing.jobs.all()] == [job]
    assert [*thing.jobs.scheduled()] == [job]
    [same] = type(thing).objects.using(alias).prefetch_related("jobs")
    assert [*same.jobs.all()] == [job]


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("many", [False, True])
def test_cancel_ends_what_waits_for_an_object_that_is_deleted(alias, many):
    coupon, other = Coupon.objects.using(alias).create(code="a"), Coupon.objects.using(alias).create(code="b")
    waiting, running = job_for(coupon, alias), job_for(coupon, alias)
    running = ScheduledJob.objects.using(alias).start(running.pk, 0, worker="w", task_id="")
    ended, others = job_for(coupon, alias), job_for(other, alias)
    ScheduledJob.objects.using(alias).filter(pk=ended.pk).cancel()
    before = [row_of(job) for job in (running, ended, others)]
    Coupon.objects.using(alias).filter(pk="a").delete() if many else coupon.delete()
    assert row_of(waiting)["status"] == Status.CANCELLED
    assert [row_of(job) for job in (running, ended, others)] == before


@pytest.mark.django_db(databases="__all__")
def test_a_deletion_that_is_rolled_back_cancels_nothing(alias):
    coupon = Coupon.objects.using(alias).create(code="a")
    before = row_of(job := job_for(coupon, alias))
    with pytest.raises(RuntimeError), transaction.atomic(using=alias):
        coupon.delete()
        raise RuntimeError
    assert row_of(job) == before


@pytest.mark.django_db(databases="__all__")
def test_fail_leaves_the_rows_as_they_are(alias):
    parcel = Parcel.objects.using(alias).create()
    before = row_of(job := job_for(parcel, alias))
    parcel.delete()
    assert row_of(job) == before


def test_another_word_for_what_happens_is_refused():
    with pytest.raises(ValueError, match="on_delete='cascade': use 'fail' or 'cancel'"):
        ScheduledJobs(on_delete="cascade")


def test_the_models_pass_djangos_checks():
    assert not [message for model in (Coupon, Parcel) for message in model.check()]
