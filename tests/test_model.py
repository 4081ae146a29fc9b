"""Everything that can happen to a job, and to two that share a message, and that each rule is needed.

The models in ``tests.model.job`` and ``tests.model.message`` are searched to their last state. Then one rule is left
out at a time: the search must find the harm, and the shortest way to it is gone with the real functions, in each
database, where no harm may come.
"""

from functools import cache

import pytest

from django_future_celery.models import ScheduledJob
from tests.model import job
from tests.model import message as two
from tests.model.bench import Bench, Twin
from tests.model.clock import clock_in_hand
from tests.model.couple import Couple
from tests.model.job import END, MOVES, RULES, Job
from tests.model.search import search, ways

ATTEMPTS = (1, 2, 3)


@cache
def harm_without(rule):
    """What goes wrong without the rule, with as few attempts as it takes; and their number."""
    found = [(search(job, Job(most), RULES - {rule}), most) for most in ATTEMPTS]
    return next(((each, most) for each, most in found if each.wrong), found[0])


@pytest.mark.parametrize("max_attempts", ATTEMPTS)
def test_nothing_that_can_happen_to_a_job_harms_it_and_it_can_always_end(max_attempts):
    found = search(job, Job(max_attempts), RULES)

    assert found.wrong is None, str(found)


def test_the_search_makes_every_move_and_comes_to_every_end():
    found = search(job, Job(max(ATTEMPTS)), RULES)

    assert set(found.moves) == set(MOVES)
    assert {state.status for state in found.states} >= END


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


# -- two jobs that share a message ------------------------------------------------------------------------------------

#: How often a and b may be started at most.
PAIRS = ((1, 1), (1, 2))


@cache
def harm_to_two_without(rule):
    return search(two, two.first(*PAIRS[0]), two.ALL_RULES - {rule})


def kind(before, step, after):
    """What is told apart of all that can happen: the move, and what becomes of b."""
    return step[0], before.b.status, after.b.status


@pytest.mark.parametrize("attempts", PAIRS)
def test_nothing_that_can_happen_to_jobs_that_share_a_message_harms_one_and_both_can_always_end(attempts):
    found = search(two, two.first(*attempts), two.ALL_RULES)

    assert found.wrong is None, str(found)
    assert set(found.moves) == set(two.MOVES)


@pytest.mark.parametrize("rule", sorted(two.RULES))
def test_without_a_rule_harm_is_found_to_jobs_that_share_a_message(rule):
    assert harm_to_two_without(rule).wrong, f"no harm is done without the rule that {rule}"


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_real_jobs_that_share_a_message_go_the_ways_of_the_model(alias, hand):
    """The shortest way to each harm, where none may come, and to a step of each kind."""
    traces = [harm_to_two_without(rule).trace for rule in sorted(two.RULES)]
    for trace in traces + ways(two, two.first(*PAIRS[0]), two.ALL_RULES, kind):
        print("\nAfter", *(f"{name}{arguments}" for name, arguments in trace), sep="\n  ")
        couple = Couple(alias, hand)
        for name, arguments in trace:
            hand.advance_to(hand.now + 1)
            couple.tell_time()
            couple.make(name, *arguments)
            couple.check()
        ScheduledJob.objects.using(alias).all().delete()
