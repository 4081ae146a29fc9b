"""Which jobs are scheduled, and what is known of them beforehand."""

from dataclasses import dataclass

JOBS = "tests.chaos.witness.jobs."

#: How often each kind of job comes, in sixths.
KINDS = ["once", "once", "again", "again", "raises", "slot"]

#: Seconds that a long job takes: most outlast a heartbeat, some the lease of their run.
LONG = [1.5, 2.0, 2.5, 5.0]

#: Long jobs a second; more would keep the four processes from all others.
MOST_LONG = 0.5


@dataclass(frozen=True)
class Task:
    """A job to be scheduled; times are seconds from the beginning of the run."""

    name: str = "note"
    due: float = 0.0
    #: Length of each attempt; the last one is that of all further.
    seconds: tuple[float, ...] = (0.0,)
    max_attempts: int = 1
    expires: str = "7d"
    #: When somebody cancels it, if it still waits.
    cancel: float | None = None

    @property
    def callable_name(self):
        return JOBS + self.name

    @property
    def raises(self):
        return self.name == "write_and_raise"


def tasks(rng, number, seconds):
    """Draw ``number`` tasks that become due within ``seconds``."""
    long_share = min(0.15, MOST_LONG * seconds / number)
    return [draw(rng, KINDS[each % len(KINDS)], rng.uniform(0, seconds), long_share) for each in range(number)]


def draw(rng, kind, due, long_share):
    lengths = (rng.choice(LONG) if rng.random() < long_share else rng.uniform(0, 0.05),)
    cancel = due - rng.uniform(0, 1) if rng.random() < 0.04 else None
    return Task(due=due, seconds=lengths, cancel=cancel, **manners(rng, kind))


def manners(rng, kind):
    if kind == "again":
        return {"max_attempts": 50, "name": "exit_first" if rng.random() < 0.04 else "note"}
    if kind == "raises":
        return {"max_attempts": rng.choice([1, 3]), "name": "write_and_raise"}
    if kind == "slot":
        return {"max_attempts": rng.choice([1, 3]), "expires": "2s"}
    return {}
