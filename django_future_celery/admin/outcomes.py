"""What an action may do to a job, and how the number of such jobs is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.utils.formats import number_format
from django.utils.translation import ngettext_lazy


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an action did to a job, and how the number of such jobs is told."""

    name: str
    level: int
    text: Any

    def tell(self, number: int) -> str:
        return str(self.text % {"number": number, "count": number_format(number, force_grouping=True)})


MOVED = Outcome(
    "moved",
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)s job was moved to its new start.", "%(count)s jobs were moved to their new start.", "number"
    ),
)
COPIED = Outcome(
    "copied",
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)s job had ended: a new one like it was scheduled.",
        "%(count)s jobs had ended: new ones like them were scheduled.",
        "number",
    ),
)
CANCELLED = Outcome(
    "cancelled",
    messages.SUCCESS,
    ngettext_lazy("%(count)s job was cancelled.", "%(count)s jobs were cancelled.", "number"),
)
ASKED = Outcome(
    "asked",
    messages.SUCCESS,
    ngettext_lazy("%(count)s running job was asked to stop.", "%(count)s running jobs were asked to stop.", "number"),
)
TERMINATED = Outcome(
    "terminated",
    messages.SUCCESS,
    ngettext_lazy(
        "%(count)s running job is about to be killed.", "%(count)s running jobs are about to be killed.", "number"
    ),
)
ENDED = Outcome(
    "ended",
    messages.WARNING,
    ngettext_lazy(
        "%(count)s job was skipped: it has ended.", "%(count)s jobs were skipped: they have ended.", "number"
    ),
)
NOT_WAITING = Outcome(
    "not_waiting",
    messages.WARNING,
    ngettext_lazy(
        "%(count)s job was skipped: it is running or has ended.",
        "%(count)s jobs were skipped: they are running or have ended.",
        "number",
    ),
)
SLOT_OVER = Outcome(
    "slot_over",
    messages.WARNING,
    ngettext_lazy(
        "%(count)s job was skipped: its slot is over. Reschedule it instead.",
        "%(count)s jobs were skipped: their slots are over. Reschedule them instead.",
        "number",
    ),
)
REFUSED = Outcome(
    "refused",
    messages.ERROR,
    ngettext_lazy("%(count)s job could not be scheduled.", "%(count)s jobs could not be scheduled.", "number"),
)
CHANGED = Outcome(
    "changed",
    messages.SUCCESS,
    ngettext_lazy("%(count)s job has its new priority.", "%(count)s jobs have their new priority.", "number"),
)
NOT_ENDED = Outcome(
    "not_ended",
    messages.WARNING,
    ngettext_lazy(
        "%(count)s job was skipped: it has not ended.", "%(count)s jobs were skipped: they have not ended.", "number"
    ),
)
DELETED = Outcome(
    "deleted",
    messages.SUCCESS,
    ngettext_lazy("%(count)s job was deleted.", "%(count)s jobs were deleted.", "number"),
)
RUNNING = Outcome(
    "running",
    messages.WARNING,
    ngettext_lazy(
        "%(count)s job was skipped: it is running.", "%(count)s jobs were skipped: they are running.", "number"
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
