"""Walk through all states that the model can come to, the nearest first."""

from collections import deque
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from tests.model.job import END, MOVES, RULES, Job, wrong_between, wrong_with

Step = tuple[str, tuple[Any, ...]]


class Found(NamedTuple):
    """What is wrong, if anything is, with the shortest way to it."""

    wrong: str | None
    trace: list[Step]
    states: Collection[Job]
    moves: Collection[str]

    def __str__(self) -> str:
        steps = "\n".join(f"  {name}{arguments or '()'}" for name, arguments in self.trace)
        return f"After\n{steps}\n{self.wrong} ({len(self.states)} states looked at)"

    __repr__ = __str__


class Map:
    """The states that were reached, and how."""

    def __init__(self, first: Job) -> None:
        self.came_from: dict[Job, tuple[Job, Step] | None] = {first: None}
        self.helped_from: dict[Job, list[Job]] = {}
        self.moves: set[str] = set()

    def enter(self, job: Job, step: Step, after: Job) -> bool:
        """Draw in a step; whether it leads to a new state."""
        name, _ = step
        self.moves.add(name)
        if MOVES[name].helps:
            self.helped_from.setdefault(after, []).append(job)
        is_new = after not in self.came_from
        if is_new:
            self.came_from[after] = job, step
        return is_new

    def found(self, wrong: str | None = None, trace: list[Step] | None = None) -> Found:
        return Found(wrong, trace or [], self.came_from.keys(), self.moves)

    def trace_to(self, job: Job) -> list[Step]:
        steps: list[Step] = []
        while (origin := self.came_from[job]) is not None:
            job, step = origin
            steps.append(step)
        return steps[::-1]

    def hopeless(self) -> Job | None:
        """The nearest state from which no end is reached by what comes by itself."""
        hopeful = {job for job in self.came_from if job.status in END}
        queue = deque(hopeful)
        while queue:
            new = set(self.helped_from.get(queue.popleft(), ())) - hopeful
            hopeful |= new
            queue += new
        return next((job for job in self.came_from if job not in hopeful), None)


def steps_from(job: Job, rules: frozenset[str]) -> Iterator[tuple[Step, Job]]:
    for move in MOVES.values():
        for arguments in move.possible(job):
            after = move.apply(job, rules, *arguments)
            if after != job:
                yield (move.name, arguments), after


def search(max_attempts: int, rules: frozenset[str] = RULES) -> Found:
    first = Job(max_attempts)
    reached, queue = Map(first), deque([first])
    while queue:
        job = queue.popleft()
        for step, after in steps_from(job, rules):
            if reached.enter(job, step, after):
                queue.append(after)
            if wrong := wrong_between(job, after) or wrong_with(after):
                return reached.found(wrong, [*reached.trace_to(job), step])
    if stuck := reached.hopeless():
        return reached.found("it can never end", reached.trace_to(stuck))
    return reached.found()
