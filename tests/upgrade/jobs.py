"""What the rows of released versions call and hold: nothing here may be renamed, or answer otherwise."""

from dataclasses import dataclass
from enum import Enum

from django_future_celery import JobCancelled, job_as_parameter


class Colour(Enum):
    RED = 1


@dataclass(frozen=True)
class Point:
    """What only a pickle can hold."""

    x: int
    y: int


def echo(*args, **kwargs):
    """Tell the arguments with their types."""
    return repr((args, kwargs))


def nothing():
    return None


def tell(thing, text):
    return f"{text} {thing._meta.model_name} {thing.pk}"


def boom():
    raise ValueError("boom")


def give_up():
    raise JobCancelled("nothing to do any more")


def tidy():
    return "tidy"


def newcomer():
    return "here"


@job_as_parameter
def succeed_at(job, attempt):
    if job.attempts < attempt:
        raise ValueError(f"attempt {job.attempts}")
    return f"attempt {job.attempts} of {job.max_attempts}"
