"""One fault each, at the moment at which it does the most harm: what a storm may take hours to hit."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tests.chaos.oracle import commits_start_the_next_job, every_job_is_complete, every_start_follows_one_message
from tests.chaos.plan import Task
from tests.chaos.stage import sleep_until
from tests.processes import wait_until

#: Long enough for any number of starts of a process, on a busy machine.
PATIENT = 60

NEVER = 3600.0

QUICK = Task()

#: So many jobs that are due together share messages, three each, in their order.
SHARING = 24


@dataclass(frozen=True)
class Scenario:
    play: Callable
    settings: dict = field(default_factory=dict)
    #: Seconds that its jobs may take to end when the play is over.
    limit: float = 30
    #: What must hold besides that which always must.
    checks: tuple[Callable, ...] = ()


def calm(stage):
    """Many jobs due at once, and nothing goes wrong: each is sent once and started once."""
    stage.worker()
    stage.beat("beat1")
    stage.beat("beat2")
    stage.schedule(*[Task(max_attempts=3)] * 150)


def frozen(stage):
    """A worker is frozen inside jobs; it wakes when the next attempt runs elsewhere, or when the job has failed."""
    sleeper = stage.worker("sleeper")
    stage.beat()
    again, once = stage.schedule(Task(seconds=(2, 12), max_attempts=3), Task(seconds=(2,)))
    wait_for_entry(stage, again, once)
    sleeper.freeze()
    stage.worker("other")
    wait_until(lambda: row(stage, once).status == "failed", PATIENT, "the end of the lost run")
    wait_until(lambda: row(stage, again).attempts == 2, PATIENT, "the second attempt")
    sleeper.thaw()


def revenant(stage):
    """A frozen worker wakes and goes on with its job, while the worker that has taken the job over is killed."""
    sleeper = stage.worker("sleeper")
    stage.beat()
    [again] = stage.schedule(Task(seconds=(90, 90, 0), max_attempts=5))
    wait_for_entry(stage, again)
    sleeper.freeze()
    other = stage.worker("other")
    wait_until(lambda: row(stage, again).attempts == 2, PATIENT, "the second attempt")
    sleeper.thaw()
    # One heartbeat at least, of both.
    time.sleep(2 * stage.settings["FUTURE_CELERY_HEARTBEAT_SECONDS"])
    kill(other)


def killed(stage):
    """A worker is killed inside jobs: one may be tried again, the other may not. Behind each, others wait."""
    worker = stage.worker()
    stage.beat()
    again, once = Task(seconds=(30, 0), max_attempts=3), Task(seconds=(30, 0))
    jobs = stage.schedule(*shared([again, QUICK, QUICK, once]))
    wait_for_entry(stage, jobs[0], jobs[3])
    kill(worker)
    stage.restart(worker)


def flushed(stage):
    """The broker forgets the messages before a worker has seen them."""
    stage.beat()
    jobs = stage.schedule(*[Task()] * 3)
    wait_until(lambda: all(row(stage, job).dispatches for job in jobs), PATIENT, "the messages")
    time.sleep(1)
    stage.flush()
    stage.worker()


def copies(stage):
    """Of a job that raises, a second message waits behind the first: it must not jump the pause."""
    stage.beat()
    [job] = stage.schedule(Task("write_and_raise", max_attempts=2))
    wait_until(lambda: row(stage, job).dispatches >= 2, PATIENT, "the second message")
    time.sleep(1)
    # One process: with two of them, the second message may come while the first is at work.
    stage.worker(processes=1)


def stale(stage):
    """The message of a job that was cancelled, and that of a job whose slot is over, reach a worker."""
    beat = stage.beat()
    cancelled, late = stage.schedule(Task(cancel=0.0), Task(expires="12s"))
    wait_until(lambda: row(stage, cancelled).dispatches and row(stage, late).dispatches, PATIENT, "the messages")
    time.sleep(1)
    kill(beat)
    cancelled.cancel()
    sleep_until(late.time_slot_end + timedelta(seconds=1))
    stage.worker()
    time.sleep(5)
    stage.restart(beat)


def overdue(stage):
    """The slot of a job ends while it waits for its second attempt: it was started, so it is not expired."""
    worker = stage.worker()
    stage.beat()
    [job] = stage.schedule(Task("write_and_raise", max_attempts=3, expires="20s"))
    wait_until(lambda: row(stage, job).failures, PATIENT, "the end of the first attempt")
    kill(worker)


def between(stage):
    """While a job of a message runs, the next one is cancelled, or is tried by another process, or its slot ends."""
    beat = stage.beat()
    slow, raising = Task(seconds=(6,)), Task("write_and_raise", max_attempts=2)
    tasks = [slow, Task(cancel=0.0), QUICK, slow, raising, QUICK, QUICK, Task(expires="12s"), QUICK]
    jobs = stage.schedule(*shared(tasks))
    wait_until(lambda: all(row(stage, job).dispatches for job in jobs), PATIENT, "the messages")
    time.sleep(1)
    kill(beat)
    sleep_until(jobs[7].time_slot_end + timedelta(seconds=1))
    stage.worker()
    wait_for_entry(stage, jobs[0], jobs[3])
    jobs[1].cancel()
    stage.run(jobs[4])
    wait_until(lambda: all(row(stage, job).status == "complete" for job in (jobs[0], jobs[3])), PATIENT, "their ends")
    time.sleep(1)
    stage.restart(beat)


def orphaned(stage):
    """A job takes its process along: those that wait in its message are run by another one, though no lease ends."""
    stage.worker()
    stage.beat()
    stage.schedule(*shared([Task("exit_first", seconds=(1, 0), max_attempts=2)]))


def behind(stage):
    """Jobs wait in the message of a long one: they are run by another process while it still runs."""
    stage.worker()
    stage.beat()
    long, *others = stage.schedule(*shared([Task(seconds=(30,))]))
    wait_for_entry(stage, long)
    wait_until(lambda: stage.ended() == len(others), 25, "the end of the jobs behind a long one")


def unanswered(stage):
    """The commit of a job succeeds, and the connection is cut before the worker hears of it."""
    stage.worker()
    stage.beat()
    stage.schedule(*shared([Task("lose_answer")]))
    wait_until(stage.cut_commits, PATIENT, "the commit")


SCENARIOS = {
    "calm": Scenario(
        calm,
        {"FUTURE_CELERY_DISPATCH_LEASE_SECONDS": NEVER},
        checks=(every_start_follows_one_message, commits_start_the_next_job),
    ),
    "frozen": Scenario(frozen),
    "revenant": Scenario(revenant, limit=20),
    "killed": Scenario(killed),
    "flushed": Scenario(flushed, limit=20),
    "copies": Scenario(
        copies, {"FUTURE_CELERY_RETRY_BACKOFF_SECONDS": 10.0, "FUTURE_CELERY_RETRY_BACKOFF_MAX_SECONDS": 10.0}
    ),
    "stale": Scenario(stale),
    "overdue": Scenario(
        overdue,
        {"FUTURE_CELERY_RETRY_BACKOFF_SECONDS": 16.0, "FUTURE_CELERY_RETRY_BACKOFF_MAX_SECONDS": 16.0},
        # After a short pause there are three messages before the end of the slot, and the last one has a long lease.
        limit=60,
    ),
    "between": Scenario(
        between,
        {
            "FUTURE_CELERY_BATCH_SECONDS": 60.0,
            "FUTURE_CELERY_RETRY_BACKOFF_SECONDS": 10.0,
            "FUTURE_CELERY_RETRY_BACKOFF_MAX_SECONDS": 10.0,
        },
        checks=(commits_start_the_next_job,),
    ),
    "orphaned": Scenario(
        orphaned, {"FUTURE_CELERY_DISPATCH_LEASE_SECONDS": NEVER, "FUTURE_CELERY_BATCH_SECONDS": 60.0}
    ),
    "behind": Scenario(behind, {"FUTURE_CELERY_DISPATCH_LEASE_SECONDS": NEVER}),
    "unanswered": Scenario(
        unanswered,
        {"FUTURE_CELERY_BATCH_SECONDS": 60.0},
        checks=(every_job_is_complete, commits_start_the_next_job),
    ),
}


def shared(tasks):
    """Give the tasks and so many quick ones that they share messages."""
    return [*tasks, *[QUICK] * (SHARING - len(tasks))]


def row(stage, job):
    return stage.rows().get(pk=job.pk)


def wait_for_entry(stage, *jobs):
    """Wait until the callables of the jobs have been entered."""

    def entered():
        return stage.file.exists() and {f"start {job.pk} 1" for job in jobs} <= {
            line.rpartition(" ")[0] for line in stage.file.read_text().splitlines()
        }

    wait_until(entered, PATIENT, "the start of the jobs")
    # The row of the witness is written right after.
    time.sleep(0.3)


def kill(member):
    os.killpg(member.process.pid, 9)
    member.process.wait(10)
