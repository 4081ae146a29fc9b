"""The jobs that the demo schedules, and what should become of them."""

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from django_future_celery import ScheduledJob
from reminders.models import Reminder
from reminders.outcomes import outcome

COLUMNS = ("id", "callable", "status", "when (UTC)", "result, or the last line of the traceback")


@dataclass(frozen=True)
class Scene:
    job: ScheduledJob
    expected: str


def schedule():
    """One job that is delivered, one that fails, one that expires, and one that still waits when the demo is over."""
    an_hour_ago = timezone.now() - timedelta(hours=1)
    return [
        Scene(remind("Water the plants", "ada@example.com", "2s"), "complete"),
        # The form would not have taken this address; the job finds out.
        Scene(remind("Call Bob back", "bob, the neighbour", "2s"), "failed"),
        # Like a job that no worker could run in time: its slot is over already.
        Scene(remind("Leave for the train", "cleo@example.com", an_hour_ago, "10m"), "expired"),
        Scene(remind("Pay the rent", "dan@example.com", "1d"), "scheduled"),
    ]


def schedule_more():
    """Some more, to watch or to cancel on the page."""
    later = {"20s": "Take the tea bag out", "1m": "Turn the pancake", "5m": "Look at the oven"}
    return [Scene(remind(text, "ada@example.com", when), "complete") for when, text in later.items()]


def remind(text, recipient, when, expires=None):
    return Reminder(text=text, recipient=recipient).schedule(when, expires)


def still_to_end(scenes):
    """How many jobs wait or run that should have ended by the end of the demo."""
    ids = [scene.job.pk for scene in scenes if scene.expected != "scheduled"]
    return len(ids) - ScheduledJob.objects.filter(pk__in=ids).ended().count()


def reload(scenes):
    for scene in scenes:
        scene.job.refresh_from_db()


def surprises(scenes):
    return [
        f"Job {scene.job.pk} is {scene.job.status}, it should be {scene.expected}."
        for scene in scenes
        if scene.job.status != scene.expected
    ]


def table(scenes):
    rows = [COLUMNS, *(row(scene.job) for scene in scenes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in rows)


def row(job):
    return (str(job.pk), job.callable_name, job.status, f"{job.time_slot_start:%Y-%m-%d %H:%M:%S}", outcome(job))


def tracebacks(scenes):
    return "\n".join(
        f"The traceback on the row of job {scene.job.pk}:\n\n{scene.job.error}"
        for scene in scenes
        if scene.job.status == "failed"
    )
