"""How to say in one line what became of a job."""


def outcome(job):
    """The result, or why there is none: the last line of the traceback, or the reason; empty while the job waits."""
    lines = (job.return_value or job.error).splitlines()
    return lines[-1] if lines else ""
