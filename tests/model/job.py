"""One job: its row, its messages, the processes that run it, and a witness who asks no row. No Django in here.

A move gives the job after it. Time is a move as well: a slot may begin or be over, and a row may wake, at any moment,
so whatever holds here holds with any leases and any clocks. A dispatcher that dies between its claim and its publish
is a message that is lost at once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

SCHEDULED, RUNNING, COMPLETE, FAILED, EXPIRED, CANCELLED = (
    "scheduled",
    "running",
    "complete",
    "failed",
    "expired",
    "cancelled",
)
#: A job may start, whether or not there is time for another attempt.
OPEN = ("open", "closing")
#: The row was deleted.
GONE = "gone"
END = frozenset({COMPLETE, FAILED, EXPIRED, CANCELLED, GONE})

#: What protects a job. Without any one of these the search must find something wrong.
RULES = frozenset(
    {
        "a start checks the status",
        "a start checks the attempts",
        "a start is not early",
        "a start is not late",
        "a start is counted",
        "a completion checks the status",
        "a completion checks the attempts",
        "a recorded error checks the status",
        "a recorded error checks the attempts",
        "a renewal checks the status",
        "a renewal checks the attempts",
        "what a job wrote is committed with its end",
        "a job that raised is tried again only with attempts left",
        "a lost run is tried again only with attempts left",
        "a lost run is found",
        "a lost message is sent again",
        "a job that was started does not expire",
        "a cancel checks the status",
        "a run that was asked to stop is not tried again",
    }
)


class Job(NamedTuple):
    max_attempts: int
    # The row.
    status: str = SCHEDULED
    attempts: int = 0
    slot: str = "early"
    awake: bool = False
    sent: bool = False
    #: Whether it waits for a worker that has its code, and whether its run was asked to stop.
    unknown: bool = False
    asked: bool = False
    # The attempts that the messages on their way carry; (attempts, phase) of each process that runs the job.
    messages: frozenset[int] = frozenset()
    runs: frozenset[tuple[int, str]] = frozenset()
    # The witness. Effects are the attempts whose writes are committed.
    starts: int = 0
    effects: tuple[int, ...] = ()
    pausing: bool = False
    misdeeds: frozenset[str] = frozenset()

    def ended(self, status: str) -> "Job":
        return self._replace(status=status, awake=False, sent=False, pausing=False)

    def overdue(self, rules: frozenset[str]) -> "Job":
        """The end of a row whose slot was over while it waited."""
        expires = self.attempts == 0 or "a job that was started does not expire" not in rules
        return self.ended(EXPIRED if expires else FAILED)

    def after_attempt(self, attempts_left: bool, rules: frozenset[str]) -> "Job":
        if self.asked and "a run that was asked to stop is not tried again" in rules:
            return self.ended(CANCELLED)
        if attempts_left and self.slot not in ("closing", "over"):
            return self._replace(status=SCHEDULED, awake=False, pausing=True)
        return self.ended(FAILED)

    def phase(self, attempt: int) -> str | None:
        """What the process that runs this attempt does just now; None if there is none."""
        return next((phase for number, phase in self.runs if number == attempt), None)

    def with_run(self, attempt: int, phase: str | None) -> "Job":
        others = frozenset(run for run in self.runs if run[0] != attempt)
        return self._replace(runs=others | {(attempt, phase)} if phase else others)

    def owned_by(self, attempt: int) -> bool:
        return self.status == RUNNING and self.attempts == attempt

    def takes(self, what: str, attempt: int, rules: frozenset[str]) -> bool:
        """Whether the row takes what a run writes, as far as the rules have it checked."""
        return (self.status == RUNNING or f"{what} checks the status" not in rules) and (
            self.attempts == attempt or f"{what} checks the attempts" not in rules
        )

    @property
    def row(self) -> tuple[Any, ...]:
        return self.status, self.attempts, self.slot, self.awake, self.sent, self.unknown, self.asked


@dataclass(frozen=True)
class Move:
    name: str
    apply: Callable[..., Job]
    #: The arguments with which it can come.
    possible: Callable[[Job], Iterable[tuple[Any, ...]]]
    #: Whether it comes by itself as long as the processes live; what helps must be enough to end every job.
    helps: bool


MOVES: dict[str, Move] = {}


def move(possible: Callable[[Job], Iterable[tuple[Any, ...]]], helps: bool = False) -> Callable[..., Any]:
    def register(apply: Callable[..., Job]) -> Callable[..., Job]:
        MOVES[apply.__name__] = Move(apply.__name__, apply, possible, helps)
        return apply

    return register


def once(*conditions: bool) -> list[tuple[Any, ...]]:
    return [()] if all(conditions) else []


def runs_in(*phases: str) -> Callable[[Job], Iterable[tuple[Any, ...]]]:
    return lambda job: [(attempt,) for attempt, phase in job.runs if phase in phases]


# -- time -------------------------------------------------------------------------------------------------------------


@move(lambda job: once(job.slot == "early"), helps=True)
def opens(job: Job, rules: frozenset[str]) -> Job:
    return job._replace(slot="open")


@move(lambda job: once(job.slot == "open"))
def closes(job: Job, rules: frozenset[str]) -> Job:
    """From here on the slot will be over before the pause to a next attempt is."""
    return job._replace(slot="closing")


@move(lambda job: once(job.slot in OPEN))
def ends(job: Job, rules: frozenset[str]) -> Job:
    return job._replace(slot="over")


@move(lambda job: once(job.status not in END, not job.awake), helps=True)
def wakes(job: Job, rules: frozenset[str]) -> Job:
    return job._replace(awake=True, pausing=False)


# -- dispatchers ------------------------------------------------------------------------------------------------------


@move(lambda job: once(job.awake), helps=True)
def claim(job: Job, rules: frozenset[str]) -> Job:
    """Look at a row that woke; the message goes out."""
    if job.status != SCHEDULED or not job.awake or (job.sent and "a lost message is sent again" not in rules):
        return job
    if job.slot == "over":
        return job.overdue(rules)
    if job.slot == "early":
        return job._replace(awake=False, sent=False)
    return job._replace(awake=False, sent=True, messages=job.messages | {job.attempts})


@move(lambda job: once(job.awake))
def release(job: Job, rules: frozenset[str]) -> Job:
    """Look at a row that woke, and take the claim back: the broker is away."""
    claimed = claim(job, rules)
    return job._replace(sent=False) if claimed.sent else claimed


@move(lambda job: once(job.awake), helps=True)
def recover(job: Job, rules: frozenset[str]) -> Job:
    if job.status != RUNNING or not job.awake or "a lost run is found" not in rules:
        return job
    limited = "a lost run is tried again only with attempts left" in rules
    return job.after_attempt(job.attempts < job.max_attempts or not limited, rules)


@move(lambda job: [(each,) for each in job.messages])
def lose(job: Job, rules: frozenset[str], message: int) -> Job:
    return job._replace(messages=job.messages - {message})


# -- a run ------------------------------------------------------------------------------------------------------------


@move(lambda job: [(each,) for each in job.messages], helps=True)
def start(job: Job, rules: frozenset[str], message: int) -> Job:
    """Deliver a message. It is still there: it may be a copy."""
    after = forge(job, rules, message)
    if job.pausing and after.starts > job.starts:
        return after._replace(misdeeds=after.misdeeds | {"an old message jumped a pause"})
    return after


@move(lambda job: [(each,) for each in range(job.max_attempts + 1)])
def forge(job: Job, rules: frozenset[str], message: int) -> Job:
    """Deliver a message that no dispatcher sent."""
    if job.status == GONE or (job.status != SCHEDULED and "a start checks the status" in rules):
        return job
    if job.attempts != message and "a start checks the attempts" in rules:
        return job
    if job.slot == "over" and "a start is not late" in rules:
        return job.overdue(rules)
    if job.slot == "early" and "a start is not early" in rules:
        return job
    return started(job, job.attempts + ("a start is counted" in rules))


@move(lambda job: [(each,) for each in job.messages])
def lack(job: Job, rules: frozenset[str], message: int) -> Job:
    """Deliver a message to a worker that does not have the code."""
    if job.status != SCHEDULED or job.attempts != message or job.slot == "early":
        return job
    if job.slot == "over":
        return job.overdue(rules)
    return job._replace(awake=False, sent=False, unknown=True)


def started(job: Job, attempt: int) -> Job:
    misdeeds = job.misdeeds if job.slot in OPEN else job.misdeeds | {f"it was started while its slot was {job.slot}"}
    if job.asked:
        misdeeds |= {"it was started although it was to stop"}
    row = {"status": RUNNING, "attempts": attempt, "awake": False, "sent": False, "unknown": False, "pausing": False}
    return job._replace(**row, starts=job.starts + 1, misdeeds=misdeeds).with_run(attempt, "started")


@move(runs_in("started"), helps=True)
def call(job: Job, rules: frozenset[str], attempt: int) -> Job:
    """The callable wrote, and its transaction is open."""
    if job.phase(attempt) != "started":
        return job
    early = () if "what a job wrote is committed with its end" in rules else (attempt,)
    return job._replace(effects=job.effects + early).with_run(attempt, "called")


@move(runs_in("called"), helps=True)
def complete(job: Job, rules: frozenset[str], attempt: int) -> Job:
    """The callable returned: its writes and the end of the job are committed together, or rolled back."""
    if job.phase(attempt) != "called":
        return job
    after = job.with_run(attempt, None)
    if job.status == GONE or not job.takes("a completion", attempt, rules):
        return after
    late = (attempt,) if "what a job wrote is committed with its end" in rules else ()
    return after._replace(effects=job.effects + late).ended(COMPLETE)


@move(runs_in("started", "called"))
def throw(job: Job, rules: frozenset[str], attempt: int) -> Job:
    """The callable raised and was rolled back; nothing is recorded yet."""
    return job.with_run(attempt, "raised") if job.phase(attempt) in ("started", "called") else job


@move(runs_in("raised"), helps=True)
def record(job: Job, rules: frozenset[str], attempt: int) -> Job:
    if job.phase(attempt) != "raised":
        return job
    after = job.with_run(attempt, None)
    if job.status == GONE or not job.takes("a recorded error", attempt, rules):
        return after
    limited = "a job that raised is tried again only with attempts left" in rules
    return after.after_attempt(attempt < job.max_attempts or not limited, rules)


@move(runs_in("started", "called", "raised"))
def die(job: Job, rules: frozenset[str], attempt: int) -> Job:
    """The process is gone, and with it its open transaction."""
    return job.with_run(attempt, None)


@move(runs_in("started", "called"))
def renew(job: Job, rules: frozenset[str], attempt: int) -> Job:
    if job.status in END or not job.phase(attempt) or not job.takes("a renewal", attempt, rules):
        return job
    misdeeds = frozenset() if job.owned_by(attempt) else {"a run that had lost its row kept it from waking"}
    return job._replace(awake=False, misdeeds=job.misdeeds | misdeeds)


# -- people -----------------------------------------------------------------------------------------------------------


@move(lambda job: once(job.status != GONE))
def cancel(job: Job, rules: frozenset[str]) -> Job:
    if job.status == SCHEDULED or "a cancel checks the status" not in rules:
        return job.ended(CANCELLED)
    return job._replace(asked=True) if job.status == RUNNING else job


@move(lambda job: [("early",), ("open",)] if job.status == SCHEDULED else [])
def shift(job: Job, rules: frozenset[str], slot: str) -> Job:
    """Somebody moves the slot of a job that waits."""
    if job.status != SCHEDULED:
        return job
    return job._replace(slot=slot, awake=slot != "early", sent=False, pausing=False, unknown=False)


@move(lambda job: once(job.status != GONE))
def delete(job: Job, rules: frozenset[str]) -> Job:
    return job.ended(GONE)


# -- what must hold ---------------------------------------------------------------------------------------------------


def is_over(job: Job) -> bool:
    return job.status in END


def wrong_with(job: Job) -> str | None:
    """Say what must never be true of a job and is."""
    if job.misdeeds:
        return min(job.misdeeds)
    if job.starts > job.max_attempts:
        return f"it was started {job.starts} times, at most {job.max_attempts} are allowed"
    if job.status == EXPIRED and job.starts:
        return "it expired although it was started"
    if job.status == COMPLETE and job.effects != (job.attempts,):
        return f"it is complete at attempt {job.attempts}, and the writes of attempts {job.effects} are there"
    if job.status not in (COMPLETE, GONE) and job.effects:
        return f"it is {job.status}, and the writes of attempts {job.effects} are there"
    return None


def wrong_between(before: Job, after: Job) -> str | None:
    """Say what no move may change and did."""
    if before.status not in END or (after.status, after.effects) == (before.status, before.effects):
        return None
    if after.status == GONE and after.effects == before.effects:
        return None
    return f"it had ended as {before.status}, and then it was {after.status} with the writes of {after.effects}"
