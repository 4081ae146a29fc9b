"""How the jobs of one database are doing. All is read by index and counts are capped: the table may be any size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import DatabaseError, InterfaceError, connections

from django_future_celery.clock import SECOND, database_now, to_micros
from django_future_celery.conf import settings
from django_future_celery.models import Process, ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet
from django_future_celery.states import TICKING
from django_future_celery.text import one_line

#: So many rows of each kind are counted; this number means as many or more.
MOST = 1000
#: A job whose message was sent so often has no worker that takes it, even if a few messages were lost.
OFTEN = 5


class Waiting(NamedTuple):
    """A job that is due and has not started."""

    queue: str
    #: Seconds since it became due, or since it was scheduled if that was later.
    age: float
    sent: bool
    dispatches: int


class Seen(NamedTuple):
    """A process, and the seconds since it was seen last."""

    kind: str
    name: str
    age: float


@dataclass(frozen=True)
class Checkup:
    """What was found in one database. Counts are by queue, and end at MOST."""

    due: Counter[str]
    sent: Counter[str]
    late: Counter[str]
    running: Counter[str]
    #: Seconds since the job that waits longest became due.
    oldest: float
    #: Runs whose lease was over a whole lease ago, and which nobody has ended.
    lost: int
    #: Jobs that were sent OFTEN times or more, and that no worker has started.
    unanswered: int
    processes: list[Seen]

    @property
    def tick_age(self) -> float | None:
        """Seconds since a beat or the command looked for due jobs; None if none did within a day."""
        return min((each.age for each in self.processes if each.kind in TICKING), default=None)

    def figures(self) -> dict[str, Any]:
        """Give the numbers, and no names."""
        counts = {"due": self.due, "sent": self.sent, "late": self.late, "running": self.running}
        return {name: count.total() for name, count in counts.items()} | {
            "lost": self.lost,
            "unanswered": self.unanswered,
            "oldest_due_seconds": round(self.oldest, 1),
            "last_tick_seconds": None if self.tick_age is None else round(self.tick_age, 1),
        }


@dataclass(frozen=True)
class Limits:
    """What is too long, in seconds."""

    due_age: float = 300.0
    #: At least three sleeps of a beat, for it ticks no more often.
    tick_age: float = field(default_factory=lambda: max(60.0, 3 * settings.TICK_SECONDS))


@dataclass(frozen=True)
class Report:
    """What is wrong in one database, by a word for programs: late, lost, unanswered, silent, away."""

    problems: dict[str, str]
    #: None if the database did not answer.
    checkup: Checkup | None = None


def report(using: str, limits: Limits) -> Report:
    """Look at a database, and tell what is wrong there."""
    try:
        checkup = look(using, database_now(using), limits.due_age)
    except (DatabaseError, InterfaceError) as error:
        connections[using].close()
        return Report({"away": f"The database does not answer: {one_line(error)}"})
    return Report(dict(problems(checkup, limits)), checkup)


def problems(checkup: Checkup, limits: Limits) -> Iterator[tuple[str, str]]:
    if number := checkup.late.total():
        yield "late", f"Jobs that have been due for more than {limits.due_age:.0f} s and have not started: {number}."
    if number := checkup.lost:
        yield "lost", f"Runs that are lost and that nobody ends: {number}."
    if number := checkup.unanswered:
        yield "unanswered", f"Jobs that were sent again and again and that no worker has started: {number}."
    if checkup.tick_age is None:
        yield "silent", "No beat and no runscheduledjobs was seen here."
    elif checkup.tick_age > limits.tick_age:
        yield "silent", f"The last look for due jobs was {checkup.tick_age:.0f} s ago."


def look(using: str, now: int, due_age: float) -> Checkup:
    """Look at a database.

    Args:
        now: its clock, in microseconds since 1970 UTC.
        due_age: seconds after which a job that is due is late.
    """
    objects: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    waiting = [*due(objects, now), *sent(objects, now)]
    lease = int(settings.RUN_LEASE_SECONDS * SECOND)
    return Checkup(
        due=Counter(job.queue for job in waiting if not job.sent),
        sent=Counter(job.queue for job in waiting if job.sent),
        late=Counter(job.queue for job in waiting if job.age > due_age),
        running=Counter(objects.in_progress().values_list("queue", flat=True)[:MOST]),
        oldest=max((job.age for job in waiting), default=0.0),
        lost=objects.lost(now - lease)[:MOST].count(),
        unanswered=sum(job.dispatches >= OFTEN for job in waiting),
        processes=list(processes(using, now)),
    )


def due(objects: ScheduledJobQuerySet, now: int) -> Iterator[Waiting]:
    """The jobs that no beat has handed over; of each priority at least the first one."""
    rows, room = objects.scheduled().woken(now).filter(dispatched_at=None), MOST
    for priority in objects.priorities():
        page = rows.level(priority).values_list("queue", "wake_at", "created_at")[: max(room, 1)]
        for queue, wake_at, created_at in page:
            room -= 1
            yield Waiting(queue, seconds(now, since=[wake_at or 0, to_micros(created_at)]), sent=False, dispatches=0)


def sent(objects: ScheduledJobQuerySet, now: int) -> Iterator[Waiting]:
    """The jobs that have a message out, those first that were sent first."""
    columns = ("queue", "time_slot_start", "created_at", "dispatched_at", "attempts", "dispatches")
    rows = objects.sent().order_by("dispatched_at", "wake_at").values_list(*columns)
    for queue, start, created_at, dispatched_at, attempts, dispatches in rows[:MOST]:
        # When the next attempt of a job became due is not kept.
        since = [dispatched_at] if attempts else [start, created_at]
        yield Waiting(queue, seconds(now, since=map(to_micros, since)), sent=True, dispatches=dispatches)


def processes(using: str, now: int) -> Iterator[Seen]:
    """The processes that were seen within a day, the last one first."""
    rows = Process.objects.using(using).order_by("-seen").values_list("kind", "name", "seen")
    return (Seen(kind, name, seconds(now, since=[seen])) for kind, name, seen in rows[:MOST])


def seconds(now: int, *, since: Iterable[int]) -> float:
    return max(0, now - max(since)) / SECOND
