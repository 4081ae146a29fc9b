"""Jobs that do what no job should: they die, eat, hang a moment, and return or raise what cannot be told."""

import ctypes
import os
import resource
import signal
import threading
import time

from django.db import connections

from django_future_celery import job_as_parameter

from .jobs import write
from .models import Ledger, Order

MEGABYTE = 2**20

#: What a test and its job tell each other, in one process.
EVENTS = {name: threading.Event() for name in ("started", "released", "locked", "other locked")}


class Strange(BaseException):
    """No Exception, and nothing that Python or Celery knows."""


class Silent:
    """A value or an error that cannot say what it is."""

    def __str__(self):
        raise RuntimeError("no words")


class SilentError(Silent, Exception):
    pass


class UnpicklableError(Exception):
    def __init__(self, first, second):
        self.lock = threading.Lock()
        super().__init__(f"{first} and {second}")


class Slow:
    def __str__(self):
        time.sleep(1)
        return "at last"


def recurse():
    return recurse()


def grouped():
    raise ExceptionGroup("several", [ValueError("one"), ExceptionGroup("more", [KeyError("two")])])


RAISES = {
    "MemoryError": MemoryError,
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "SystemExit": SystemExit,
    "Strange": Strange,
    "SilentError": SilentError,
    "UnpicklableError": lambda: UnpicklableError(1, 2),
    "UnicodeError": lambda: ValueError("\0 and \udcff"),
    "TimeoutError": TimeoutError,
    "huge": lambda: ValueError("x" * 5 * MEGABYTE),
}

RETURNS = {
    "huge": lambda: "x" * 50 * MEGABYTE,
    "unstorable": lambda: "\0 and \udcff",
    "silent": Silent,
    "slow": Slow,
    "of no end": lambda: (loop := []).append(loop) or loop,
    "bytes": lambda: b"\xff\0",
    "false": lambda: False,
    "empty": str,
}


@job_as_parameter
def write_and_raise(job, name):
    write(job, "must be rolled back")
    if name == "RecursionError":
        recurse()
    if name == "ExceptionGroup":
        grouped()
    raise RAISES[name]()


@job_as_parameter
def write_and_return(job, name):
    write(job, f"returned {name}")
    return RETURNS[name]()


@job_as_parameter
def write_and_crash(job):
    """As a broken extension module does."""
    write(job, "must be rolled back")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


@job_as_parameter
def write_and_be_killed(job):
    """As the kernel does where memory is short."""
    write(job, "must be rolled back")
    os.kill(os.getpid(), signal.SIGKILL)


@job_as_parameter
def write_and_eat(job):
    """Ask for more memory than the process may have."""
    write(job, "must be rolled back")
    limit = resource.getrlimit(resource.RLIMIT_AS)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123, SIM115
    resource.setrlimit(resource.RLIMIT_AS, (used + 64 * MEGABYTE, limit[1]))
    try:
        return bytearray(1024 * MEGABYTE)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


@job_as_parameter
def write_in_threads(job):
    """Threads have connections, and so transactions, of their own."""

    def work():
        write(job, "by a thread")
        connections[job._state.db].close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    write(job, "by the job")


@job_as_parameter
def read_then_write(job):
    """What SQLite refuses if another process wrote in between, unless the transaction began with the lock."""
    seen = Ledger.objects.using(job._state.db).count()
    time.sleep(0.02)
    write(job, f"{job.pk} saw {seen}")


@job_as_parameter
def delete_own_row(job):
    write(job, "must be rolled back")
    type(job).objects.using(job._state.db).filter(pk=job.pk).delete()


@job_as_parameter
def wait_for_the_test(job, *given):
    """Write, then do nothing until the test has done what it does meanwhile."""
    write(job, "must be rolled back")
    EVENTS["started"].set()
    EVENTS["released"].wait(30)


@job_as_parameter
def delete_the_object(job, order):
    type(order).objects.using(job._state.db).filter(pk=order.pk).delete()
    write(job, f"order {order.pk} deleted")


@job_as_parameter
def increment_serializably(job, pk):
    """Read, let another commit in between, then write by what was read."""
    using = job._state.db
    with connections[using].cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    order = Order.objects.using(using).get(pk=pk)
    if job.attempts == 1:
        other = threading.Thread(target=update_elsewhere, args=[using, pk])
        other.start()
        other.join()
    order.note += f"attempt {job.attempts}"
    order.save()


def update_elsewhere(using, pk):
    Order.objects.using(using).filter(pk=pk).update(note="other, ")
    connections[using].close()


@job_as_parameter
def lock_both(job, first, second):
    """One side of a deadlock; the test is the other."""
    write(job, "must be rolled back")
    orders = Order.objects.using(job._state.db).select_for_update()
    orders.get(pk=first)
    EVENTS["locked"].set()
    EVENTS["other locked"].wait(30)
    orders.get(pk=second)
