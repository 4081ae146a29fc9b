"""ScheduledJob.objects.….reschedule(): the slots of many waiting rows are moved at once."""

from datetime import datetime, timedelta

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_future_celery.clock import SECOND, to_micros
from django_future_celery.exceptions import InvalidOption, InvalidTime, InvalidTimeType
from django_future_celery.states import Status
from tests.factories import MINUTE, due_job, job_in, row_of

pytestmark = pytest.mark.django_db(databases="__all__")

HOUR = timedelta(hours=1)


def lengths(rows):
    return [row.time_slot_end and row.time_slot_end - row.time_slot_start for row in rows.order_by("pk")]


@pytest.fixture
def waiting(alias):
    start = timezone.now()
    return [
        due_job(alias, time_slot_start=start + n * MINUTE, time_slot_end=end and start + n * MINUTE + end)
        for n, end in enumerate([HOUR, 30 * HOUR + timedelta(microseconds=7), None])
    ]


def test_all_move_to_one_instant_and_keep_their_length(rows, waiting):
    before, start = lengths(rows), timezone.now() + 40 * HOUR

    assert rows.reschedule(start) == 3
    assert {row.time_slot_start for row in rows} == {start}
    assert lengths(rows) == before == [HOUR, 30 * HOUR + timedelta(microseconds=7), None]
    assert {row.wake_at for row in rows} == {to_micros(start)}


def test_an_offset_counts_from_now(rows, waiting):
    rows.reschedule("2h")

    for row in rows:
        assert abs(row.time_slot_start - timezone.now() - 2 * HOUR) < MINUTE
        assert row.wake_at == row.due_at


def test_or_from_the_start_of_each_slot(rows, waiting):
    before = lengths(rows)

    assert rows.reschedule("1d12h", relative_to="scheduled") == 3
    for job, row in zip(waiting, rows.order_by("pk"), strict=True):
        assert row.time_slot_start == job.time_slot_start + 36 * HOUR
        # Never later than the slot begins; without time zones, up to an hour or two before.
        assert row.due_at - 2 * 3600 * SECOND <= row.wake_at <= row.due_at
    assert lengths(rows) == before


def test_the_wake_up_is_exact_where_time_zones_are_known(rows, waiting, settings, vendor):
    rows.reschedule(timedelta(days=3, microseconds=1), relative_to="scheduled")

    if settings.USE_TZ or vendor == "postgresql":
        assert all(row.wake_at == row.due_at for row in rows)


@pytest.mark.parametrize("month", [3, 10])
def test_summer_time_that_begins_or_ends_on_the_way_lets_none_wake_late(alias, rows, settings, month):
    start = datetime(2027, month, 20, 9)
    due_job(alias, time_slot_start=timezone.make_aware(start) if settings.USE_TZ else start, time_slot_end=None)
    rows.reschedule("30d", relative_to="scheduled")

    [row] = rows.all()
    assert row.due_at - 3600 * SECOND <= row.wake_at <= row.due_at


def test_a_datetime_is_no_offset_whatever_it_is_relative_to(rows, waiting):
    start = timezone.now() + HOUR
    rows.reschedule(start, relative_to="scheduled")

    assert {row.time_slot_start for row in rows} == {start}


def test_a_message_that_is_out_counts_no_more(alias, rows, now):
    job = due_job(alias)
    rows.lease([job], now)
    rows.reschedule("1h")

    row = row_of(job)
    assert row["dispatched_at"] is None
    assert rows.start(job.pk, 0, worker="", task_id="") is None


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.SCHEDULED}))
def test_running_and_ended_rows_stay_as_they_are(alias, rows, status):
    job = job_in(status, alias)
    before = row_of(job)

    assert rows.reschedule("1h") == 0
    assert row_of(job) == before


def test_only_the_rows_of_the_queryset_move(rows, waiting):
    assert rows.filter(pk=waiting[0].pk).reschedule("9d") == 1
    assert row_of(waiting[1])["time_slot_start"] == waiting[1].time_slot_start


def test_it_is_one_statement(alias, rows, waiting):
    with CaptureQueriesContext(connections[alias]) as queries:
        rows.reschedule("9d", relative_to="scheduled")

    assert len(queries) == 1


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (("-5d",), InvalidTime),
        (("soon",), InvalidTime),
        ((5,), InvalidTimeType),
        ((timedelta(-1),), InvalidTime),
        (("5d", "tomorrow"), InvalidOption),
    ],
)
def test_what_says_no_time_is_refused(rows, waiting, call, error):
    with pytest.raises(error):
        rows.reschedule(call[0], **dict(zip(["relative_to"], call[1:], strict=False)))
