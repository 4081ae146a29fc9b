"""What earlier versions have left in a database, and what their processes still do beside ours."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.html import escape

from django_future_celery import run_jobs, serializers, sticky
from django_future_celery.clock import database_now
from django_future_celery.models import Process, ScheduledJob
from django_future_celery.publishing import RUN, RUN_BATCH
from tests.factories import due_job
from tests.processes import wait_until
from tests.upgrade import messages, releases
from tests.upgrade.contract import bind, contract
from tests.upgrade.releases import APP, PRESENT, RELEASES, Release
from tests.upgrade.upgrading import differences, load_and_migrate, load_beside, stored, then, waits

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

WRITE = "run `python -m tests.upgrade.write`"


@pytest.fixture(params=RELEASES, ids=lambda release: release.version)
def release(request, monkeypatch):
    monkeypatch.setattr(sticky, "STICKY", {})
    return request.param


# -- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [load_and_migrate, load_beside])
def test_rows_are_taken_to_their_ends(release, alias, load):
    load(release, alias)
    before = stored(alias)

    def all_ended():
        run_jobs(ignore_errors=True, using=alias)
        return not waits(stored(alias), release)

    wait_until(all_ended, what="the end of all rows")
    assert differences(before, stored(alias), release) == {}


def test_each_row_has_its_page_in_the_admin(release, client):
    client.force_login(User.objects.create_superuser("admin"))
    load_and_migrate(release, "default")
    for job in ScheduledJob.objects.all():
        page = client.get(reverse("admin:django_future_celery_scheduledjob_change", args=[job.pk]))

        assert page.status_code == 200
        assert escape(job.why_not_yet()) in page.text
        assert escape(serializers.preview(job.args_text)) in page.text


def test_the_lists_in_the_admin_have_the_rows_and_the_processes(release, client):
    client.force_login(User.objects.create_superuser("admin"))
    load_and_migrate(release, "default")
    Process.objects.update(seen=database_now("default"))  # As if they were still at work.
    tabs = {job.status for job in ScheduledJob.objects.all()}
    assert len(tabs) == 6
    jobs = client.get(reverse("admin:django_future_celery_scheduledjob_changelist"))
    overview = client.get(reverse("admin:django_future_celery_scheduledjob_overview"))

    assert jobs.status_code == overview.status_code == 200
    for row in release.read("tables")["Process"]:
        assert row["name"] in overview.text


# -- processes of two versions at work at a time ----------------------------------------------------------------------


def test_a_worker_of_then_takes_the_messages_of_today(release):
    tasks = release.read("contract")["tasks"]
    job, limited, other = due_job("default"), due_job("default", time_limit=5), due_job("default")
    other._state.db = "archive"
    for jobs in ([job], [limited], [job] * 3, [other], [other] * 3):
        message = messages.sent(jobs)
        args, kwargs, _ = messages.content(message)

        assert message["headers"]["task"] == (RUN if len(jobs) == 1 else RUN_BATCH)
        bind(tasks[message["headers"]["task"]], args, kwargs)


def test_a_worker_of_then_reads_the_arguments_of_today(release):
    known, today = release.read("contract"), contract()

    assert set(today["tags"]) <= set(known["tags"]), "write a new tag only once no worker is left that cannot read it"
    assert today["pickles"] == known["pickles"]


def test_what_the_contract_compares_is_not_empty():
    assert contract()["tasks"][RUN] == {"job_id": False, "attempts": False, "using": True}
    with pytest.raises(TypeError):
        bind(contract()["tasks"][RUN], [1], {})
    with pytest.raises(TypeError):
        bind(contract()["tasks"][RUN], [1, 0], {"database": "default"})


# -- the folders ------------------------------------------------------------------------------------------------------


def test_the_present_version_has_its_folder():
    assert Release(PRESENT) in RELEASES, WRITE
    assert Release(PRESENT).read("contract") == contract(), WRITE


def test_the_migrations_of_a_version_are_as_they_were(release):
    model = then(release, "default").get_model(APP, "ScheduledJob")
    columns = {field.name for field in model._meta.concrete_fields}
    for row in release.rows("default"):
        assert set(row["columns"]) == columns, WRITE


@pytest.mark.parametrize("heading", ["## 3.2.1", "## [3.2.1] - 2030-01-01", "## v3.2.1 (2030-01-01)"])
def test_what_the_changelog_names_is_not_written_again(heading, monkeypatch, tmp_path):
    monkeypatch.setattr(releases, "HERE", tmp_path)
    monkeypatch.setattr(releases, "CHANGELOG", tmp_path / "CHANGELOG.md")
    releases.CHANGELOG.write_text("# Changelog\n\n## Unreleased\n\n## 3.2.10\n\n## 3.2.1.1\n\nSee 3.2.1.\n")
    Release("3.2.1").write("jobs", [1])
    releases.CHANGELOG.write_text(f"# Changelog\n\n## Unreleased\n\n{heading}\n")

    with pytest.raises(SystemExit, match="its folder stays"):
        Release("3.2.1").write("jobs", [2])
    assert Release("3.2.1").read("jobs") == [1]
