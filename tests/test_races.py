"""Dispatchers and workers that do the same at the same moment, in threads with connections of their own."""

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections
from django.utils import timezone

from django_future_celery.clock import SECOND, database_now
from django_future_celery.dispatcher import take_due, tick
from django_future_celery.recovery import recover
from django_future_celery.runner import run_job
from django_future_celery.states import END_STATES
from tests.factories import due_job, row_of, started_job
from tests.shop.models import Ledger

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

PATH = "tests.shop.jobs."
ROUNDS = 8
HOUR = 3600 * SECOND


def at_once(alias, *calls):
    """Make the calls in one thread each, let loose together; give what they return."""
    barrier = Barrier(len(calls))

    def make(call):
        try:
            connections[alias].ensure_connection()
            barrier.wait(30)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(60) for future in [pool.submit(make, call) for call in calls]]


def ledger(alias):
    return Counter(Ledger.objects.using(alias).values_list("entry", flat=True))


def test_two_dispatchers_never_take_the_same_job(alias):
    jobs = {due_job(alias).pk for _ in range(60)}

    def take_all():
        taken = []
        while claim := take_due(alias, database_now(alias)).ready:
            taken += [job.pk for job in claim]
        return taken

    claims = at_once(alias, take_all, take_all, take_all)

    # One that found all rows locked went home with nothing; whatever was left is due at the next tick.
    taken = Counter(pk for claim in claims for pk in claim) + Counter(take_all())
    assert taken == Counter(dict.fromkeys(jobs, 1))


@pytest.mark.parametrize("workers", [2, 4])
def test_of_several_workers_with_the_same_message_one_runs_the_job(alias, workers):
    for each in range(ROUNDS):
        job = due_job(alias, callable_name=f"{PATH}note", args_text=f'["run {each}"]')

        outcomes = at_once(alias, *[lambda job=job: run_job(job.pk, 0, using=alias)] * workers)

        assert sum(outcome is not None for outcome in outcomes) == 1
        assert row_of(job)["attempts"] == 1
    assert ledger(alias) == Counter(f"run {each}" for each in range(ROUNDS))


def test_of_a_worker_and_somebody_who_cancels_one_wins(alias):
    for each in range(ROUNDS):
        job = due_job(alias, args_text=f'["{each}"]')

        outcome, cancelled = at_once(alias, lambda job=job: run_job(job.pk, 0, using=alias), job.cancel)

        assert cancelled == (outcome is None)
        assert row_of(job)["status"] == ("cancelled" if cancelled else "complete")
        assert ledger(alias)[str(each)] == (not cancelled)


def test_a_lost_run_is_ended_by_one_of_two_recoveries(alias, rows):
    for _ in range(ROUNDS):
        job = started_job(alias)
        over = job.wake_at + SECOND

        recovered = at_once(alias, *[lambda over=over: recover(alias, over)] * 2)

        # Both may pass over a row that the other has locked just then, never both take it.
        assert sum(each.failed for each in recovered) == 1
        assert row_of(job)["status"] == "failed"


def test_of_the_end_of_a_run_and_its_recovery_one_wins(alias, rows):
    for _ in range(ROUNDS):
        job = started_job(alias)
        over = job.wake_at + SECOND

        completed, recovered = at_once(
            alias,
            lambda job=job: rows.complete(job, "in time", timezone.now()),
            lambda over=over: recover(alias, over),
        )

        assert row_of(job)["status"] == ("complete" if completed else "failed")
        assert recovered.failed == (not completed)


def test_in_the_throng_each_job_has_one_end_and_what_complete_ones_wrote_is_there_once(alias, rows, settings):
    """Ticks, workers with doubled and stale messages, recoveries that come too early, and cancels, all at once."""
    settings.FUTURE_CELERY_RETRY_BACKOFF_SECONDS = 0.001
    jobs = [due_job(alias, args_text=f'["{n}"]', max_attempts=1 + n % 3).pk for n in range(40)]

    def work(seed):
        chance = random.Random(seed)
        for _ in range(60):
            messages = []
            tick(messages.extend, alias)
            stale = ((pk, attempts) for pk in chance.sample(jobs, 3) for attempts in (0, 1))
            for pk, attempts in [*((job.pk, job.attempts) for job in messages[:5]), *stale]:
                run_job(pk, attempts, using=alias)
            if chance.random() < 0.2:
                recover(alias, database_now(alias) + HOUR)
            rows.filter(pk=chance.choice(jobs)).cancel()
            if not rows.exclude(status__in=END_STATES).exists():
                break

    at_once(alias, *[lambda seed=seed: work(seed) for seed in range(3)])

    assert rows.exclude(status__in=END_STATES).count() == 0
    complete = {json.loads(text)[0] for text in rows.filter(status="complete").values_list("args_text", flat=True)}
    assert complete
    assert ledger(alias) == Counter(dict.fromkeys(complete, 1))
