"""What must hold whatever happened. Each check gives its violations as sentences; none of them asks the package."""

from collections import Counter, defaultdict
from itertools import pairwise

from tests.chaos.evidence import END_STATES

#: Seconds between the moment at which a slot was checked and the callable's first line: a process may be frozen there.
SLACK = 15.0

#: Seconds between two attempts, at most: a slot that ends before is over for the next attempt.
LONGEST_PAUSE = 20.0

#: The arrows of the diagram; a run that is asked to stop is cancelled.
ARROWS = {
    ("scheduled", "running"),
    ("running", "complete"),
    ("running", "failed"),
    ("running", "scheduled"),
    ("running", "cancelled"),
    ("scheduled", "expired"),
    ("scheduled", "failed"),
    ("scheduled", "cancelled"),
}


def violations(evidence, checks=None):
    """Give the sentences of all checks, each with the name of its check."""
    for check in checks or CHECKS:
        name = check.__name__.replace("_", " ")
        yield from (f"{name}: {sentence}" for sentence in check(evidence))


def no_row_is_gone(evidence):
    for job in sorted(evidence.planned - {job.id for job in evidence.jobs}):
        yield f"job {job} was scheduled and its row is gone"


def every_job_has_ended(evidence):
    for job in evidence.jobs:
        if not job.ended:
            yield f"job {job.id} is still {job.status} after attempt {job.attempts} of {job.max_attempts}"


def at_most_once_is_at_most_once(evidence):
    starts = Counter(start.job for start in evidence.starts)
    for job in evidence.jobs:
        if job.max_attempts == 1 and starts[job.id] > 1:
            yield f"job {job.id} may be started once and was started {starts[job.id]} times"


def no_attempt_starts_twice(evidence):
    starts = Counter((start.job, start.attempt) for start in evidence.starts)
    for (job, attempt), times in starts.items():
        if times > 1:
            yield f"attempt {attempt} of job {job} was started {times} times"


def starts_are_counted(evidence):
    starts = Counter(start.job for start in evidence.starts)
    for job in evidence.jobs:
        if not starts[job.id] <= job.attempts <= job.max_attempts:
            yield f"job {job.id}: {starts[job.id]} starts, {job.attempts} attempts, at most {job.max_attempts}"


def callables_are_entered_after_the_start_is_committed(evidence):
    won = {(change.job, change.attempts) for change in evidence.changes if change.new == "running"}
    for start in evidence.starts:
        if (start.job, start.attempt) not in won:
            yield f"attempt {start.attempt} of job {start.job} ran, and no such start was committed"


def complete_jobs_wrote_once_in_their_last_attempt(evidence):
    entries = entries_of(evidence)
    for job in evidence.jobs:
        wrote = entries[job.id]
        # What earlier attempts wrote outside a transaction stays.
        counted = wrote if job.atomic else [attempt for attempt in wrote if attempt == job.attempts]
        if job.status == "complete" and counted != [job.attempts]:
            yield f"job {job.id} is complete by attempt {job.attempts}, and there are the writes of {wrote}"


def other_jobs_wrote_nothing(evidence):
    entries = entries_of(evidence)
    for job in evidence.jobs:
        if job.atomic and job.status != "complete" and entries[job.id]:
            yield f"job {job.id} is {job.status}, and there are the writes of attempts {entries[job.id]}"


def hooks_run_once_after_the_job_is_complete(evidence):
    completed = {(job.id, job.attempts) for job in evidence.jobs if job.status == "complete"}
    for (job, attempt), times in Counter(evidence.hooks).items():
        if times > 1 or (job, attempt) not in completed:
            yield f"the hook of attempt {attempt} of job {job} ran {times} times"


def no_job_fails_with_attempts_left(evidence):
    ends = {change.job: change for change in evidence.changes if change.new == "failed"}
    for job in evidence.jobs:
        left = job.status == "failed" and job.attempts < job.max_attempts
        if left and not (job.id in ends and ends[job.id].at.timestamp() + LONGEST_PAUSE >= end_of(job)):
            yield f"job {job.id} failed after attempt {job.attempts} of {job.max_attempts}: {job.error[:100]}"


def jobs_that_raise_do_not_complete(evidence):
    for job in evidence.jobs:
        if job.raises and job.status == "complete":
            yield f"job {job.id} raises and is complete"


def expired_jobs_were_never_started(evidence):
    started = {start.job for start in evidence.starts}
    for job in evidence.jobs:
        if job.status == "expired" and (job.attempts or job.id in started):
            yield f"job {job.id} is expired after {job.attempts} attempts"


def only_slots_expire(evidence):
    ends = {change.job: change for change in evidence.changes if change.new == "expired"}
    for job in evidence.jobs:
        if job.id in ends and (job.time_slot_end is None or ends[job.id].at < job.time_slot_end):
            yield f"job {job.id} expired before its slot was over"


def only_those_that_somebody_cancelled_are_cancelled(evidence):
    for job in evidence.jobs:
        if job.status == "cancelled" and not job.cancelled:
            yield f"job {job.id} is cancelled, and nobody asked for it"


def starts_are_inside_the_slot(evidence):
    jobs = {job.id: job for job in evidence.jobs}
    for change in evidence.changes:
        job = jobs.get(change.job)
        if job and change.new == "running" and not inside(job, change.execution_start):
            yield f"job {job.id} was started at {change.execution_start}, outside its slot"


def callables_are_entered_inside_the_slot(evidence):
    jobs = {job.id: job for job in evidence.jobs}
    for start in evidence.starts:
        job = jobs.get(start.job)
        if job and not job.time_slot_start.timestamp() <= start.at <= end_of(job) + SLACK:
            yield f"job {job.id} was entered {start.at - job.time_slot_start.timestamp():.3f} s after its slot began"


def pauses_are_kept(evidence):
    for before, after in steps(evidence):
        early = before.new == "scheduled" and after.new == "running" and after.at.timestamp() * 1e6 < before.wake_at - 1
        if early:
            yield f"attempt {after.attempts} of job {after.job} did not wait for the end of the pause before it"


def ends_are_final(evidence):
    for change in evidence.changes:
        if change.old in END_STATES:
            yield f"job {change.job} was {change.old}, and then its row was changed ({change.new})"


def changes_are_arrows_of_the_diagram(evidence):
    for change in evidence.changes:
        if change.old not in END_STATES and (change.old, change.new) not in ARROWS:
            yield f"job {change.job} went from {change.old} to {change.new}"
        if change.attempts - change.old_attempts != (change.new == "running"):
            yield f"job {change.job} became {change.new}, its attempts {change.attempts} after {change.old_attempts}"


def changes_lead_from_schedule_to_the_end(evidence):
    last = {}
    for change in evidence.changes:
        if change.old != last.get(change.job, "scheduled"):
            yield f"job {change.job} left {change.old}, and it was {last.get(change.job, 'scheduled')}"
        last[change.job] = change.new
    for job in evidence.jobs:
        if job.status != last.get(job.id, "scheduled"):
            yield f"job {job.id} is {job.status}, and its last change made it {last.get(job.id, 'scheduled')}"


def bad_ends_have_a_reason(evidence):
    for job in evidence.jobs:
        if job.ended and job.status != "complete" and not job.error.strip():
            yield f"job {job.id} is {job.status}, and its row does not say why"


CHECKS = [
    no_row_is_gone,
    every_job_has_ended,
    at_most_once_is_at_most_once,
    no_attempt_starts_twice,
    starts_are_counted,
    callables_are_entered_after_the_start_is_committed,
    complete_jobs_wrote_once_in_their_last_attempt,
    other_jobs_wrote_nothing,
    hooks_run_once_after_the_job_is_complete,
    no_job_fails_with_attempts_left,
    jobs_that_raise_do_not_complete,
    expired_jobs_were_never_started,
    only_slots_expire,
    only_those_that_somebody_cancelled_are_cancelled,
    starts_are_inside_the_slot,
    callables_are_entered_inside_the_slot,
    pauses_are_kept,
    ends_are_final,
    changes_are_arrows_of_the_diagram,
    changes_lead_from_schedule_to_the_end,
    bad_ends_have_a_reason,
]


def every_start_follows_one_message(evidence):
    """Holds only where nothing is lost and nobody is slow."""
    for change in evidence.changes:
        if change.new == "running" and change.old_dispatches != 1:
            yield f"job {change.job} was started, and its row counts {change.old_dispatches} messages"


def every_job_is_complete(evidence):
    """Holds only where no process dies and no job raises."""
    for job in evidence.jobs:
        if job.status != "complete":
            yield f"job {job.id} is {job.status}: {job.error[:100]}"


def commits_start_the_next_job(evidence):
    """Holds wherever many jobs are due together; without it, nothing was learned about them."""
    if not chained(evidence):
        yield "no job was started by the commit of the one before it"


def chained(evidence):
    """The starts that were committed together with the good end of another job."""
    ends = {change.transaction for change in evidence.changes if change.new == "complete" and change.transaction}
    return [change for change in evidence.changes if change.new == "running" and change.transaction in ends]


def entries_of(evidence):
    entries = defaultdict(list)
    for job, attempt in sorted(evidence.entries):
        entries[job].append(attempt)
    return entries


def steps(evidence):
    """The pairs of successive changes of each job."""
    changes = defaultdict(list)
    for change in evidence.changes:
        changes[change.job].append(change)
    for each in changes.values():
        yield from pairwise(each)


def inside(job, moment):
    return job.time_slot_start <= moment and (job.time_slot_end is None or moment <= job.time_slot_end)


def end_of(job):
    return float("inf") if job.time_slot_end is None else job.time_slot_end.timestamp()
