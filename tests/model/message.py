"""Two jobs that share messages, and two processes that run them one after another. No Django in here.

Each job is one of ``tests.model.job`` and goes by its moves. What is new is the process: it has read the rows of a
message, runs the first, and the commit that completes that one also starts the next. Its slots are open at first.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tests.model import job as single
from tests.model.job import END, GONE, OPEN, RUNNING, SCHEDULED, Job, Move, once, started

#: What protects jobs that share a message. Without any one of these the search must find something wrong.
RULES = frozenset(
    {
        "a chained start checks the status",
        "a chained start checks the attempts",
        "a chained start needs the slot as it was read",
        "a chained start is not late",
        "a chained start is counted",
        "a miss on the next job does not touch this one",
        "a process looks for what it started when the answer to a commit is lost",
        "a process finds only what it started itself",
        "a start that is taken back costs no attempt",
        "a run that was asked to stop is not taken back",
    }
)
ALL_RULES = RULES | single.RULES

NAMES = ("a", "b")

#: What a message says: ``(name, attempts)`` of its jobs.
Message = tuple[tuple[str, int], ...]


class Waits(NamedTuple):
    """A job as a process has read it; stale if its slot was moved since."""

    name: str
    attempts: int
    stale: bool = False


class Process(NamedTuple):
    message: Message
    waiting: tuple[Waits, ...]
    #: The job and the attempt that it runs just now.
    run: tuple[str, int] = ("", 0)


class Pair(NamedTuple):
    a: Job
    b: Job
    messages: frozenset[Message] = frozenset()
    processes: tuple[Process | None, ...] = (None, None)
    #: Of each job, the message that its run came with.
    came_with: tuple[Message | None, ...] = (None, None)

    def job(self, name: str) -> Job:
        return self[NAMES.index(name)]  # type: ignore[return-value]

    def with_job(self, name: str, job: Job) -> "Pair":
        """Messages are the pair's, and who does not run came with none."""
        after = self._replace(**{name: job._replace(messages=frozenset())})
        # A message of which no job waits any more has nothing to say.
        after = after._replace(messages=frozenset(filter(after.is_waited_for, after.messages)))
        return after if job.status == RUNNING else after.came(name, None)

    def is_waited_for(self, message: Message) -> bool:
        return any(self.waits(*each) for each in message)

    def waits(self, name: str, attempts: int) -> bool:
        return (self.job(name).status, self.job(name).attempts) == (SCHEDULED, attempts)

    def came(self, name: str, message: Message | None) -> "Pair":
        came_with = list(self.came_with)
        came_with[NAMES.index(name)] = message
        return self._replace(came_with=tuple(came_with))

    def with_process(self, number: int, process: Process | None) -> "Pair":
        processes = (*self.processes[:number], process, *self.processes[number + 1 :])
        return self._replace(processes=processes)

    def with_run(self, number: int, process: Process, name: str) -> "Pair":
        """A process has started a job."""
        run = name, self.job(name).attempts
        return self.came(name, process.message).with_process(number, process._replace(run=run))

    def is_read(self) -> bool:
        """Whether b waits and a process that has read it goes by that."""
        waiting = [each for process in self.processes if process is not None for each in process.waiting]
        return self.b.status == SCHEDULED and any(each.name == "b" and not each.stale for each in waiting)

    @property
    def rows(self) -> tuple[Any, ...]:
        return self.a.row, self.b.row


def first(most_of_a: int = 1, most_of_b: int = 1) -> Pair:
    return Pair(*(Job(most, slot="open", awake=True) for most in (most_of_a, most_of_b)))


MOVES: dict[str, Move] = {}


def move(possible: Callable[[Pair], Iterable[tuple[Any, ...]]], helps: bool = False) -> Callable[..., Any]:
    def register(apply: Callable[..., Pair]) -> Callable[..., Pair]:
        MOVES[apply.__name__] = Move(apply.__name__, apply, possible, helps)
        return apply

    return register


def processes(pair: Pair) -> list[tuple[int]]:
    return [(number,) for number, each in enumerate(pair.processes) if each is not None]


# -- time, dispatchers, people ----------------------------------------------------------------------------------------


@move(
    lambda pair: [(name,) for name in NAMES if pair.job(name).status not in END and not pair.job(name).awake],
    helps=True,
)
def wakes(pair: Pair, rules: frozenset[str], name: str) -> Pair:
    return pair.with_job(name, single.wakes(pair.job(name), rules))


@move(lambda pair: once(pair.b.slot == "early"), helps=True)
def opens(pair: Pair, rules: frozenset[str]) -> Pair:
    return pair.with_job("b", single.opens(pair.b, rules))


@move(lambda pair: once(pair.b.slot in OPEN, pair.is_read()))
def ends(pair: Pair, rules: frozenset[str]) -> Pair:
    """Only the slot of b: it is the shorter one."""
    return pair.with_job("b", single.ends(pair.b, rules))


@move(lambda pair: once(pair.a.awake or pair.b.awake), helps=True)
def claim(pair: Pair, rules: frozenset[str]) -> Pair:
    """What is due goes out, in one message."""
    sent, after = [], pair
    for name in NAMES:
        job = single.claim(pair.job(name), rules)
        sent += [(name, attempts) for attempts in job.messages]
        after = after.with_job(name, job)
    return after._replace(messages=after.messages | {tuple(sent)}) if sent else after


@move(lambda pair: once(pair.a.awake or pair.b.awake), helps=True)
def recover(pair: Pair, rules: frozenset[str]) -> Pair:
    for name in NAMES:
        pair = pair.with_job(name, single.recover(pair.job(name), rules))
    return pair


@move(lambda pair: once(pair.b.status in (SCHEDULED, RUNNING)))
def cancel(pair: Pair, rules: frozenset[str]) -> Pair:
    return pair.with_job("b", single.cancel(pair.b, rules))


@move(lambda pair: once(pair.is_read()))
def shift(pair: Pair, rules: frozenset[str], slot: str = "early") -> Pair:
    """Somebody moves the slot of b while it waits: what processes have read of it is not true any more."""
    if pair.b.status != SCHEDULED:
        return pair
    after = pair.with_job("b", single.shift(pair.b, rules, slot))
    for number, process in enumerate(pair.processes):
        if process is not None:
            waiting = tuple(each._replace(stale=each.stale or each.name == "b") for each in process.waiting)
            after = after.with_process(number, process._replace(waiting=waiting))
    return after


# -- a process --------------------------------------------------------------------------------------------------------


@move(lambda pair: [(each,) for each in pair.messages if None in pair.processes], helps=True)
def take(pair: Pair, rules: frozenset[str], message: Message) -> Pair:
    """A process reads the rows of a message that still wait, and starts one. The message stays: it may be a copy."""
    if None not in pair.processes:
        return pair
    waiting = tuple(Waits(*each) for each in message if pair.waits(*each))
    return _start_next(pair, pair.processes.index(None), Process(message, waiting), rules)


def _start_next(pair: Pair, number: int, process: Process, rules: frozenset[str]) -> Pair:
    """Start the first whose row can be won, by itself."""
    while process.waiting:
        each, process = process.waiting[0], process._replace(waiting=process.waiting[1:])
        before, job = pair.job(each.name), single.start(pair.job(each.name), rules, each.attempts)
        pair = pair.with_job(each.name, job)
        if job.starts > before.starts:
            return pair.with_run(number, process, each.name)
    return pair.with_process(number, None)


@move(processes, helps=True)
def finish(pair: Pair, rules: frozenset[str], number: int) -> Pair:
    return end_run(pair, rules, number)


@move(processes)
def fail_to_commit(pair: Pair, rules: frozenset[str], number: int) -> Pair:
    return end_run(pair, rules, number, commits=False)


@move(processes)
def lose_answer(pair: Pair, rules: frozenset[str], number: int) -> Pair:
    """The commit is made, and to the process it looks as if it had failed."""
    return end_run(pair, rules, number, answered=False)


@move(processes)
def throw(pair: Pair, rules: frozenset[str], number: int) -> Pair:
    """The callable raised, was rolled back, and that is recorded."""
    process = pair.processes[number]
    if process is None:
        return pair
    return _start_next(_rolled_back(pair, process.run, rules), number, process, rules)


def end_run(pair: Pair, rules: frozenset[str], number: int, commits: bool = True, answered: bool = True) -> Pair:
    process = pair.processes[number]
    if process is None:
        return pair
    named = _named(pair, process, rules)
    after, started_next = _commit(pair, process.run, named if commits else None, commits, rules)
    if named is not None:
        knows = answered or "a process looks for what it started when the answer to a commit is lost" in rules
        found = "a process finds only what it started itself" not in rules and _runs_after(after, named)
        if (started_next and knows) or found:
            return after.with_run(number, process._replace(waiting=process.waiting[1:]), named.name)
    return _start_next(after, number, process, rules)


def _named(pair: Pair, process: Process, rules: frozenset[str]) -> Waits | None:
    """The next job, if its slot is open as far as the process knows."""
    named = process.waiting[0] if process.waiting else None
    if named is None or named.stale:
        return named
    slot = pair.job(named.name).slot
    late = slot == "over" and "a chained start is not late" not in rules
    return named if slot in OPEN or late else None


def _runs_after(pair: Pair, named: Waits) -> bool:
    return pair.job(named.name).owned_by(named.attempts + 1)


def _commit(
    pair: Pair, run: tuple[str, int], named: Waits | None, commits: bool, rules: frozenset[str]
) -> tuple[Pair, bool]:
    """End a run and start the named job; tell whether that was started."""
    (name, attempt), job = run, pair.job(run[0])
    done = single.complete(single.call(job, rules, attempt), rules, attempt)
    rolled_back = _rolled_back(pair, run, rules)
    if not commits or done.status == job.status:
        return rolled_back, False
    after = pair.with_job(name, done)
    if named is None:
        return after, False
    following = _chained(after.job(named.name), named, rules)
    if following is not None:
        return after.with_job(named.name, following), True
    if "a miss on the next job does not touch this one" in rules:
        return after, False
    misdeed = {"it returned and its row was its own, and yet it was rolled back"}
    return rolled_back.with_job(name, rolled_back.job(name)._replace(misdeeds=job.misdeeds | misdeed)), False


def _rolled_back(pair: Pair, run: tuple[str, int], rules: frozenset[str]) -> Pair:
    (name, attempt), job = run, pair.job(run[0])
    return pair.with_job(name, single.record(job.with_run(attempt, "raised"), rules, attempt))


def _chained(job: Job, named: Waits, rules: frozenset[str]) -> Job | None:
    """Start a job by the commit of the one before it, if its row is as it was read."""
    if job.status == GONE or (job.status != SCHEDULED and "a chained start checks the status" in rules):
        return None
    if job.attempts != named.attempts and "a chained start checks the attempts" in rules:
        return None
    if named.stale and "a chained start needs the slot as it was read" in rules:
        return None
    after = started(job, named.attempts + ("a chained start is counted" in rules))
    jumped = {"an old message jumped a pause"} if job.pausing else set()
    return after._replace(misdeeds=after.misdeeds | jumped)


@move(processes)
def release(pair: Pair, rules: frozenset[str], number: int) -> Pair:
    """What waits behind a job is due again, for others."""
    process = pair.processes[number]
    if process is None:
        return pair
    for each in process.waiting:
        pair = _released(pair, each.name, each.attempts)
    return pair.with_process(number, process._replace(waiting=()))


def _released(pair: Pair, name: str, attempts: int) -> Pair:
    job = pair.job(name)
    if not pair.waits(name, attempts) or not job.sent:
        return pair
    return pair.with_job(name, job._replace(sent=False, awake=True))


@move(lambda pair: [(n,) for (n,) in processes(pair) if pair.processes[n].run == ("b", 1)])
def take_back(pair: Pair, rules: frozenset[str], number: int) -> Pair:
    """The process is to end, and has started a job that it has not called; the others are released."""
    process = pair.processes[number]
    if process is None:
        return pair
    (name, attempt), job = process.run, pair.job(process.run[0])
    after = job.with_run(attempt, None)
    wanted = not job.asked or "a run that was asked to stop is not taken back" not in rules
    if job.owned_by(attempt) and wanted:
        more = "a start that is taken back costs no attempt" in rules
        waits = {"status": SCHEDULED, "awake": True, "max_attempts": job.max_attempts + more}
        after = after._replace(**waits)
    return release(pair.with_job(name, after), rules, number).with_process(number, None)


@move(processes)
def die(pair: Pair, rules: frozenset[str], number: int) -> Pair:
    process = pair.processes[number]
    if process is not None:
        name, attempt = process.run
        pair = pair.with_job(name, single.die(pair.job(name), rules, attempt))
    return pair.with_process(number, None)


@move(processes)
def die_and_be_told(pair: Pair, rules: frozenset[str], number: int) -> Pair:
    """Its parent has seen the process die: the runs of the message end, and what nobody will start is released."""
    process = pair.processes[number]
    if process is None:
        return pair
    after = die(pair, rules, number)
    for name in NAMES:
        job = after.job(name)
        if job.status == RUNNING and after.came_with[NAMES.index(name)] == process.message:
            after = after.with_job(name, job.after_attempt(job.attempts < job.max_attempts, rules))
    for each in process.message:
        after = _released(after, *each)
    return after


# -- what must hold ---------------------------------------------------------------------------------------------------


def is_over(pair: Pair) -> bool:
    return pair.a.status in END and pair.b.status in END


def wrong_with(pair: Pair) -> str | None:
    wrong = [f"{name}: {each}" for name in NAMES if (each := single.wrong_with(pair.job(name)))]
    held = [process.run for process in pair.processes if process is not None]
    wrong += [f"two processes run {run}" for run in held if held.count(run) > 1]
    wrong += [
        f"the process that started {name} at attempt {attempt} does not know of it"
        for name in NAMES
        for attempt, _ in pair.job(name).runs
        if (name, attempt) not in held
    ]
    return wrong[0] if wrong else None


def wrong_between(before: Pair, after: Pair) -> str | None:
    wrong = (single.wrong_between(before.job(name), after.job(name)) for name in NAMES)
    return next(filter(None, wrong), None)
