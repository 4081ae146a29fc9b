"""What the overview reads of the table: no more than its samples, however many rows there are.

``TEST_PLAN_ROWS`` is the size of the table.
"""

import os
from datetime import timedelta

import pytest
from django.conf import settings as django_settings

from django_future_celery.admin.agenda import agenda
from django_future_celery.admin.failures import failures
from django_future_celery.admin.samples import Samples
from django_future_celery.admin.tiles import due_by, tiles
from django_future_celery.admin.timings import timings
from django_future_celery.clock import to_datetime
from tests.plans import analyze, fill, insert, metered

pytestmark = pytest.mark.django_db(databases=list(django_settings.DATABASES), transaction=True)

SIZE = int(os.environ.get("TEST_PLAN_ROWS", "20000"))
SAMPLE = 100
#: What one statement may read: rows, or on SQLite steps, of which each hour takes a few for each row of a sample.
#: A scan of the table, or of what is due, is far more.
MOST = {"mysql": 1_000, "postgresql": 1_000, "sqlite": 20_000}


@pytest.mark.parametrize("filters", [{}, {"callable_name": "nowhere"}], ids=["all", "none"])
def test_the_overview_reads_its_samples_and_no_more(alias, rows, now, vendor, filters):
    moment = to_datetime(now)
    fill(alias, SIZE, ends=SIZE // 100, analyzed=False)
    failed = {"status": "'failed'", "error": "'KeyError: 1'", "execution_start": moment, "created_at": moment}
    for minutes in range(100):
        end = moment - timedelta(minutes=minutes)
        insert(alias, SIZE // 1000, **failed, execution_end=end, time_slot_start=moment, priority="0")
    analyze(alias)
    samples = Samples(rows.filter(**filters), most=SAMPLE)
    with metered(alias) as readings:
        due = due_by(samples, moment)
        found = [agenda(samples, moment, due), tiles(samples, moment, due), timings(samples), failures(samples)]
    assert all(found) or filters
    assert len(readings) < 50
    assert [each for each in readings if each.read > MOST[vendor]] == []
