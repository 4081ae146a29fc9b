"""The oracle itself: content with a good story, and awake to each thing that may be wrong with it."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos import oracle, report
from tests.chaos.evidence import Change, Evidence, Job, Start

DUE = datetime(2030, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def micros(moment):
    return int(moment.timestamp() * 1_000_000)


def job(number, status, attempts=1, **columns):
    defaults = {"max_attempts": 1, "error": "" if status == "complete" else "why"}
    times = {"time_slot_start": DUE, "time_slot_end": DUE + 60 * SECOND}
    return Job(number, status, attempts, **defaults | times | columns)


def step(number, old, new, attempts=1, at=1, **columns):
    """A change of a job's status, ``at`` seconds after it became due."""
    moment = DUE + at * SECOND
    return Change(
        job=number,
        old=old,
        new=new,
        old_attempts=attempts - (new == "running"),
        attempts=attempts,
        old_dispatches=1,
        wake_at=micros(moment),
        execution_start=moment,
        at=moment,
    )


def start(number, attempt=1, at=1):
    return Start(number, attempt, (DUE + at * SECOND).timestamp())


#: What became of six jobs, with nothing wrong in it.
COMPLETE, FAILED, EXPIRED, CANCELLED, TRIED_AGAIN, OVER = range(1, 7)
JOBS = {
    COMPLETE: job(COMPLETE, "complete"),
    FAILED: job(FAILED, "failed"),
    EXPIRED: job(EXPIRED, "expired", attempts=0),
    CANCELLED: job(CANCELLED, "cancelled", attempts=0, cancelled=True),
    TRIED_AGAIN: job(TRIED_AGAIN, "complete", attempts=2, max_attempts=3),
    OVER: job(OVER, "failed", max_attempts=3),
}
CHANGES = [
    step(COMPLETE, "scheduled", "running"),
    step(COMPLETE, "running", "complete", at=2),
    step(FAILED, "scheduled", "running"),
    step(FAILED, "running", "failed", at=2),
    step(EXPIRED, "scheduled", "expired", attempts=0, at=61),
    step(CANCELLED, "scheduled", "cancelled", attempts=0),
    step(TRIED_AGAIN, "scheduled", "running"),
    step(TRIED_AGAIN, "running", "scheduled", at=2),
    step(TRIED_AGAIN, "scheduled", "running", attempts=2, at=3),
    step(TRIED_AGAIN, "running", "complete", attempts=2, at=4),
    step(OVER, "scheduled", "running"),
    step(OVER, "running", "scheduled", at=2),
    step(OVER, "scheduled", "failed", at=61),
]
GOOD = Evidence(
    planned=set(JOBS),
    jobs=list(JOBS.values()),
    starts=[start(COMPLETE), start(FAILED), start(TRIED_AGAIN), start(TRIED_AGAIN, 2, at=3)],
    entries=[(COMPLETE, 1), (TRIED_AGAIN, 2)],
    hooks=[(TRIED_AGAIN, 2)],
    changes=CHANGES,
)


def but(number, **columns):
    """The good story with other columns in one row."""
    return replace(GOOD, jobs=list((JOBS | {number: replace(JOBS[number], **columns)}).values()))


def changed(index, **columns):
    """The good story with one change made otherwise."""
    changes = list(CHANGES)
    changes[index] = replace(changes[index], **columns)
    return replace(GOOD, changes=changes)


def plus(**more):
    """The good story with more in it."""
    return replace(GOOD, **{name: [*getattr(GOOD, name), *each] for name, each in more.items()})


def test_a_good_story_violates_nothing():
    assert list(oracle.violations(GOOD)) == []
    assert list(oracle.every_start_follows_one_message(GOOD)) == []


BAD = [
    ("no row is gone", replace(GOOD, planned={*JOBS, 7})),
    ("every job has ended", but(FAILED, status="running")),
    ("at most once is at most once", plus(starts=[start(FAILED, 2)])),
    ("no attempt starts twice", plus(starts=[start(TRIED_AGAIN, 1)])),
    ("starts are counted", plus(starts=[start(FAILED, 2)])),
    ("starts are counted", but(TRIED_AGAIN, max_attempts=1)),
    ("callables are entered after the start is committed", plus(starts=[start(OVER, 2)])),
    ("complete jobs wrote once in their last attempt", replace(GOOD, entries=[(COMPLETE, 1)])),
    ("complete jobs wrote once in their last attempt", plus(entries=[(COMPLETE, 1)])),
    ("complete jobs wrote once in their last attempt", replace(GOOD, entries=[(COMPLETE, 1), (TRIED_AGAIN, 1)])),
    ("other jobs wrote nothing", plus(entries=[(FAILED, 1)])),
    ("other jobs wrote nothing", plus(entries=[(EXPIRED, 0)])),
    ("hooks run once after the job is complete", plus(hooks=[(FAILED, 1)])),
    ("hooks run once after the job is complete", plus(hooks=[(TRIED_AGAIN, 1)])),
    ("hooks run once after the job is complete", plus(hooks=[(TRIED_AGAIN, 2)])),
    ("no job fails with attempts left", but(FAILED, max_attempts=2)),
    ("jobs that raise do not complete", but(COMPLETE, raises=True)),
    ("expired jobs were never started", plus(starts=[start(EXPIRED)])),
    ("expired jobs were never started", but(EXPIRED, attempts=1)),
    ("only slots expire", but(EXPIRED, time_slot_end=None)),
    ("only slots expire", but(EXPIRED, time_slot_end=DUE + 99 * SECOND)),
    ("only those that somebody cancelled are cancelled", but(CANCELLED, cancelled=False)),
    ("starts are inside the slot", changed(0, execution_start=DUE - SECOND)),
    ("starts are inside the slot", changed(0, execution_start=DUE + 61 * SECOND)),
    ("callables are entered inside the slot", plus(starts=[start(OVER, 1, at=-1)])),
    ("callables are entered inside the slot", plus(starts=[start(OVER, 1, at=61 + oracle.SLACK)])),
    ("pauses are kept", changed(7, wake_at=micros(DUE + 4 * SECOND))),
    ("ends are final", plus(changes=[step(COMPLETE, "complete", "scheduled", at=3)])),
    ("ends are final", plus(changes=[step(COMPLETE, "complete", "complete", at=3)])),
    ("changes are arrows of the diagram", changed(1, old="scheduled")),
    ("changes are arrows of the diagram", changed(4, old="running")),
    ("changes are arrows of the diagram", changed(0, old_attempts=1)),
    ("changes are arrows of the diagram", changed(7, attempts=2)),
    ("changes lead from schedule to the end", replace(GOOD, changes=CHANGES[1:])),
    ("changes lead from schedule to the end", replace(GOOD, changes=CHANGES[:-1])),
    ("bad ends have a reason", but(FAILED, error=" ")),
    ("bad ends have a reason", but(EXPIRED, error="")),
    ("bad ends have a reason", but(CANCELLED, error="")),
]


@pytest.mark.parametrize(("check", "evidence"), BAD, ids=[f"{number}-{name}" for number, (name, _) in enumerate(BAD)])
def test_what_is_wrong_is_seen_by_its_check(check, evidence):
    assert check in {violation.partition(":")[0] for violation in oracle.violations(evidence)}


def test_every_check_can_fail():
    assert {check.__name__.replace("_", " ") for check in oracle.CHECKS} == {name for name, _ in BAD}


@pytest.mark.parametrize("messages", [0, 2])
def test_a_start_that_does_not_follow_one_message_is_seen_where_nothing_is_lost(messages):
    assert list(oracle.every_start_follows_one_message(changed(0, old_dispatches=messages)))


def unprotected(number, *entries):
    """The good story with a job that has no transaction, and its writes."""
    others = [entry for entry in GOOD.entries if entry[0] != number]
    return replace(but(number, atomic=False), entries=[*others, *entries])


def test_what_a_job_wrote_outside_a_transaction_may_stay():
    assert list(oracle.violations(unprotected(FAILED, (FAILED, 1)))) == []
    assert list(oracle.violations(unprotected(TRIED_AGAIN, (TRIED_AGAIN, 1), (TRIED_AGAIN, 2)))) == []


@pytest.mark.parametrize("entries", [[], [(COMPLETE, 1), (COMPLETE, 1)]])
def test_a_complete_job_without_a_transaction_wrote_once_in_its_last_attempt(entries):
    assert list(oracle.violations(unprotected(COMPLETE, *entries)))


def test_a_run_in_which_no_commit_started_another_job_is_told():
    chained = [replace(change, transaction=1) for change in CHANGES]

    assert list(oracle.commits_start_the_next_job(replace(GOOD, changes=chained))) == []
    assert list(oracle.commits_start_the_next_job(GOOD))
    assert list(oracle.commits_start_the_next_job(changed(0, transaction=1)))


def test_whatever_is_not_complete_is_told_where_nothing_happens():
    assert len(list(oracle.every_job_is_complete(GOOD))) == 4


def test_the_report_counts_what_was_lost_and_doubled():
    evidence = replace(but(FAILED, status="running"), entries=[(COMPLETE, 1), (COMPLETE, 1), (TRIED_AGAIN, 2)])

    lines = list(report.lines(7, Counter(), evidence, list(oracle.violations(evidence)), 1.0))

    facts = {name: value for name, _, value in (line.partition("  ") for line in lines)}
    assert {name: facts[name].strip() for name in ("seed", "jobs", "lost", "doubled", "worst delay")} == {
        "seed": "7",
        "jobs": "6",
        "lost": "1",
        "doubled": "1",
        "worst delay": "1.0 s",
    }
