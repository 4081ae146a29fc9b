"""Several jobs that one process runs one after another: the commit that completes one also starts the next.

So each job has a durable commit of its own, and no more. Whatever keeps the next one from being started that way, its
row locked, moved or ended, hooks after a commit, an error, costs only that: it is then started by itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from typing import Any

from django_future_celery.clock import Watch, database_now, to_datetime
from django_future_celery.models import ScheduledJob
from django_future_celery.querysets import ScheduledJobQuerySet, is_open
from django_future_celery.rows import twin
from django_future_celery.runner import (
    Outcome,
    Run,
    adopt,
    finish_and_start,
    missing_code,
    start,
    start_read,
    take_back,
)

FOREVER = float("inf")


@dataclass(eq=False)
class Batch:
    """Gives the outcomes of the jobs, in order, each run at most once.

    Args:
        jobs: as they were read; what must be true of the rows is checked at each start.
        watch: tells the database's time, if that was asked when they were read.
        message_id: of the Celery message that they came with, or ''.
        seconds: after so long no further job is started; the first one always is.
        stop: whether no further job is to be started.
        now: replaces the database's clock where slots are checked.
        started: is told of each job that was started.
    """

    using: str
    jobs: InitVar[Iterable[ScheduledJob]]
    watch: Watch | None = None
    message_id: str = ""
    seconds: float = FOREVER
    stop: Callable[[], bool] = lambda: False
    now: datetime | None = None
    started: Callable[[ScheduledJob], None] = lambda job: None
    waiting: deque[ScheduledJob] = field(init=False)
    #: The job, as (id, attempts), that the commit of the one before it was to start, and when, in microseconds.
    tried: tuple[int, int, int] | None = field(default=None, init=False)
    began: float | None = field(default=None, init=False)

    def __post_init__(self, jobs: Iterable[ScheduledJob]) -> None:
        self.waiting = deque(jobs)

    def __iter__(self) -> Iterator[Outcome]:
        run = self.start_next()
        self.began = time.monotonic()
        while run is not None:
            self.watch = run.watch
            self.started(run.job)
            outcome, run = self.finish(run)
            try:
                yield outcome
            except GeneratorExit:
                if run is not None:
                    take_back(run)
                raise
            run = run or self.start_next()

    def is_over(self) -> bool:
        """Whether no further job is to be started."""
        return self.began is not None and (time.monotonic() - self.began >= self.seconds or self.stop())

    def start_next(self) -> Run | None:
        """Start the first of the waiting jobs whose row can be won."""
        while not self.is_over() and (job := self.take()) is not None:
            how: dict[str, Any] = {"message_id": self.message_id, "now": self.now}
            if self.watch is not None:
                run = start_read(job, self.watch, **how)
            else:
                run = start(job.pk, job.attempts, using=self.using, **how)
            if run is not None:
                return run
        return None

    def finish(self, run: Run) -> tuple[Outcome, Run | None]:
        """Finish a run; give the run of the following job, too, if it has been started by the same commit."""
        self.tried = None
        outcome, following = finish_and_start(run, self.next_to_start, self.find_tried)
        if following is not None:
            self.take()
        return outcome, following

    def next_to_start(self, now: int) -> ScheduledJob | None:
        """Name the next job, unless no further one is to be started, or it is better started by itself."""
        job = self.waiting[0] if self.waiting and not self.is_over() else None
        if job is None or not is_open(job, self.now or to_datetime(now)) or missing_code(job):
            return None
        self.tried = (job.pk, job.attempts, now)
        return twin(job)  # What waits stays as it was read: a start may yet be rolled back.

    def find_tried(self) -> Run | None:
        """Give the run of the next job if it was started by a commit whose answer was lost."""
        if self.tried is None:
            return None
        pk, attempts, clock = self.tried
        return adopt(pk, attempts + 1, clock, using=self.using, message_id=self.message_id)

    def take(self) -> ScheduledJob | None:
        try:
            return self.waiting.popleft()
        except IndexError:  # Also between a look and this: another thread may release what waits.
            return None

    def release(self) -> None:
        """Have the jobs that were not started run elsewhere: their rows are due as before."""
        rest = list(iter(self.take, None))
        if rest:
            release(self.using, rest)


def release(using: str, jobs: Sequence[ScheduledJob]) -> int:
    """Take back the lease of jobs that came with a message and were not started."""
    rows: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    now = database_now(using)
    for job in jobs:
        # Where they were in the queue: a job that waits for its next attempt does not say since when.
        job.wake_at = now if job.attempts else min(job.due_at, now)
    return rows.release(jobs)


def read(using: str, pairs: Iterable[tuple[int, int]]) -> tuple[list[ScheduledJob], Watch | None]:
    """Read the jobs ``(id, attempts)`` of a message, in its order, that still wait; and the time, if there are any."""
    rows: ScheduledJobQuerySet = ScheduledJob.objects.using(using)
    order = {(pk, attempts): number for number, (pk, attempts) in enumerate(pairs)}
    jobs = [
        job
        for job in rows.scheduled().filter(pk__in=[pk for pk, _ in order]).to_run().with_clock()
        if (job.pk, job.attempts) in order
    ]
    watch = Watch(max(job.clock for job in jobs)) if jobs else None  # type: ignore[attr-defined]
    return sorted(jobs, key=lambda job: order[job.pk, job.attempts]), watch
