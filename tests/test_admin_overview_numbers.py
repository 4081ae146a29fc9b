"""The numbers of the overview: of how many jobs, of which ones, and where the counting ends."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from django_future_celery.admin.agenda import DUE, HOURS, PLANNED, agenda, start_of_hour
from django_future_celery.admin.chart import HEIGHT, LEAST_HEIGHT, PLOT_HEIGHT, Column, draw, round_up
from django_future_celery.admin.failures import failures, kind_of
from django_future_celery.admin.pictures import pictures
from django_future_celery.admin.processes import SILENT, last_tick, processes
from django_future_celery.admin.samples import Samples
from django_future_celery.admin.tiles import due_by, tiles
from django_future_celery.admin.timings import percentile, timings
from django_future_celery.clock import SECOND, to_datetime, to_micros
from django_future_celery.models import Process, ScheduledJob
from django_future_celery.states import Kind, Status
from tests.factories import MINUTE, due_job, job_in, row_of, started_job

pytestmark = pytest.mark.django_db(databases=list(django_settings.DATABASES))

HOUR = timedelta(hours=1)
TRACEBACK = 'Traceback (most recent call last):\n  File "/shop/jobs.py", line 3, in note\n    raise it\n'


@pytest.fixture
def moment(now):
    """The database's clock as a datetime."""
    return to_datetime(now)


@pytest.fixture
def add(alias):
    """Adds a job as if it had run: from ``start`` to ``end``, called when ``slot`` began."""

    def add(status=Status.COMPLETE, *, end, start=None, slot=None, **columns):
        start = start or end
        run = {"time_slot_start": slot or start, "execution_start": start, "execution_end": end, "attempts": 1}
        return ScheduledJob.objects.using(alias).create(
            **{"callable_name": "shop.note", **run, "status": status} | columns
        )

    return add


def values(found):
    return {str(tile.label): tile.value for tile in found}


def all_tiles(samples, now):
    return values(tiles(samples, now, due_by(samples, now)))


def whole(samples, now):
    return agenda(samples, now, due_by(samples, now))


def sums(hours):
    """The numbers of each series over all hours."""
    total = {}
    for hour in hours:
        for series, count in hour.counts.items():
            total[str(series)] = total.get(str(series), 0) + count
    return total


# -- samples ----------------------------------------------------------------------------------------------------------


def test_a_sample_of_ended_jobs_has_the_latest_and_says_where_it_ends(rows, add, moment):
    ends = [moment - n * MINUTE for n in range(5)]
    for end in ends:
        add(end=end)
    sample = Samples(rows.all(), most=3).ended(Status.COMPLETE, moment - HOUR)
    assert (sample.count, sample.cut) == (3, ends[3])
    whole = Samples(rows.all(), most=5).ended(Status.COMPLETE, moment - HOUR)
    assert (whole.count, whole.cut) == (5, None)


def test_a_filter_chooses_among_the_sample_and_does_not_widen_it(rows, add, moment):
    for n in range(6):
        add(end=moment - n * MINUTE, callable_name="rare" if n in (1, 5) else "frequent")
    sample = Samples(rows.filter(callable_name="rare"), most=3).ended(Status.COMPLETE)
    assert sample.count == 1
    assert sample.cut is not None


def test_the_priorities_share_a_sample_of_waiting_jobs(alias, rows, moment):
    for priority in (0, 10):
        for n in range(5):
            due_job(alias, priority=priority, time_slot_start=moment + n * MINUTE)
    samples = Samples(rows.all(), most=4)
    sample = samples.waiting(to_micros(moment), to_micros(moment + HOUR))
    assert sample.count == 4
    assert sample.cut == to_micros(moment + 2 * MINUTE)


def test_without_jobs_all_is_nought(rows, moment):
    samples = Samples(rows.all())
    assert set(all_tiles(samples, moment).values()) == {"0", "-"}
    hours = whole(samples, moment)
    assert sums(hours.past) == {"complete": 0, "failed": 0, "expired": 0}
    assert sums(hours.ahead) == {DUE: 0, PLANNED: 0}
    assert timings(samples) == failures(samples) == []
    assert [len(picture.chart.places) for picture in pictures(hours)] == [HOURS + 1, HOURS + 1]


# -- when a job ended -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.FAILED, Status.EXPIRED])
def test_every_job_that_ran_or_expired_has_the_time_of_its_end(alias, status, moment):
    ended = row_of(job_in(status, alias))["execution_end"]
    assert abs(ended - moment) < MINUTE


# -- agenda -----------------------------------------------------------------------------------------------------------


def test_what_ran_is_counted_in_the_hour_of_its_end(rows, add, moment):
    this_hour = start_of_hour(moment)
    add(end=this_hour)
    add(Status.FAILED, end=this_hour - timedelta(seconds=1))
    add(Status.EXPIRED, end=this_hour - HOUR)
    add(end=this_hour - HOURS * HOUR)
    add(end=this_hour - HOURS * HOUR - timedelta(seconds=1))
    past = whole(Samples(rows.all()), moment).past
    assert past[-1].start == this_hour
    assert past[-1].counts == {"complete": 1, "failed": 0, "expired": 0}
    assert past[-2].counts == {"complete": 0, "failed": 1, "expired": 1}
    assert past[0].counts["complete"] == 1
    assert sums(past) == {"complete": 2, "failed": 1, "expired": 1}


def test_what_will_run_is_counted_in_the_hour_it_is_due(alias, rows, moment):
    this_hour = start_of_hour(moment)
    due_job(alias, time_slot_start=this_hour + HOUR, priority=5)
    due_job(alias, time_slot_start=this_hour + 2 * HOUR - timedelta(seconds=1), time_slot_end=None)
    due_job(alias, time_slot_start=this_hour + (HOURS + 1) * HOUR, time_slot_end=None)
    due_job(alias)
    started_job(alias)
    ahead = whole(Samples(rows.all()), moment).ahead
    assert ahead[0].counts == {PLANNED: 0, DUE: 1}
    assert ahead[1].counts == {PLANNED: 2}
    assert sums(ahead)[PLANNED] == 2


def test_where_the_counting_ends_is_said(alias, rows, add, moment):
    for n in range(3):
        add(end=moment - n * MINUTE)
        due_job(alias, time_slot_start=moment + (n + 1) * HOUR, time_slot_end=None)
    hours = whole(Samples(rows.all(), most=2), moment)
    assert (hours.past_cut, hours.ahead_cut) == (moment - 2 * MINUTE, moment + 3 * HOUR)
    assert (sums(hours.past)["complete"], sums(hours.ahead)[PLANNED]) == (2, 2)


def test_the_hours_are_those_of_the_clocks_where_the_reader_is(settings, moment):
    if not settings.USE_TZ:
        assert start_of_hour(moment).minute == 0
        return
    with timezone.override("Asia/Kolkata"):
        assert start_of_hour(moment).minute == 30


# -- chart ------------------------------------------------------------------------------------------------------------


def test_bars_stand_on_each_other():
    [place] = draw([Column("", "", [("a", 1), ("b", 0), ("c", 3)])], highest=4).places
    a, c = place.bars
    assert (a.series, c.series) == ("a", "c")
    assert (a.height, c.height) == (PLOT_HEIGHT / 4, PLOT_HEIGHT * 3 / 4)
    assert c.y + c.height == a.y
    assert c.y >= 0
    assert a.y + a.height <= HEIGHT


def test_one_among_thousands_is_seen():
    [place] = draw([Column("", "", [("a", 5000), ("b", 1)])], highest=5001).places
    assert place.bars[1].height == LEAST_HEIGHT


@pytest.mark.parametrize(
    ("value", "scale"), [(0, 2), (2, 2), (3, 4), (7, 10), (10, 10), (11, 20), (61, 100), (601, 1000)]
)
def test_the_scale_is_a_round_number(value, scale):
    assert round_up(value) == scale


# -- tiles ------------------------------------------------------------------------------------------------------------


def test_the_tiles_count_what_is_due_late_sent_running_and_failed(alias, rows, add, moment, now):
    due_job(alias, time_slot_start=moment - 5 * MINUTE)
    due_job(alias, time_slot_start=moment - timedelta(seconds=30))
    due_job(alias, time_slot_start=moment + HOUR, time_slot_end=None)
    sent = due_job(alias, time_slot_start=moment - 2 * MINUTE)
    rows.filter(pk=sent.pk).update(dispatched_at=moment, wake_at=now + 60 * SECOND)
    started_job(alias)
    add(Status.FAILED, end=moment - 23 * HOUR)
    add(Status.FAILED, end=moment - 25 * HOUR)
    assert all_tiles(Samples(rows.all()), moment) == {
        "Due now": "2",
        "Oldest due": "0:05:00",
        "Late by more than a minute": "2",
        "With the broker": "1",
        "Running": "1",
        "Failed in 24 hours": "1",
    }


def test_a_job_that_was_only_sent_is_the_oldest_due(alias, rows, moment, now):
    sent = due_job(alias, time_slot_start=moment - 2 * MINUTE)
    rows.filter(pk=sent.pk).update(dispatched_at=moment, wake_at=now + 60 * SECOND)
    assert all_tiles(Samples(rows.all()), moment)["Oldest due"] == "0:02:00"


def test_more_than_a_sample_is_a_number_with_a_plus(alias, rows, add, moment):
    for n in range(3):
        due_job(alias)
        add(Status.FAILED, end=moment - n * MINUTE)
    found = all_tiles(Samples(rows.all(), most=2), moment)
    assert found["Failed in 24 hours"] == "2+"
    assert found["Due now"].endswith("+")


def test_the_tiles_follow_the_filters(alias, rows, moment):
    due_job(alias, queue="slow")
    due_job(alias)
    assert all_tiles(Samples(rows.filter(queue="slow")), moment)["Due now"] == "1"


# -- timings ----------------------------------------------------------------------------------------------------------


def test_percentiles_are_values_that_occurred():
    seconds = [timedelta(seconds=n) for n in range(1, 101)]
    assert [percentile(seconds, p).seconds for p in (50, 95)] == [50, 95]
    assert percentile(seconds[:1], 95) == seconds[0]
    assert percentile([], 50) is None


def test_lateness_and_duration_of_each_callable(rows, add, moment):
    for seconds in (1, 2, 3):
        add(slot=moment - MINUTE, start=moment - MINUTE + timedelta(seconds=seconds), end=moment, callable_name="a")
    add(
        Status.FAILED,
        start=moment - timedelta(seconds=2),
        end=moment,
        callable_name="b",
        slot=moment - HOUR,
        attempts=2,
    )
    add(Status.EXPIRED, end=moment, execution_start=None)
    first, second = timings(Samples(rows.all()))
    assert (first.callable_name, first.runs, first.percentiles) == ("a", 3, ["2.0 s", "3.0 s", "58.0 s", "59.0 s"])
    assert (second.callable_name, second.percentiles) == ("b", ["-", "-", "2.0 s", "2.0 s"])


# -- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TRACEBACK + "shop.errors.NoStock: 7 left\n", "shop.errors.NoStock"),
        (TRACEBACK + "KeyError\n", "KeyError"),
        (TRACEBACK + "django.db.utils.DataError: bad\nDETAIL:  Key: 5\n", "django.db.utils.DataError"),
        (
            TRACEBACK + "OSError: x\n\nDuring handling of …:\n\n" + TRACEBACK + "ValueError: y\nNot tried again: …",
            "ValueError",
        ),
        ("Lost: host:12 was silent for 61 s.\nmore", "Lost: host:# was silent for # s."),
        ("", ""),
    ],
)
def test_what_failures_have_in_common(error, kind):
    assert kind_of(error) == kind


def test_failures_are_grouped_by_callable_and_class(rows, add, moment):
    mine = [
        add(Status.FAILED, end=moment - n * MINUTE, error=f"{'x' * 5000}{TRACEBACK}KeyError: {n}\n").pk
        for n in range(3)
    ]
    other = add(Status.FAILED, end=moment, error=TRACEBACK + "KeyError: 1\n", callable_name="shop.other").pk
    raised = add(Status.FAILED, end=moment - MINUTE, error=TRACEBACK + "OSError: 1\n").pk
    groups = failures(Samples(rows.all()))
    assert [group.jobs for group in groups] == [mine, [other], [raised]]
    assert (groups[0].callable_name, groups[0].error, groups[0].latest) == ("shop.note", "KeyError", moment)


def test_the_reason_of_a_failure_is_redacted(rows, add, moment):
    add(Status.FAILED, end=moment, error="Refused: password=hunter2")
    [group] = failures(Samples(rows.all()))
    assert "hunter2" not in group.error
    assert group.error.startswith("Refused")


# -- processes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def seen(alias, now):
    def seen(kind, seconds_ago, name="one"):
        at = now - seconds_ago * SECOND
        Process.objects.using(alias).create(name=name, kind=kind, host="h", pid=1, since=at, seen=at)

    return seen


def test_processes_are_shown_with_the_time_since_they_were_seen(alias, moment, seen):
    seen(Kind.WORKER, 5, "w")
    seen(Kind.BEAT, SILENT.seconds + 1, "b")
    seen(Kind.BEAT, 3 * 86_400, "forgotten")
    found = processes(alias, moment)
    assert [(each.process.name, each.silent) for each in found] == [("b", True), ("w", False)]


@pytest.mark.parametrize(
    ("kind", "seconds", "value", "alert"),
    [(Kind.BEAT, 5, "5.0 s", False), (Kind.COMMAND, 61, "0:01:01", True), (Kind.WORKER, 5, "-", True)],
)
def test_only_who_looks_for_due_jobs_ticks(alias, moment, seen, kind, seconds, value, alert):
    seen(kind, seconds)
    tile = last_tick(processes(alias, moment))
    assert (tile.value, tile.alert) == (value, alert)
