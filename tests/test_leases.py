"""Of several beats one holds the lease: the first one, until it gives it back or is silent for too long."""

import pytest
from django.db import OperationalError, connections

from django_future_celery.clock import SECOND, database_now
from django_future_celery.leadership import Leadership
from django_future_celery.models import BeatLease
from tests.test_races import at_once

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

APP = "shop"


@pytest.fixture
def leases(alias):
    return BeatLease.objects.using(alias)


@pytest.fixture
def over(leases):
    """Let the time of a lease pass."""

    def over():
        leases.filter(name=APP).update(until=1)

    return over


def held(leases):
    return leases.values("holder", "last_runs").get(name=APP)


def test_the_first_to_come_has_it_and_nobody_else(leases):
    assert leases.take(APP, "first")
    assert not leases.take(APP, "second")
    assert not leases.renew(APP, "second")
    assert held(leases)["holder"] == "first"


def test_it_lasts_as_long_as_the_setting_says_by_the_clock_of_the_database(alias, leases, settings):
    settings.FUTURE_CELERY_BEAT_LEASE_SECONDS = 30
    before = database_now(alias)
    leases.take(APP, "first")

    assert 30 * SECOND <= leases.get().until - before < 60 * SECOND


def test_its_holder_keeps_it_by_renewing_it(leases, over):
    leases.take(APP, "first")
    over()
    assert leases.renew(APP, "first")
    assert not leases.take(APP, "second")


def test_the_next_one_takes_it_when_it_is_over_and_then_it_cannot_be_renewed(leases, over):
    leases.take(APP, "first")
    over()
    assert leases.take(APP, "second")
    assert not leases.renew(APP, "first")
    assert not leases.take(APP, "first")
    assert held(leases)["holder"] == "second"


def test_given_back_it_is_free_at_once(leases):
    leases.take(APP, "first")
    assert leases.release(APP, "first")
    assert leases.take(APP, "second")


def test_only_its_holder_can_give_it_back(leases):
    leases.take(APP, "first")
    assert not leases.release(APP, "second")
    assert held(leases)["holder"] == "first"


def test_each_app_has_one_of_its_own(leases):
    assert leases.take(APP, "first")
    assert leases.take("another", "second")


def test_what_was_sent_stays_written_for_the_next_one(leases, over):
    leases.take(APP, "first")
    leases.renew(APP, "first", '{"nightly": "today"}')
    leases.renew(APP, "first")
    over()
    leases.take(APP, "second")
    assert not leases.renew(APP, "first", "too late")
    assert held(leases) == {"holder": "second", "last_runs": '{"nightly": "today"}'}


def test_of_many_who_want_it_at_once_one_gets_it(alias, leases, over):
    for each in range(8):
        takes = [lambda name=f"{each}-{n}": leases.take(APP, name) for n in range(4)]
        assert at_once(alias, *takes).count(True) == 1
        over()


def test_of_the_late_holder_and_the_one_who_takes_over_one_gets_it(alias, leases, over):
    holder = "0"
    leases.take(APP, holder)
    for each in range(1, 9):
        over()
        renewed, taken = at_once(
            alias,
            lambda holder=holder: leases.renew(APP, holder),
            lambda each=each: leases.take(APP, str(each)),
        )
        # A renewal that comes first has the other come too early; one that comes later finds the lease taken.
        assert renewed != taken
        holder = str(each) if taken else holder


class TestABeat:
    def test_knows_whether_it_leads(self):
        first, second = Leadership(APP), Leadership(APP)

        assert (first.take(), second.take()) == (True, False)
        assert (first.renew(), second.renew()) == (True, False)
        first.release()
        assert (first.renew(), second.take()) == (False, True)

    def test_does_not_take_itself_for_another_with_the_same_host_and_process_id(self):
        assert Leadership(APP).holder != Leadership(APP).holder

    def test_reads_what_the_one_before_has_sent(self):
        first, second = Leadership(APP), Leadership(APP)
        first.take()
        assert first.last_runs() == ""
        first.renew("nightly")
        first.release()
        second.take()

        assert second.last_runs() == "nightly"

    def test_gives_back_nothing_that_it_does_not_have(self):
        first, second = Leadership(APP), Leadership(APP)
        first.take()
        second.release()

        assert first.renew()

    def test_ends_also_if_the_database_does_not_answer(self, monkeypatch):
        def away(*args):
            raise OperationalError("the database is away")

        beat = Leadership(APP)
        beat.take()
        monkeypatch.setattr("django_future_celery.leases.BeatLeaseQuerySet.release", away)
        beat.release()

        assert not beat.held

    def test_does_not_use_the_connection_that_a_signal_may_have_interrupted(self, monkeypatch):
        beat, used = Leadership(APP), []
        beat.take()
        monkeypatch.setattr(
            "django_future_celery.leases.BeatLeaseQuerySet.release", lambda *args: used.append(connections["default"])
        )
        beat.release()

        assert used and used[0] is not connections["default"]
