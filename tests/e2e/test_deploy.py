"""A rolling deploy: workers of two releases at a time, and jobs that only the newer one knows."""

import os

import pytest

from django_future_celery import schedule_job
from django_future_celery.models import ScheduledJob
from tests.processes import ROOT, wait_until

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


def test_a_job_of_the_next_release_waits_for_a_worker_that_has_it(project, tmp_path):
    stack = project("postgresql", "redis")
    paths = {}
    for release, code in [("old", ""), ("new", "\n\ndef shiny():\n    return 'new'\n")]:
        folder = tmp_path / f"release-{release}"
        folder.mkdir()
        (folder / "deployed.py").write_text(f"def known():\n    return '{release}'\n{code}")
        paths[release] = os.pathsep.join([str(ROOT), str(folder)])
    old = stack.worker(name="old", PYTHONPATH=paths["old"])
    stack.beat()
    known = schedule_job("0s", "deployed.known", check=False, using=stack.alias)
    shiny = schedule_job("0s", "deployed.shiny", check=False, using=stack.alias)
    rows = ScheduledJob.objects.using(stack.alias)

    wait_until(lambda: rows.get(pk=known.pk).return_value == "old", what="the job that both know")
    wait_until(lambda: rows.get(pk=shiny.pk).phase == "unknown", what="the wait")
    assert "has no 'shiny'" in rows.get(pk=shiny.pk).error

    stack.worker(name="new", PYTHONPATH=paths["new"])
    stack.stop(old)
    wait_until(lambda: rows.get(pk=shiny.pk).status == "complete", what="the run in the new release")
    assert rows.get(pk=shiny.pk).return_value == "new"
    assert not rows.get(pk=shiny.pk).failures
