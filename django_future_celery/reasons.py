"""Why a job has not run yet, or what became of it: one sentence for people."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.formats import localize
from django.utils.translation import gettext, ngettext

from django_future_celery.clock import to_datetime
from django_future_celery.conf import settings
from django_future_celery.redaction import redact
from django_future_celery.sizes import sizes
from django_future_celery.states import Status
from django_future_celery.text import storable

if TYPE_CHECKING:
    from django_future_celery.models import ScheduledJob

#: Characters of the reason on the row that the sentence takes in.
MOST_QUOTED = 300


def why_not_yet(job: ScheduledJob, now: datetime) -> str:
    """See :meth:`django_future_celery.models.ScheduledJob.why_not_yet`."""
    if job.status == Status.SCHEDULED:
        sentence = _waiting(job, now)
    else:
        sentence = _running(job, now) if job.status == Status.RUNNING else _ended(job)
    # Some languages write times that end in a full stop of their own: "9 a.m."
    return sentence[:-1] if sentence.endswith("..") else sentence


def _waiting(job: ScheduledJob, now: datetime) -> str:
    if job.time_slot_end is not None and job.time_slot_end < now:
        return gettext("Its slot ended on %(end)s: the next tick ends it.") % {"end": _told(job.time_slot_end)}
    if job.time_slot_start > now:
        return gettext("It is not due until %(start)s.") % {"start": _told(job.time_slot_start)}
    if job.dispatched_at is not None:
        return _sent(job)
    if job.unknown_since is not None:
        return _without_code(job)
    return _pausing(job) if _wake(job) > now else _due(job, now)


def _sent(job: ScheduledJob) -> str:
    told = {"sent": _told(job.dispatched_at), "again": _told(_wake(job)), "queue": job.queue, "count": job.dispatches}
    if job.dispatches > 1:
        times = ngettext(
            "It was sent %(count)d time, last on %(sent)s, and no worker has started it: is one at work on its queue? "
            "It is sent again on %(again)s.",
            "It was sent %(count)d times, last on %(sent)s, and no worker has started it: is one at work on its "
            "queue? It is sent again on %(again)s.",
            job.dispatches,
        )
        return times % told
    if job.queue:
        text = gettext("It was sent to the queue %(queue)s on %(sent)s, and no worker has started it yet.")
        return text % told
    return gettext("It was sent on %(sent)s, and no worker has started it yet.") % told


def _without_code(job: ScheduledJob) -> str:
    text = gettext(
        "It has waited since %(since)s for a worker that has its code (%(reason)s); asked again on %(again)s."
    )
    reason = storable(" ".join(redact(job.error, "error", job).split()), MOST_QUOTED)
    return text % {"since": _told(job.unknown_since), "reason": reason, "again": _told(_wake(job))}


def _pausing(job: ScheduledJob) -> str:
    again = {"again": _told(_wake(job)), "attempts": job.attempts, "most": job.max_attempts}
    if job.attempts:
        return gettext("Attempt %(attempts)d of %(most)d failed; the next one is due on %(again)s.") % again
    return gettext("A tick looks at it again on %(again)s.") % again


def _due(job: ScheduledJob, now: datetime) -> str:
    _, window, sent = sizes(type(job).objects.using(job.database))
    told = {"since": _told(_wake(job)), "window": window}
    if sent >= window:
        text = ngettext(
            "It has been due since %(since)s and waits for room: %(window)d job is with the broker already.",
            "It has been due since %(since)s and waits for room: %(window)d jobs are with the broker already.",
            window,
        )
    elif now - _wake(job) > timedelta(seconds=2 * settings.TICK_SECONDS):
        text = gettext(
            "It has been due since %(since)s, and no tick has sent it: is a beat running, and does the broker answer?"
        )
    else:
        text = gettext("It has been due since %(since)s: the next tick sends it.")
    return text % told


def _running(job: ScheduledJob, now: datetime) -> str:
    told = {
        "start": _told(job.execution_start),
        "asked": _told(job.cancel_requested_at),
        "sign": _told(_wake(job) - timedelta(seconds=settings.RUN_LEASE_SECONDS)),
    }
    if _wake(job) < now:
        text = gettext(
            "It has been running since %(start)s, and gave its last sign of life on %(sign)s: the next tick ends it."
        )
    elif job.cancel_requested_at is not None:
        text = gettext("It has been running since %(start)s, and was asked to stop on %(asked)s.")
    else:
        text = gettext("It has been running since %(start)s.")
    return text % told


def _ended(job: ScheduledJob) -> str:
    told = {"end": _told(job.execution_end), "attempts": job.attempts, "most": job.max_attempts}
    match job.status:
        case Status.COMPLETE:
            return gettext("It was completed on %(end)s.") % told
        case Status.EXPIRED:
            told["end"] = _told(job.time_slot_end)
            return gettext("Its slot ended on %(end)s, before a worker could start it.") % told
        case Status.CANCELLED:
            times = [each for each in (job.cancel_requested_at, job.execution_end) if each is not None]
            return gettext("It was cancelled on %(end)s.") % {"end": _told(max(times, default=None))}
        case _ if job.attempts:
            return gettext("Attempt %(attempts)d of %(most)d failed on %(end)s, and there is none after it.") % told
        case _:
            return gettext("It failed before it was ever started.")


def _wake(job: ScheduledJob) -> datetime:
    """When a tick is to look at the row next."""
    return to_datetime(job.wake_at or 0)


def _told(moment: datetime | None) -> str:
    if moment is None:
        # Translators: stands where else a date and time stands, as in "It was completed on an unknown day."
        return gettext("an unknown day")
    return str(localize(timezone.template_localtime(moment)))  # type: ignore[attr-defined]
