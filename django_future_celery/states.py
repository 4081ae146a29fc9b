"""The six statuses of a job, and who moves a job from one to the next; the kinds of processes that do."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    #: Waiting for its time, for a worker, or for its next attempt. Put here by schedule, retry and recover.
    SCHEDULED = "scheduled", _("scheduled")
    #: A process won the start and renews the run's lease. Left by record, or by recover when the lease is over.
    RUNNING = "running", _("running")
    #: The callable returned, and all that it wrote is committed. End.
    COMPLETE = "complete", _("complete")
    #: The last attempt raised, or its process was lost. End.
    FAILED = "failed", _("failed")
    #: The slot was over before the job was ever started. End.
    EXPIRED = "expired", _("expired")
    #: Somebody stopped it while it waited. End.
    CANCELLED = "cancelled", _("cancelled")


END_STATES = frozenset({Status.COMPLETE, Status.FAILED, Status.EXPIRED, Status.CANCELLED})


class Kind(models.TextChoices):
    #: Looks for due jobs and hands them over.
    BEAT = "beat", _("beat")
    #: Runs what it is handed.
    WORKER = "worker", _("worker")
    #: ``runscheduledjobs``: looks for due jobs and runs them.
    COMMAND = "command", _("command")


#: Without one of these nothing becomes of due jobs.
TICKING = frozenset({Kind.BEAT, Kind.COMMAND})
