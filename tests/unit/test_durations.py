from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone as django_timezone
from hypothesis import given
from hypothesis import strategies as st

from django_future_celery.durations import UNITS, end_of, start_of
from django_future_celery.exceptions import InvalidTime, InvalidTimeType

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2027, 3, 27, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_berlin(settings):
    settings.USE_TZ = True
    settings.TIME_ZONE = "Europe/Berlin"


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("5s", timedelta(seconds=5)),
        ("5m", timedelta(minutes=5)),
        ("5h", timedelta(hours=5)),
        ("5d", timedelta(days=5)),
        ("5w", timedelta(weeks=5)),
        ("0s", timedelta()),
        ("1d12h", timedelta(hours=36)),
        ("12h1d", timedelta(hours=36)),
        (" 1d 12 h\n", timedelta(hours=36)),
        ("P1W2DT3H4M5S", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)),
        ("P2W", timedelta(weeks=2)),
        ("PT1M", timedelta(minutes=1)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("PT1,000001S", timedelta(seconds=1, microseconds=1)),
    ],
)
def test_offsets_and_durations_count_from_now(text, offset):
    assert start_of(text, now=NOW) == NOW + offset


def test_a_timedelta_counts_from_now():
    assert start_of(timedelta(hours=1), now=NOW) == NOW + timedelta(hours=1)
    assert start_of(timedelta(), now=NOW) == NOW


@given(
    st.permutations(list(UNITS.items())),
    st.lists(st.integers(0, 9999), min_size=1, max_size=5),
)
def test_a_compound_is_the_sum_of_its_pieces_in_any_order(units, numbers):
    pieces = list(zip(numbers, units, strict=False))
    text = "".join(f"{number}{suffix}" for number, (suffix, _) in pieces)
    total = sum((timedelta(**{name: number}) for number, (_, name) in pieces), timedelta())
    assert start_of(text, now=NOW) == NOW + total


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "5", "5.5", "-5d", "+5d", "5.5d", "5x", "5D", "d", "5d5", "1d1d", "٥d", "P", "PT", "P1DT"),
        *("P1Y", "P1M", "P1Y2D", "PT1H1H", "-P1D", "p1d", "tomorrow", "2027-01-01", "20270101", "2027-W01-1"),
        *("2027010112345", "2027-02-30T09:00", "2027-01-01T25:00", "2027-01-01x09:00", "9" * 5000 + "d"),
        *("99999999999d", "9999999w", "P99999999999D", "2027-01-01T09:00+25:00"),
    ],
)
def test_text_that_says_no_time_is_refused_by_name(text):
    with pytest.raises(InvalidTime) as refusal:
        start_of(text, now=NOW)
    assert repr(text.strip()) in str(refusal.value) or repr(text) in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("5", "has no unit"),
        ("-5d", "has a sign"),
        ("P1M", "no fixed length"),
        ("1d1d", "twice"),
        ("2027-01-01", "without a time"),
        ("2027-02-30T09:00", "day"),
    ],
)
def test_a_refusal_tells_the_reason(text, reason):
    with pytest.raises(InvalidTime, match=reason):
        start_of(text, now=NOW)


@pytest.mark.parametrize("value", [5, 5.0, True, None, date(2027, 1, 1), b"5d", object(), ["5d"]])
def test_a_value_of_another_type_is_refused_by_its_type(value):
    with pytest.raises(InvalidTimeType, match=type(value).__name__) as refusal:
        start_of(value, now=NOW)
    assert repr(value) in str(refusal.value)
    assert isinstance(refusal.value, TypeError)


def test_a_negative_offset_is_refused():
    with pytest.raises(InvalidTime, match="negative"):
        start_of(timedelta(seconds=-1), now=NOW)


@pytest.mark.parametrize(
    "value",
    [
        timedelta.max,
        datetime.min,
        datetime.max.replace(tzinfo=timezone.min),
        "9999-12-31T12:00Z",  # the year 10000 in half of the world
        "0001-01-01T12:00Z",
    ],
)
def test_a_time_outside_the_calendar_is_refused(value):
    with pytest.raises(InvalidTime, match="years 1 to 9999"):
        start_of(value, now=NOW)


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2027-01-01T09:00", datetime(2027, 1, 1, 8, tzinfo=UTC)),
        ("2027-01-01 09:00:30.5", datetime(2027, 1, 1, 8, 0, 30, 500_000, tzinfo=UTC)),
        ("2027-01-01T09:00Z", datetime(2027, 1, 1, 9, tzinfo=UTC)),
        ("2027-01-01T09:00-05:00", datetime(2027, 1, 1, 14, tzinfo=UTC)),
        (datetime(2027, 7, 1, 9), datetime(2027, 7, 1, 7, tzinfo=UTC)),
        (datetime(2027, 7, 1, 9, tzinfo=ZoneInfo("Asia/Tokyo")), datetime(2027, 7, 1, tzinfo=UTC)),
        (datetime(1999, 1, 1, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_datetime_becomes_utc(value, instant):
    start = start_of(value, now=NOW)
    assert (start, start.tzinfo) == (instant, UTC)


def test_a_naive_datetime_is_in_the_current_time_zone():
    with django_timezone.override("Asia/Tokyo"):
        assert start_of("2027-01-01T09:00", now=NOW) == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", ["2027-03-28T02:30", datetime(2027, 3, 28, 2, 30), datetime(2027, 3, 28, 2, 30, fold=1, tzinfo=BERLIN)]
)
def test_a_local_time_that_the_clocks_skip_is_refused_with_its_zone(value):
    with pytest.raises(InvalidTime, match="02:30:00 does not exist in Europe/Berlin"):
        start_of(value, now=NOW)


@pytest.mark.parametrize(("fold", "hour"), [(0, 0), (1, 1)])
def test_fold_chooses_between_two_equal_local_times(fold, hour):
    assert start_of(datetime(2027, 10, 31, 2, 30, fold=fold), now=NOW) == datetime(2027, 10, 31, hour, 30, tzinfo=UTC)


def test_offsets_are_elapsed_time_across_a_clock_change():
    local = datetime(2027, 3, 27, 12, tzinfo=BERLIN)
    assert start_of("1d", now=local) == datetime(2027, 3, 28, 11, tzinfo=UTC)
    assert start_of("1d", now=local).tzinfo is UTC


def test_without_zones_offsets_are_naive_arithmetic(settings):
    settings.USE_TZ = False
    assert start_of("1d", now=datetime(2027, 3, 27, 12)) == datetime(2027, 3, 28, 12)


def test_without_zones_aware_datetimes_go_to_the_default_zone_and_naive_ones_stay(settings):
    settings.USE_TZ = False
    naive = datetime(2027, 1, 1, 9)
    with django_timezone.override("Asia/Tokyo"):
        assert start_of("2027-01-01T08:00Z", now=naive) == naive
        assert start_of(naive, now=naive) == naive


def test_the_end_counts_from_the_start():
    assert end_of("7d", start=NOW) == NOW + timedelta(days=7)
    assert end_of(timedelta(microseconds=1), start=NOW) == NOW + timedelta(microseconds=1)
    assert end_of("2027-03-27T13:00:01", start=NOW) == NOW + timedelta(seconds=1)


def test_no_end_is_none():
    assert end_of(None, start=NOW) is None


@pytest.mark.parametrize("value", ["0s", timedelta(), NOW, "2027-03-27T13:00", "1999-01-01T00:00", timedelta(-1)])
def test_an_end_that_is_not_after_the_start_is_refused(value):
    with pytest.raises(InvalidTime):
        end_of(value, start=NOW)


def test_an_end_of_another_type_is_refused():
    with pytest.raises(InvalidTimeType):
        end_of(7, start=NOW)
