"""The latest failures, grouped by callable and by what was raised."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import TextField
from django.db.models.functions import Right

from django_future_celery.admin.samples import Samples
from django_future_celery.redaction import redact
from django_future_celery.states import Status

#: So many of the latest failed jobs are looked at. A form may have no more than 1,000 fields, one for each to retry.
FAILURES = 500
#: So many groups are shown, the largest first.
GROUPS = 10
#: Characters of an error that are read, from its end.
TAIL = 2000
#: Characters of a reason that are shown.
LONGEST_REASON = 120

_FRAME = re.compile(r"^  File .*$", re.MULTILINE)
#: A line at the margin below the last frame, such as ``shop.errors.NoStock: 7 left``.
_RAISED = re.compile(r"^(?P<name>[^\W\d][\w.]*)(?=:|$)", re.MULTILINE)
_NUMBER = re.compile(r"\d+")


@dataclass
class Failure:
    callable_name: str
    #: What was raised, or why the job failed without that.
    error: str
    latest: datetime | None
    #: The latest first.
    jobs: list[int] = field(default_factory=list)


def failures(samples: Samples) -> list[Failure]:
    """Give the groups of the latest failed jobs, the largest first."""
    found: dict[tuple[str, str], Failure] = {}
    for job in latest_failed(samples):
        key = job.callable_name, kind_of(job.tail)
        if key not in found:
            found[key] = Failure(job.callable_name, redact(key[1], "error", job), job.execution_end)
        found[key].jobs.append(job.pk)
    return sorted(found.values(), key=lambda group: -len(group.jobs))


def latest_failed(samples: Samples) -> Iterable[Any]:
    failed = samples.ended(Status.FAILED).jobs.order_by("-execution_end")
    tails = failed.annotate(tail=Right("error", TAIL, output_field=TextField()))
    return tails.only("pk", "callable_name", "execution_end")[:FAILURES]


def kind_of(error: str) -> str:
    """Give the class that a traceback ends with, or the first line of a reason, without its numbers."""
    frames = list(_FRAME.finditer(error))
    raised = _RAISED.search(error, frames[-1].end() if frames else 0)
    if raised and frames:
        return raised["name"]
    reason = error.strip().partition("\n")[0]
    return _NUMBER.sub("#", reason)[:LONGEST_REASON]
