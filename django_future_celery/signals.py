"""What a project may listen to. Each signal is sent after the commit, in the process that moved the job.

``sender`` is ScheduledJob, ``job`` is the row as it is now. What a receiver raises is logged and changes nothing; what
it does keeps the next job waiting. A process that dies between the commit and the signal sends none.
"""

from __future__ import annotations

from django.dispatch import Signal

#: A run begins: its start is committed, its callable not yet called. Arguments: job.
job_started = Signal()
#: The job returned and its writes are committed. Arguments: job.
job_completed = Signal()
#: An attempt failed. Arguments: job; error, the exception, or None where it was not raised in this process: the
#: worker was lost, or the slot was over before the next attempt, and job.error says it; again, whether the job waits
#: for another attempt.
job_failed = Signal()
#: The slot was over before the job was ever started. Arguments: job.
job_expired = Signal()
#: The job was cancelled, while it waited by job.cancel(), or while it ran. Arguments: job; error, the exception that
#: ended its run, or None. ``ScheduledJob.objects….cancel()`` of many rows sends none for those that wait.
job_cancelled = Signal()

SIGNALS = (job_started, job_completed, job_failed, job_expired, job_cancelled)
