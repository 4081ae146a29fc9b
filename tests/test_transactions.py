"""What careless jobs do to their transaction and their connections, and that the next job does not notice."""

import json
import threading
import time
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError, connections, transaction
from django.utils import timezone

from django_future_celery import job_as_parameter, non_atomic_job, run_jobs
from django_future_celery.runner import run_job
from django_future_celery.transactions import close_if_broken
from tests.factories import due_job, row_of
from tests.shop.models import Ledger, Order

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

#: Keeps suspended generators, and the blocks that they are in, alive.
suspended = []
#: Two sides of a deadlock, told in turn.
job_holds_its_row, other_holds_its_row = threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def collected():
    """Leaving such a block changes whichever connection is there by then, so each test does it in its own thread."""
    yield
    suspended.clear()


def write(job, entry):
    Ledger.objects.using(job._state.db).create(entry=entry)


def ledger(alias):
    return list(Ledger.objects.using(alias).order_by("pk").values_list("entry", flat=True))


def job_of(function, alias, *args):
    return due_job(alias, callable_name=f"{__name__}.{function.__name__}", args_text=json.dumps(args))


def in_a_worker(alias, *jobs):
    """Run the jobs one after another in one thread, as a worker does, which has connections of its own."""
    errors = []

    def work():
        try:
            for job in jobs:
                run_job(job.pk, 0, using=alias)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert not errors
    return [row_of(job) for job in jobs]


@job_as_parameter
def fine(job):
    write(job, "fine")


@non_atomic_job
@job_as_parameter
def manage_transactions(job, message):
    using = job._state.db
    transaction.set_autocommit(False, using=using)
    write(job, "committed")
    transaction.commit(using=using)
    write(job, "left open")
    if message:
        raise ValueError(message)
    return "fine"


@non_atomic_job
@job_as_parameter
def enter_and_stay(job, message):
    enter(job, job._state.db)
    if message:
        raise ValueError(message)


@job_as_parameter
def enter_and_stay_inside(job, using):
    enter(job, using)


def enter(job, using):
    def block():
        with transaction.atomic(using=using):
            write(job, "in a block that is never left")
            yield

    suspended.append(block())
    next(suspended[-1])


@job_as_parameter
def lose_a_deadlock(job, first, second):
    """Swallow the error, and go on as if nothing had been."""
    write(job, "first half")
    orders = Order.objects.using(job._state.db).select_for_update()
    orders.get(pk=first)
    job_holds_its_row.set()
    other_holds_its_row.wait(30)
    try:
        orders.get(pk=second)
    except OperationalError:
        write(job, "second half")


@job_as_parameter
def interrupt_after_the_commit(job):
    def interrupt():
        raise KeyboardInterrupt

    write(job, "committed")
    transaction.on_commit(interrupt, using=job._state.db)


@pytest.mark.parametrize(("message", "status"), [("", "complete"), ("why it failed", "failed")])
def test_a_job_that_manages_its_transactions_has_its_end_recorded(alias, message, status):
    row, after = in_a_worker(alias, job_of(manage_transactions, alias, message), job_of(fine, alias))

    assert row["status"] == status
    assert message in row["error"]
    assert after["status"] == "complete"
    assert ledger(alias) == ["committed", "fine"]


@pytest.mark.parametrize("message", ["", "why it failed"])
def test_a_block_that_is_never_left_fails_its_job_and_no_other(alias, message):
    row, *after = in_a_worker(alias, job_of(enter_and_stay, alias, message), job_of(fine, alias), job_of(fine, alias))

    assert row["status"] == "failed"
    assert (message or "left a transaction.atomic() open") in row["error"]
    assert [each["status"] for each in after] == ["complete", "complete"]
    assert ledger(alias) == ["fine", "fine"]


def test_a_block_that_is_never_left_inside_the_jobs_own_fails_it_too(alias, settings):
    for using in settings.DATABASES:
        row, after = in_a_worker(alias, job_of(enter_and_stay_inside, alias, using), job_of(fine, alias))

        assert (row["status"], after["status"]) == ("failed", "complete"), using
        assert f"open in {using}" in row["error"]
    assert set(ledger(alias)) == {"fine"}


def test_half_a_job_is_never_complete(alias, vendor):
    """MySQL rolls all of a deadlock's victim back, and then goes on in a new transaction."""
    if vendor == "sqlite":
        pytest.skip("one write lock, so no deadlocks")
    first, second = (Order.objects.using(alias).create() for _ in range(2))
    job = job_of(lose_a_deadlock, alias, first.pk, second.pk)
    worker = threading.Thread(target=in_a_worker, args=[alias, job])
    orders = Order.objects.using(alias)
    with transaction.atomic(using=alias):
        # The one that has changed less is the victim.
        orders.bulk_create(Order() for _ in range(300))
        orders.filter(pk=second.pk).update(note="held")
        worker.start()
        assert job_holds_its_row.wait(30)
        other_holds_its_row.set()
        time.sleep(0.5)  # PostgreSQL lets whoever has waited for a second look for the deadlock, and be its victim.
        orders.filter(pk=first.pk).update(note="held")
    worker.join(60)
    job_holds_its_row.clear()
    other_holds_its_row.clear()

    assert row_of(job)["status"] == "failed"
    assert ledger(alias) == []


def test_ctrl_c_in_a_hook_after_the_commit_ends_the_processing(alias):
    job, other = job_of(interrupt_after_the_commit, alias), job_of(fine, alias)
    with pytest.raises(KeyboardInterrupt):
        run_jobs(ignore_errors=True, using=alias)

    assert (row_of(job)["status"], row_of(other)["status"]) == ("complete", "scheduled")


@pytest.mark.parametrize("mode", ["IMMEDIATE", "DEFERRED"])
def test_a_start_that_had_to_wait_reads_the_clock_afterwards(alias, vendor, mode):
    """Or else it would begin after its slot, and with a lease that is over."""
    if mode == "DEFERRED" and vendor != "sqlite":
        pytest.skip("transactions begin this way in SQLite only")
    job = job_of(fine, alias)
    type(job).objects.using(alias).filter(pk=job.pk).update(time_slot_end=timezone.now() + timedelta(seconds=1))

    def work():
        connections[alias].ensure_connection()
        if vendor == "sqlite":
            connections[alias].transaction_mode = mode
        run_job(job.pk, 0, using=alias)
        connections[alias].close()

    worker = threading.Thread(target=work)
    with transaction.atomic(using=alias):
        type(job).objects.using(alias).filter(pk=job.pk).update(queue="held")
        worker.start()
        time.sleep(2)
    worker.join(60)

    assert row_of(job)["attempts"] == 0
    assert ledger(alias) == []


def cut_off(connection):
    connection.ensure_connection()
    kills = {
        "postgresql": lambda: ("SELECT pg_terminate_backend(%s)", connection.connection.info.backend_pid),
        "mysql": lambda: ("KILL %s", connection.connection.thread_id()),
    }
    other = connection.copy()
    statement, process = kills[connection.vendor]()
    with other.cursor() as cursor:
        cursor.execute(statement, [process])
    other.close()
    time.sleep(0.5)


def test_a_connection_that_was_cut_between_two_messages_fails_one_of_them(alias, vendor):
    if vendor == "sqlite":
        pytest.skip("a file is never cut off")
    job = job_of(fine, alias)
    cut_off(connections[alias])
    with pytest.raises((OperationalError, InterfaceError)):
        run_job(job.pk, 0, using=alias)
    close_if_broken(alias)

    assert run_job(job.pk, 0, using=alias).job.status == "complete"


def test_an_error_that_leaves_the_connection_whole_does_not_close_it(alias):
    connection = connections[alias]
    connection.ensure_connection()
    connection.errors_occurred, before = True, connection.connection
    close_if_broken(alias)

    assert (connection.errors_occurred, connection.connection) == (False, before)
