"""What an action may do to a job, and how the number of such jobs is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.utils.translation import ngettext_lazy


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an action did to a job, and how the number of such jobs is told."""

    level: int
    text: Any


MOVED = Outcome(
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)d job was moved to its new start.", "%(count)d jobs were moved to their new start.", "count"
    ),
)
COPIED = Outcome(
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)d job had ended: a new one like it was scheduled.",
        "%(count)d jobs had ended: new ones like them were scheduled.",
        "count",
    ),
)
CANCELLED = Outcome(
    messages.SUCCESS, ngettext_lazy("%(count)d job was cancelled.", "%(count)d jobs were cancelled.", "count")
)
ASKED = Outcome(
    messages.SUCCESS,
    ngettext_lazy("%(count)d running job was asked to stop.", "%(count)d running jobs were asked to stop.", "count"),
)
TERMINATED = Outcome(
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)d running job is about to be killed.", "%(count)d running jobs are about to be killed.", "count"
    ),
)
ENDED = Outcome(
    messages.WARNING,
    ngettext_lazy("%(count)d job was skipped: it has ended.", "%(count)d jobs were skipped: they have ended.", "count"),
)
NOT_WAITING = Outcome(
    messages.WARNING,
    ngettext_lazy(
        "%(count)d job was skipped: it is running or has ended.",
        "%(count)d jobs were skipped: they are running or have ended.",
        "count",
    ),
)
SLOT_OVER = Outcome(
    messages.WARNING,
    ngettext_lazy(
        "%(count)d job was skipped: its slot is over. Reschedule it instead.",
        "%(count)d jobs were skipped: their slots are over. Reschedule them instead.",
        "count",
    ),
)
REFUSED = Outcome(
    messages.ERROR,
    ngettext_lazy("%(count)d job could not be scheduled.", "%(count)d jobs could not be scheduled.", "count"),
)
