"""What is known of a run, from witnesses that do not ask each other: rows, the jobs' writes, a trigger, and a file."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

#: The statuses that nothing may leave; written here anew, as the package is not asked.
END_STATES = {"complete", "failed", "expired", "cancelled"}


@dataclass(frozen=True)
class Job:
    """The row of a job when all was over, and what was planned for it."""

    id: int
    status: str
    attempts: int
    max_attempts: int
    time_slot_start: datetime
    time_slot_end: datetime | None
    error: str
    raises: bool = False
    #: All that it writes is in one transaction with its end.
    atomic: bool = True
    #: Somebody tried to cancel it.
    cancelled: bool = False

    @property
    def ended(self):
        return self.status in END_STATES


@dataclass(frozen=True)
class Start:
    """The callable was entered."""

    job: int
    attempt: int
    at: float


@dataclass(frozen=True)
class Change:
    """One UPDATE that changed a job's status, or any that changed the row after its end."""

    job: int
    old: str
    new: str
    old_attempts: int
    attempts: int
    #: How many messages the row had when it was changed.
    old_dispatches: int
    wake_at: int | None
    execution_start: datetime | None
    at: datetime
    #: Its number in the database.
    transaction: int | None = None


@dataclass(frozen=True)
class Evidence:
    planned: set[int] = field(default_factory=set)
    jobs: list[Job] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    #: (job, attempt) of what the jobs wrote in their transactions.
    entries: list[tuple[int, int]] = field(default_factory=list)
    #: (job, attempt) of what ran after the commits of jobs.
    hooks: list[tuple[int, int]] = field(default_factory=list)
    #: In the order in which they were made.
    changes: list[Change] = field(default_factory=list)


def collect(planned, file):
    """Read everything; ``planned`` has the task of each job's id."""
    from tests.chaos.witness.models import Entry

    return Evidence(
        planned=set(planned),
        jobs=list(read_jobs(planned)),
        starts=[Start(int(job), int(attempt), float(at)) for job, attempt, at in read_marks("start", file)],
        entries=list(Entry.objects.values_list("job", "attempt")),
        hooks=[(int(job), int(attempt)) for job, attempt, _ in read_marks("hook", file)],
        changes=list(read_changes()),
    )


def read_jobs(planned):
    from django_future_celery.models import ScheduledJob

    columns = ("id", "status", "attempts", "max_attempts", "time_slot_start", "time_slot_end", "error")
    for row in ScheduledJob.objects.order_by("id").values(*columns):
        task = planned[row["id"]]
        yield Job(**row, raises=task.raises, atomic=task.atomic, cancelled=task.cancel is not None)


def read_marks(wanted, file):
    lines = Path(file).read_text().splitlines() if Path(file).exists() else []
    for word, *rest in map(str.split, lines):
        if word == wanted:
            yield rest


def read_changes():
    from tests.chaos.witness.models import Change as Row

    for row in Row.objects.order_by("id").values():
        del row["id"]
        yield Change(**row)
