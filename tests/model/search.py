"""Walk through all states that the model can come to, the nearest first."""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.model.job import END, MOVES, RULES, Job, wrong_between, wrong_with

Step = tuple[str, tuple[Any, ...]]


class Found(NamedTuple):
    """What is wrong, if anything is, with the shortest way to it."""

    wrong: str | None
    trace: list[Step]
    states: int

    def __str__(self) -> str:
        steps = "\n".join(f"  {name}{arguments or '()'}" for name, arguments in self.trace)
        return f"After\n{steps}\n{self.wrong} ({self.states} states looked at)"


class Map:
    """The states that were reached, and how."""

    def __init__(self, first: Job) -> None:
        self.came_from: dict[Job, tuple[Job, Step] | None] = {first: None}
        self.helped_from: dict[Job, list[Job]] = {}

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


def steps_from(job: Job, rules: frozenset[str]) -> Iterator[tuple[Step, Job, bool]]:
    for move in MOVES.values():
        for arguments in move.possible(job):
            after = move.apply(job, rules, *arguments)
            if after != job:
                yield (move.name, arguments), after, move.helps


def search(max_attempts: int, rules: frozenset[str] = RULES) -> Found:
    first = Job(max_attempts)
    reached, queue = Map(first), deque([first])
    while queue:
        job = queue.popleft()
        for step, after, helps in steps_from(job, rules):
            if helps:
                reached.helped_from.setdefault(after, []).append(job)
            if after not in reached.came_from:
                reached.came_from[after] = job, step
                queue.append(after)
            if wrong := wrong_between(job, after) or wrong_with(after):
                return Found(wrong, [*reached.trace_to(job), step], len(reached.came_from))
    if stuck := reached.hopeless():
        return Found("it can never end", reached.trace_to(stuck), len(reached.came_from))
    return Found(None, [], len(reached.came_from))
