"""Walk through all states that the model can come to, the nearest first."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from tests.model.job import Move

Step = tuple[str, tuple[Any, ...]]
State = Any


class Model(Protocol):
    """What a module that is a model has."""

    MOVES: Mapping[str, Move]
    is_over: Callable[[State], bool]
    wrong_with: Callable[[State], str | None]
    wrong_between: Callable[[State, State], str | None]


class Found(NamedTuple):
    """What is wrong, if anything is, with the shortest way to it."""

    wrong: str | None
    trace: list[Step]
    states: Collection[State]
    moves: Collection[str]

    def __str__(self) -> str:
        steps = "\n".join(f"  {name}{arguments or '()'}" for name, arguments in self.trace)
        return f"After\n{steps}\n{self.wrong} ({len(self.states)} states looked at)"

    __repr__ = __str__


class Map:
    """The states that were reached, and how."""

    def __init__(self, model: Model, first: State) -> None:
        self.model = model
        self.came_from: dict[State, tuple[State, Step] | None] = {first: None}
        self.helped_from: dict[State, list[State]] = {}
        self.moves: set[str] = set()

    def enter(self, state: State, step: Step, after: State) -> bool:
        """Draw in a step; whether it leads to a new state."""
        name, _ = step
        self.moves.add(name)
        if self.model.MOVES[name].helps:
            self.helped_from.setdefault(after, []).append(state)
        is_new = after not in self.came_from
        if is_new:
            self.came_from[after] = state, step
        return is_new

    def found(self, wrong: str | None = None, trace: list[Step] | None = None) -> Found:
        return Found(wrong, trace or [], self.came_from.keys(), self.moves)

    def trace_to(self, state: State) -> list[Step]:
        steps: list[Step] = []
        while (origin := self.came_from[state]) is not None:
            state, step = origin
            steps.append(step)
        return steps[::-1]

    def hopeless(self) -> State | None:
        """The nearest state from which no end is reached by what comes by itself."""
        hopeful = {state for state in self.came_from if self.model.is_over(state)}
        queue = deque(hopeful)
        while queue:
            new = set(self.helped_from.get(queue.popleft(), ())) - hopeful
            hopeful |= new
            queue += new
        return next((state for state in self.came_from if state not in hopeful), None)


def steps_from(model: Model, state: State, rules: frozenset[str]) -> Iterator[tuple[Step, State]]:
    for move in model.MOVES.values():
        for arguments in move.possible(state):
            after = move.apply(state, rules, *arguments)
            if after != state:
                yield (move.name, arguments), after


def search(model: Model, first: State, rules: frozenset[str]) -> Found:
    reached, queue = Map(model, first), deque([first])
    while queue:
        state = queue.popleft()
        for step, after in steps_from(model, state, rules):
            if reached.enter(state, step, after):
                queue.append(after)
            if wrong := model.wrong_between(state, after) or model.wrong_with(after):
                return reached.found(wrong, [*reached.trace_to(state), step])
    if stuck := reached.hopeless():
        return reached.found("it can never end", reached.trace_to(stuck))
    return reached.found()


def ways(
    model: Model, first: State, rules: frozenset[str], kind: Callable[[State, Step, State], Any]
) -> list[list[Step]]:
    """Give the shortest way to a step of each kind."""
    reached, queue, found = Map(model, first), deque([first]), {}
    while queue:
        state = queue.popleft()
        for step, after in steps_from(model, state, rules):
            if reached.enter(state, step, after):
                queue.append(after)
            found.setdefault(kind(state, step, after), (state, step))
    return [[*reached.trace_to(state), step] for state, step in found.values()]
