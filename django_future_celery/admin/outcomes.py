"""What an action may do to a job, and how the number of such jobs is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.utils.translation import ngettext_lazy


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an action did to a job, and how the number of such jobs is told."""

    name: str
    level: int
    text: Any


MOVED = Outcome(
    "moved",
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)d job was moved to its new start.", "%(count)d jobs were moved to their new start.", "count"
    ),
)
COPIED = Outcome(
    "copied",
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)d job had ended: a new one like it was scheduled.",
        "%(count)d jobs had ended: new ones like them were scheduled.",
        "count",
    ),
)
CANCELLED = Outcome(
    "cancelled",
    messages.SUCCESS,
    ngettext_lazy("%(count)d job was cancelled.", "%(count)d jobs were cancelled.", "count"),
)
ASKED = Outcome(
    "asked",
    messages.SUCCESS,
    ngettext_lazy("%(count)d running job was asked to stop.", "%(count)d running jobs were asked to stop.", "count"),
)
TERMINATED = Outcome(
    "terminated",
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)d running job is about to be killed.", "%(count)d running jobs are about to be killed.", "count"
    ),
)
ENDED = Outcome(
    "ended",
    messages.WARNING,
    ngettext_lazy("%(count)d job was skipped: it has ended.", "%(count)d jobs were skipped: they have ended.", "count"),
)
NOT_WAITING = Outcome(
    "not_waiting",
    messages.WARNING,
    ngettext_lazy(
        "%(count)d job was skipped: it is running or has ended.",
        "%(count)d jobs were skipped: they are running or have ended.",
        "count",
    ),
)
SLOT_OVER = Outcome(
    "slot_over",
    messages.WARNING,
    ngettext_lazy(
        "%(count)d job was skipped: its slot is over. Reschedule it instead.",
        "%(count)d jobs were skipped: their slots are over. Reschedule them instead.",
        "count",
    ),
)
REFUSED = Outcome(
    "refused",
    messages.ERROR,
    ngettext_lazy("%(count)d job could not be scheduled.", "%(count)d jobs could not be scheduled.", "count"),
)
CHANGED = Outcome(
    "changed",
    messages.SUCCESS,
    ngettext_lazy("%(count)d job has its new priority.", "%(count)d jobs have their new priority.", "count"),
)
NOT_ENDED = Outcome(
    "not_ended",
    messages.WARNING,
    ngettext_lazy(
        "%(count)d job was skipped: it has not ended.", "%(count)d jobs were skipped: they have not ended.", "count"
    ),
)
DELETED = Outcome(
    "deleted",
    messages.SUCCESS,
    ngettext_lazy("%(count)d job was deleted.", "%(count)d jobs were deleted.", "count"),
)
RUNNING = Outcome(
    "running",
    messages.WARNING,
    ngettext_lazy(
        "%(count)d job was skipped: it is running.", "%(count)d jobs were skipped: they are running.", "count"
    ),
)

OUTCOMES = {
    outcome.name: outcome
    for outcome in (
        MOVED,
        COPIED,
        CANCELLED,
        ASKED,
        TERMINATED,
        CHANGED,
        DELETED,
        ENDED,
        NOT_ENDED,
        NOT_WAITING,
        RUNNING,
        SLOT_OVER,
        REFUSED,
    )
}
