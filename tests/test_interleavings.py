"""Two changes of one row at the same moment: they come to what one of the two orders would have come to.

Each pair is made in both orders, one after the other, and then overlapping: the first has changed the row and has not
committed yet when the second begins. Whoever takes rows with SKIP LOCKED may pass over the row instead, and all others
wait. SQLite has one writer at a time, so there two changes are in one order or the other in any case.
"""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from functools import cache
from itertools import product

import pytest
from django.db import connections, transaction

from django_future_celery.clock import SECOND, to_datetime
from django_future_celery.dispatcher import take_due
from django_future_celery.models import ScheduledJob
from django_future_celery.recovery import recover
from tests.factories import due_job, started_job
from tests.model.clock import clock_in_hand

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

HOUR = timedelta(hours=1)
#: How long the second is given to come to the row that the first holds, in seconds. A machine too slow for that makes
#: one after the other of it, which must do no harm either.
OVERLAP = 0.03
#: Nobody waits for longer than this once the other is done.
PATIENCE = 20

# -- the arrows: each gives what it did -------------------------------------------------------------------------------


def lease(rows, job, now):
    return len(rows.lease([job], now))


def take(rows, job, now):
    return len(take_due(rows.db, now).ready)


def release(rows, job, now):
    return rows.release([job])


def put_off(rows, job, now):
    rows.put_off([job], now)


def move(rows, job, now):
    job.time_slot_start += HOUR
    return rows.edit(job, job.due_at)


def raise_priority(rows, job, now):
    job.priority = 7
    return rows.edit(job, job.due_at)


def start(rows, job, now):
    return rows.start(job.pk, job.attempts, worker="host:2", task_id="") is not None


def start_chained(rows, job, now):
    """The commit that completes another job starts this one."""
    other = started_job(rows.db, time_slot_end=None)
    with transaction.atomic(using=rows.db):
        return rows.complete_and_start(other, "result", now, job, task_id="")[1]


def wait_for_code(rows, job, now):
    return rows.start(job.pk, job.attempts, worker="host:2", task_id="", missing=lambda job: "no code") is not None


def expire(rows, job, now):
    return rows.filter(pk=job.pk).expire(to_datetime(now) + 24 * HOUR)


def cancel(rows, job, now):
    return rows.filter(pk=job.pk).cancel()


def delete(rows, job, now):
    return rows.filter(pk=job.pk).delete()[0]


def renew(rows, job, now):
    return rows.renew([(job.pk, job.attempts)])


def complete(rows, job, now):
    return rows.complete(job, "result", to_datetime(now))


def complete_and_start(rows, job, now):
    """The commit that completes this job starts another one."""
    following = due_job(rows.db, time_slot_end=None)
    rows.filter(pk=following.pk).update(wake_at=now + 3600 * SECOND)
    with transaction.atomic(using=rows.db):
        return rows.complete_and_start(job, "result", now, following, task_id="")[0]


def fail(rows, job, now):
    return rows.fail(job, "Traceback", to_datetime(now))


def try_again(rows, job, now):
    return rows.try_again(job, "Traceback", to_datetime(now), now + SECOND)


def stop(rows, job, now):
    return rows.stop(job, "Traceback", to_datetime(now))


def give_back(rows, job, now):
    return rows.give_back(job, "no code", now)


def recover_all(rows, job, now):
    done = recover(rows.db, now)
    return done.failed + done.again


#: What a row may be, and what may come to it then.
ARROWS = {
    "due": (lease, take, put_off, move, start, start_chained, wait_for_code, expire, cancel, delete, recover_all),
    "sent": (release, lease, take, put_off, raise_priority, start, start_chained, cancel),
    "lost": (
        renew,
        complete,
        complete_and_start,
        fail,
        try_again,
        stop,
        give_back,
        recover_all,
        delete,
        cancel,
        start,
        take,
    ),
    "lost, with attempts left": (renew, complete, complete_and_start, try_again, stop, cancel, recover_all),
}

#: Those that pass over a row that somebody else holds, and find it again later.
PASS_OVER = {take, start, start_chained, wait_for_code, renew, recover_all}
#: Those that may be part of a transaction of a job or of the project, however long that is. The transactions of all
#: others are over at once; on MariaDB, they may hold the neighbour of a row in an index as well.
IN_ANY_TRANSACTION = {complete, complete_and_start, move, raise_priority, cancel, delete}
#: Of two of these, whether the same twice or not, one wins at most.
ONE_WINNER = (
    {lease, take},
    {start, start_chained, expire},
    {complete, complete_and_start, fail, try_again, stop, give_back, recover_all},
)


class Row:
    """A row, and two processes that have read it."""

    def __init__(self, what, alias, now):
        self.rows, self.now = ScheduledJob.objects.using(alias), now
        hour = HOUR // timedelta(microseconds=1)
        slot = {"time_slot_start": to_datetime(now - hour), "time_slot_end": to_datetime(now + hour)}
        with transaction.atomic(using=alias):
            self.rows.all().delete()
            job = due_job(alias, **slot, max_attempts=1 + ("attempts left" in what))
            if what == "sent":
                self.rows.lease([job], now - hour)
            if what.startswith("lost"):
                self.rows.start(job.pk, 0, worker="host:1", task_id="task")
            self.rows.update(wake_at=now - SECOND)
            self.pk = job.pk
            self.jobs = [self.rows.get(), self.rows.get()]

    def change(self, arrow, process):
        return int(arrow(self.rows, self.jobs[process], self.now) or 0)

    def seen(self):
        row = self.rows.filter(pk=self.pk).values().first()
        return row and {name: value for name, value in row.items() if name not in ("id", "created_at")}


def in_order(row, *changes):
    """Make the changes, ``(arrow, process)``; give what each process did, and the row."""
    did = [0, 0]
    for arrow, process in changes:
        did[process] = row.change(arrow, process)
    return *did, row.seen()


def overlapping(row, first, second, pool, rolled_back):
    """The first has done its work when the second begins, and commits, or not, while the second may be waiting."""
    with transaction.atomic(using=row.rows.db):
        one = row.change(first, 0)
        other = pool.submit(row.change, second, 1)
        never_waits = first in IN_ANY_TRANSACTION and second in PASS_OVER
        wait([other], PATIENCE if never_waits else OVERLAP)
        assert other.done() or not never_waits, f"{second.__name__} waits for the transaction of {first.__name__}"
        transaction.set_rollback(rolled_back, using=row.rows.db)
    return 0 if rolled_back else one, other.result(PATIENCE), row.seen()


def orders(first, second, rolled_back):
    """The orders of which one must come out."""
    one, other = (first, 0), (second, 1)
    if rolled_back:
        return [[other], *([[]] if second in PASS_OVER else [])]
    return [[one, other], [other, one], *([[one]] if second in PASS_OVER else [])]


def two_winners(first, second, came_out):
    return any({first, second} <= group for group in ONE_WINNER) and sum(came_out[:2]) > 1


@pytest.fixture
def new_row(alias, settings):
    """Makes rows that are the same each time, on a clock that stands still."""
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time, so nothing overlaps")
    settings.FUTURE_CELERY_RETRY_BACKOFF_SECONDS = 0
    with clock_in_hand() as hand:
        yield lambda what: Row(what, alias, hand.now)


@pytest.fixture
def pool():
    """A thread with connections of its own."""
    with ThreadPoolExecutor(1) as pool:
        yield pool
        pool.submit(connections.close_all).result(PATIENCE)


@pytest.mark.parametrize("rolled_back", [False, True], ids=["committed", "rolled back"])
@pytest.mark.parametrize("what", ARROWS)
def test_two_changes_at_a_time_are_as_one_after_the_other(alias, new_row, pool, what, rolled_back):
    """The second finds what the first has committed, and nothing of what was rolled back."""

    @cache
    def after(*changes):
        with transaction.atomic(using=alias):
            try:
                return in_order(new_row(what), *changes)
            finally:
                transaction.set_rollback(True, using=alias)

    strange = {}
    for first, second in product(ARROWS[what], repeat=2):
        came_out = overlapping(new_row(what), first, second, pool, rolled_back)
        possible = [after(*changes) for changes in orders(first, second, rolled_back)]
        if came_out not in possible or two_winners(first, second, came_out):
            strange[first.__name__, second.__name__] = came_out
    assert strange == {}
