"""Rolling deploys: a job whose code this process does not have waits for a process that has it."""

import sys
from datetime import timedelta

import pytest
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from django_future_celery import run_jobs, schedule_job
from django_future_celery.callables import check_known
from django_future_celery.clock import SECOND
from django_future_celery.dispatcher import tick
from django_future_celery.exceptions import UnknownCallable
from django_future_celery.models import ScheduledJob
from django_future_celery.runner import run_job
from tests.factories import row_of
from tests.shop import jobs
from tests.shop.models import Ledger, Order

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

PATH = "tests.shop.jobs."


def run(job):
    return run_job(job.pk, row_of(job)["attempts"], using=job._state.db)


def unknown_job(alias, name=f"{PATH}from_the_next_release", **options):
    return schedule_job("0s", name, check=False, using=alias, **options)


@pytest.fixture
def half_loaded(tmp_path, monkeypatch):
    """A module that can be found and was not imported yet."""
    (tmp_path / "newcomer.py").write_text("def here():\n    return 'here'\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("newcomer", None)


class TestWhatIsKnown:
    @pytest.mark.parametrize(
        "path",
        [
            f"{PATH}nothing",
            "tests.shop.models.Order.objects.count",
            "json.loads",
            "newcomer.here",  # was not imported yet, so who knows
            "newcomer.anything",
        ],
    )
    def test_may_be_there(self, path, half_loaded):
        check_known(path)

        assert "newcomer" not in sys.modules

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("nowhere.at.all", "no module 'nowhere'"),
            ("tests.shop.elsewhere.job", "module 'tests.shop' has no 'elsewhere'"),
            (f"{PATH}from_the_next_release", "has no 'from_the_next_release'"),
            ("tests.shop.models.Order.remind_twice", "has no 'remind_twice'"),
        ],
    )
    def test_surely_is_not(self, path, words):
        import tests.shop.models  # noqa: F401

        with pytest.raises(UnknownCallable, match=words):
            check_known(path)


class TestAJobWithoutItsCode:
    def test_waits_with_the_reason_and_no_attempt_is_used_up(self, alias, now):
        job = unknown_job(alias)

        assert run(job) is None
        row = row_of(job)
        assert (row["status"], row["attempts"], row["dispatched_at"]) == ("scheduled", 0, None)
        assert row["unknown_since"] and row["wake_at"] >= now + 5 * SECOND
        assert "does not have the code" in row["error"] and "from_the_next_release" in row["error"]

    def test_waits_longer_each_time(self, alias, rows):
        job = unknown_job(alias)
        run(job)
        since = timezone.now() - timedelta(seconds=100)
        rows.filter(pk=job.pk).update(unknown_since=since)
        run(job)

        row = row_of(job)
        assert row["unknown_since"] == since
        assert 90 < (row["wake_at"] - job.due_at) / SECOND < 140

    def test_runs_where_a_process_has_it(self, alias, rows, monkeypatch):
        job = unknown_job(alias)
        run(job)
        monkeypatch.setattr(jobs, "from_the_next_release", jobs.nothing, raising=False)
        run(job)

        row = row_of(job)
        assert (row["status"], row["attempts"], row["error"], row["unknown_since"]) == ("complete", 1, "", None)

    def test_expires_at_the_end_of_its_slot_and_keeps_the_reason(self, alias, rows):
        job = unknown_job(alias, expires="1h")
        run(job)
        rows.expire(timezone.now() + timedelta(hours=2))

        row = row_of(job)
        assert row["status"] == "expired"
        assert row["error"].startswith("Expired") and "does not have the code" in row["error"]

    def test_fails_when_its_grace_is_over(self, alias, rows, settings):
        settings.FUTURE_CELERY_UNKNOWN_CALLABLE_GRACE = 60.0
        job = unknown_job(alias, expires=None)
        run(job)
        rows.filter(pk=job.pk).update(unknown_since=timezone.now() - timedelta(seconds=61))
        run(job)

        row = row_of(job)
        assert (row["status"], row["attempts"], row["wake_at"]) == ("failed", 0, None)
        assert "does not have the code" in row["error"]

    def test_is_not_sent_again_before_its_pause_is_over(self, alias, rows):
        job = unknown_job(alias)
        run(job)
        sent = []
        tick(sent.extend, alias)
        assert sent == []
        rows.filter(pk=job.pk).update(wake_at=1)
        tick(sent.extend, alias)
        assert [each.pk for each in sent] == [job.pk]

    def test_keeps_no_other_waiting_in_process(self, alias, caplog):
        job = unknown_job(alias, priority=1)
        other = schedule_job("0s", f"{PATH}note", using=alias)
        run_jobs(using=alias)

        assert (row_of(job)["status"], row_of(other)["status"]) == ("scheduled", "complete")
        assert f"Job {job.pk} waits for a process that has its code" in caplog.text

    def test_is_left_to_its_run_where_looking_for_it_fails(self, alias, tmp_path, monkeypatch):
        (tmp_path / "lazy_newcomer.py").write_text("def __getattr__(name):\n    raise RuntimeError('not so')\n")
        monkeypatch.syspath_prepend(tmp_path)
        __import__("lazy_newcomer")
        job = unknown_job(alias, "lazy_newcomer.job")
        run(job)

        assert row_of(job)["status"] == "failed"
        assert "not so" in row_of(job)["error"]

    def test_can_be_cancelled(self, alias):
        job = unknown_job(alias)
        run(job)

        assert job.cancel() is True


class TestCodeThatIsMissingOnceItsModuleIsImported:
    def test_takes_the_start_back(self, alias, half_loaded):
        job = unknown_job(alias, "newcomer.from_the_next_release")
        outcome = run(job)

        row = row_of(job)
        assert (row["status"], row["attempts"], row["max_attempts"]) == ("scheduled", 1, 2)
        assert "does not have the code" in row["error"] and row["unknown_since"]
        assert outcome.failure is None
        assert row["failures"] is None

    def test_lets_the_job_run_where_it_is(self, alias, half_loaded, monkeypatch):
        job = unknown_job(alias, "newcomer.from_the_next_release")
        run(job)
        monkeypatch.setattr(sys.modules["newcomer"], "from_the_next_release", jobs.nothing, raising=False)
        run(job)

        assert (row_of(job)["status"], row_of(job)["attempts"]) == ("complete", 2)

    def test_is_the_end_of_a_job_that_was_asked_to_stop(self, alias, half_loaded, monkeypatch):
        from django_future_celery import runner

        def and_cancel(job):
            job.cancel()
            raise UnknownCallable("not here")

        job = schedule_job("0s", f"{PATH}nothing", using=alias)
        monkeypatch.setattr(runner, "find_callable", and_cancel)
        run(job)

        assert row_of(job)["status"] == "cancelled"

    def test_is_no_excuse_for_a_module_that_cannot_be_imported(self, alias, tmp_path, monkeypatch):
        (tmp_path / "broken_newcomer.py").write_text("import does_not_exist_anywhere\n")
        monkeypatch.syspath_prepend(tmp_path)
        job = unknown_job(alias, "broken_newcomer.job")
        run(job)

        assert row_of(job)["status"] == "failed"
        assert "does_not_exist_anywhere" in row_of(job)["error"]

    def test_is_not_what_a_job_means_that_schedules_a_wrong_path(self, alias):
        job = schedule_job("0s", f"{PATH}schedule_nowhere", using=alias)
        run(job)

        assert row_of(job)["status"] == "failed"


class TestMethods:
    def test_that_the_model_does_not_have_wait(self, alias):
        order = Order.objects.using(alias).create()
        job = unknown_job(alias, "from_the_next_release", content_object=order)
        run(job)

        assert row_of(job)["status"] == "scheduled"
        assert "shop.Order has no method 'from_the_next_release'" in row_of(job)["error"]

    @pytest.mark.parametrize("name", ["remind", f"{PATH}note_object"])
    def test_and_arguments_of_a_model_that_is_not_here_wait(self, alias, rows, name):
        order = Order.objects.using(alias).create()
        job = schedule_job("0s", name, order, using=alias)
        newer = ContentType.objects.using(alias).create(app_label="shop", model="fromthenextrelease")
        rows.filter(pk=job.pk).update(content_type=newer)
        run(job)

        assert row_of(job)["status"] == "scheduled"
        assert "shop.fromthenextrelease, is not in the code here" in row_of(job)["error"]
        assert not Ledger.objects.using(alias).exists()

    def test_whose_content_type_was_deleted_fail(self, alias, rows):
        job = schedule_job("0s", "remind", Order.objects.using(alias).create(), using=alias)
        rows.filter(pk=job.pk).update(content_type_id=31_999)
        run(job)

        assert row_of(job)["status"] == "failed"
        assert ScheduledJob.objects.using(alias).count() == 1
