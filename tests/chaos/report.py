"""What a run was and what became of it, in one block."""

from collections import Counter

from tests.chaos.oracle import at_most_once_is_at_most_once, chained, no_attempt_starts_twice

#: Violations that are shown in full.
SHOWN = 20


def lines(seed, tally, evidence, violations, settled):
    """Give the lines of the block; ``settled`` is how many seconds the last jobs took when all faults were over."""
    ends = Counter(job.status for job in evidence.jobs)
    facts = {
        "seed": seed,
        "jobs": len(evidence.planned),
        "kills": ", ".join(f"{tally[name]} {name.removeprefix('kill ')}" for name in sorted(tally) if "kill" in name),
        "freezes": tally["freeze worker"],
        "flushes": tally["flush"],
        "broker restarts": tally["restart redis"],
        "broker pauses": tally["pause redis"],
        "database restarts": tally["restart postgresql"],
        "connections cut": f"{tally['cut connection']}, {tally['cut commit']} after their commit",
        "ends of their own": tally["ends of their own"],
        "jobs by status": ", ".join(f"{number} {status}" for status, number in sorted(ends.items())),
        "attempts": f"{sum(job.attempts for job in evidence.jobs)}, {len(evidence.starts)} entered",
        "chained starts": len(chained(evidence)),
        "settled after": f"{settled:.1f} s",
        "worst delay": f"{worst_delay(evidence):.1f} s",
        "lost": len(evidence.planned) - sum(job.ended for job in evidence.jobs),
        "doubled": len(doubled(evidence)),
        "violations": len(violations),
    }
    yield from (f"{name:<18}{value}" for name, value in facts.items())
    yield from (f"  {sentence}" for sentence in violations[:SHOWN])
    if len(violations) > SHOWN:
        yield f"  … and {len(violations) - SHOWN} more"


def doubled(evidence):
    """What ran or wrote more often than it may."""
    protected = {job.id for job in evidence.jobs if job.atomic}
    written = Counter(job for job, _ in evidence.entries if job in protected)
    return [
        *at_most_once_is_at_most_once(evidence),
        *no_attempt_starts_twice(evidence),
        *(job for job, times in written.items() if times > 1),
    ]


def worst_delay(evidence):
    """Seconds from the time due to the first start, the longest among the jobs that ran."""
    due = {job.id: job.time_slot_start.timestamp() for job in evidence.jobs}
    first = {}
    for start in evidence.starts:
        first[start.job] = min(start.at, first.get(start.job, start.at))
    return max((at - due[job] for job, at in first.items() if job in due), default=0.0)
