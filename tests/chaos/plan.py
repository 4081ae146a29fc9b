"""Which jobs are scheduled, and what is known of them beforehand."""

from dataclasses import dataclass

JOBS = "tests.chaos.witness.jobs."

#: How often each kind of job comes, in tenths; in this order they share messages.
KINDS = ["once", "again", "hooks", "slot", "again", "raises", "once", "again", "hooks", "unprotected"]

#: Jobs that become due at the same instant, at most; many of them share messages.
LARGEST_BURST = 60

#: Seconds that a long job takes: most outlast the patience of a message and a heartbeat, some the lease of their run.
LONG = [1.5, 2.5, 2.5, 5.0]

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

    @property
    def atomic(self):
        return self.name != "write_unprotected"


def tasks(rng, number, seconds):
    """Draw ``number`` tasks that become due within ``seconds``."""
    long_share = min(0.15, MOST_LONG * seconds / number)
    moments = bursts(rng, number, seconds)
    return [draw(rng, KINDS[each % len(KINDS)], moments[each], long_share) for each in range(number)]


def bursts(rng, number, seconds):
    moments = []
    while len(moments) < number:
        moments += [rng.uniform(0, seconds)] * rng.randint(1, LARGEST_BURST)
    return moments


def draw(rng, kind, due, long_share):
    lengths = (rng.choice(LONG) if rng.random() < long_share else rng.uniform(0, 0.05),)
    # Also when it waits in a message behind others, or runs.
    cancel = due + rng.uniform(-1, 2) if rng.random() < 0.06 else None
    return Task(due=due, seconds=lengths, cancel=cancel, **manners(rng, kind))


def manners(rng, kind):
    if kind == "once":
        return {"name": "lose_answer" if rng.random() < 0.1 else "note"}
    if kind == "again":
        return {"max_attempts": 50, "name": "exit_first" if rng.random() < 0.04 else "note"}
    if kind == "raises":
        return {"max_attempts": rng.choice([1, 3]), "name": "write_and_raise"}
    if kind == "slot":
        return {"max_attempts": rng.choice([1, 3]), "expires": "2s"}
    return {"max_attempts": rng.choice([1, 3]), "name": "note_and_hook" if kind == "hooks" else "write_unprotected"}
