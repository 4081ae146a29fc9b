"""Everything that can happen to one job, and that each rule which protects it is needed.

The model in ``tests.model.job`` is searched to its last state. Then one rule is left out at a time: the search must
find the harm, and the shortest way to it is gone with the real functions, in each database, where no harm may come.
"""

from functools import cache

import pytest

from tests.model.bench import Bench, Twin
from tests.model.clock import clock_in_hand
from tests.model.job import END, MOVES, RULES
from tests.model.search import search

ATTEMPTS = (1, 2, 3)


@cache
def harm_without(rule):
    """What goes wrong without the rule, with as few attempts as it takes; and their number."""
    found = [(search(most, RULES - {rule}), most) for most in ATTEMPTS]
    return next(((each, most) for each, most in found if each.wrong), found[0])


@pytest.mark.parametrize("max_attempts", ATTEMPTS)
def test_nothing_that_can_happen_to_a_job_harms_it_and_it_can_always_end(max_attempts):
    found = search(max_attempts)

    assert found.wrong is None, str(found)


def test_the_search_makes_every_move_and_comes_to_every_end():
    found = search(max(ATTEMPTS))

    assert set(found.moves) == set(MOVES)
    assert {job.status for job in found.states} >= END


@pytest.mark.parametrize("rule", sorted(RULES))
def test_without_a_rule_harm_is_found(rule):
    found, _ = harm_without(rule)

    assert found.wrong, f"no harm is done without the rule that {rule}"


@pytest.fixture
def hand():
    with clock_in_hand() as hand:
        yield hand


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_shortest_way_to_harm_does_none_to_a_real_job(alias, rule, hand):
    found, max_attempts = harm_without(rule)
    twin = Twin(Bench.scheduled(alias, hand, max_attempts))
    print(found)

    for name, arguments in found.trace:
        hand.advance_to(hand.now + 1)
        twin.tell_time()
        twin.make(name, *arguments)
        twin.check()

    come_to_an_end(twin)


def come_to_an_end(twin):
    """Let time pass and everybody do their work, after all messages were lost and all processes have died."""
    lose_all(twin)
    for _ in range(6 * twin.model.max_attempts):
        if twin.model.status in END:
            return
        for name in ("opens", "wakes", "recover", "claim"):
            twin.make(name)
            twin.check()
        for message in twin.bench.messages:
            twin.run(message, raises=False)
            twin.check()
    raise AssertionError(f"the job did not end: {twin.row}")


def lose_all(twin):
    for message in twin.model.messages:
        twin.make("lose", message)
    for attempt, _ in twin.model.runs:
        twin.make("die", attempt)
