"""The benchmarks can be told what to measure, and say what they found. Nothing is measured here."""

import json
import os

import pytest

from benchmarks import environment, report
from benchmarks.__main__ import write
from benchmarks.figures import Figures, short
from benchmarks.peers import PEERS
from benchmarks.stage import ROOT
from django_future_celery import run_jobs, schedule_job
from django_future_celery.models import ScheduledJob

ABOUT = {
    "machine": {"cores": 2, "durable commits": True},
    "runs": {"drain": {"when": "yesterday", "jobs": 10}},
    "peers": {name: {"title": name.title(), "how": "As it comes.", "versions": "1.0"} for name in ("slow", "fast")},
}


@pytest.fixture
def figures():
    figures = Figures()
    for value in (10.0, 30.0, 20.0):
        figures.add("drain", "slow", **{"jobs/s": value, "MB": None})
    figures.add("drain", "fast", **{"jobs/s": 1234.5, "MB": 64.0})
    return figures


def test_the_table_tells_the_median_and_the_spread(figures):
    assert "| Slow | 20 (10–30) | – |" in report.markdown(figures, ABOUT)


def test_the_fastest_comes_first(figures):
    text = report.markdown(figures, ABOUT)
    assert text.index("| Fast | 1,234 | 64 |") < text.index("| Slow |")


def test_what_could_not_be_measured_is_in_the_table_with_the_reason(figures):
    figures.failed("drain", "broken", "it hangs")
    text = report.markdown(figures, ABOUT)
    assert "| broken | – | – |" in text
    assert "- broken: it hangs" in text


def test_the_results_say_how_each_is_configured(figures):
    assert "- **Slow** (1.0): As it comes." in report.markdown(figures, ABOUT)


def test_each_section_tells_with_which_options_it_was_measured(figures):
    assert "*Measured with: when yesterday, jobs 10.*" in report.markdown(figures, ABOUT)


def test_sections_that_were_not_measured_stay_and_peers_that_are_gone_do_not(figures, tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "run", lambda *args, **options: None)  # It draws the chart.
    peers = {"ours": {"title": "Ours", "how": "As it comes.", "versions": "1.0"}}
    write(tmp_path, figures, ABOUT | {"peers": peers | {"gone": ABOUT["peers"]["slow"]}})
    again = Figures()
    again.add("idle", "no jobs", MB=64.0)
    write(tmp_path, again, ABOUT | {"peers": peers, "runs": {"idle": {"when": "today"}}})
    text = (tmp_path / "results.md").read_text()

    assert "1,234" in text
    assert "when today" in text
    assert "**Ours**" in text
    assert "**Slow**" not in text


def test_figures_from_a_server_whose_commits_do_not_last_are_marked(figures):
    lax = ABOUT | {"machine": {"durable commits": False}}
    assert "did not wait for the disk" in report.markdown(figures, lax)
    assert "did not wait for the disk" not in report.markdown(figures, ABOUT)


@pytest.mark.parametrize(("value", "text"), [(12345.6, "12,346"), (1.234, "1.23"), (0.0, "0"), (None, "–")])
def test_as_many_figures_are_told_as_can_be_trusted(value, text):
    assert short(value) == text


@pytest.mark.parametrize("peer", PEERS.values(), ids=list(PEERS))
def test_each_peer_has_its_job_and_tells_how_it_is_configured(peer):
    assert (ROOT / "benchmarks" / "project" / f"{peer.module}.py").exists()
    assert peer.how.endswith(".")
    assert peer.distributions


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setitem(os.environ, "BENCHMARK", json.dumps({"database": "", "redis": "redis://127.0.0.1"}))


@pytest.mark.django_db(transaction=True)
def test_our_job_of_the_benchmarks_runs(place):
    job = schedule_job("0s", "benchmarks.project.jobs.noop", kwargs={"number": 7})
    run_jobs()
    job = ScheduledJob.objects.get(pk=job.pk)
    assert (job.status, job.return_value) == ("complete", "7")
