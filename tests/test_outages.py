"""What is away is told once, and once more when it is back."""

import logging

import pytest

from django_future_celery.outages import Outages


@pytest.fixture(autouse=True)
def everything_is_logged(caplog):
    caplog.set_level(logging.DEBUG, "django_future_celery")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def levels(caplog):
    return [record.levelname for record in caplog.records]


def test_the_first_failure_is_a_warning_with_the_reason_and_those_after_it_are_for_debugging(caplog):
    outages = Outages()
    for reason in ("refused", "refused", "timed out"):
        outages.failed("The broker", "It takes nothing: %s", reason)

    assert levels(caplog) == ["WARNING", "DEBUG", "DEBUG"]
    assert caplog.messages[0] == "It takes nothing: refused"


def test_the_return_is_told_once_and_says_how_long_it_was(caplog):
    clock = Clock()
    outages = Outages(clock)
    outages.failed("The broker", "away")
    clock.now += 2
    outages.failed("The broker", "away")
    clock.now += 10.5
    outages.works("The broker")
    outages.works("The broker")

    assert levels(caplog) == ["WARNING", "DEBUG", "INFO"]
    assert caplog.messages[-1] == "The broker is back after 12.5 s."


def test_what_always_works_is_not_told(caplog):
    Outages().works("The broker")

    assert caplog.messages == []


def test_a_new_outage_is_news(caplog):
    outages = Outages()
    for _ in range(2):
        outages.failed("The broker", "away")
        outages.works("The broker")

    assert levels(caplog) == ["WARNING", "INFO"] * 2


def test_each_subject_has_outages_of_its_own(caplog):
    outages = Outages()
    outages.failed("The broker", "away")
    outages.failed("The database", "away")
    outages.works("The broker")

    assert levels(caplog) == ["WARNING", "WARNING", "INFO"]
