"""OpenTelemetry: the run of a job is a span of the trace in which the job was scheduled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from django_future_celery.conf import settings
from django_future_celery.redaction import redact, redacted_error
from django_future_celery.states import Status
from django_future_celery.text import describe_value

if TYPE_CHECKING:
    from django_future_celery.models import ScheduledJob

NAME = "django_future_celery"

#: The run in this context. It may not be the current span, for a callable may leave another one behind.
_run: ContextVar[tuple[ScheduledJob, Span] | None] = ContextVar("run", default=None)


def carrier() -> dict[str, str] | None:
    """Give the current trace context in the form that headers have; None if there is none."""
    found: dict[str, str] = {}
    propagate.inject(found)
    return found or None


@contextmanager
def span_of(job: ScheduledJob) -> Iterator[None]:
    """Open the span of a run, as a child of the one that scheduled it, linked to the one that is open here."""
    here = trace.get_current_span().get_span_context()
    span = trace.get_tracer(NAME).start_span(
        job.callable_name,
        context=propagate.extract(job.trace_context or {}, context=context.Context()),
        kind=SpanKind.CONSUMER,
        links=[Link(here)] if here.is_valid else [],
        attributes={
            "code.function.name": job.callable_name,
            f"{NAME}.job_id": job.pk,
            f"{NAME}.attempt": job.attempts,
            f"{NAME}.queue": job.queue,
        },
    )
    outside, mine = context.attach(trace.set_span_in_context(span)), _run.set((job, span))
    try:
        yield
    finally:
        _run.reset(mine)
        context.detach(outside)
        span.end()


def end(job: ScheduledJob, error: BaseException | None) -> None:
    """Note on the span of the run how it ended; nothing if the job did not run in this context."""
    run = _run.get()
    if run is None or run[0] is not job:
        return
    span = run[1]
    span.set_attribute(f"{NAME}.status", str(job.status))
    if error is not None:
        kind = type(error)
        span.add_event(
            "exception",
            {
                "exception.type": f"{kind.__module__}.{kind.__qualname__}",
                "exception.message": redact(describe_value(error, settings.MAX_ERROR_SIZE), "error", job),
                "exception.stacktrace": redacted_error(error, job),
            },
        )
    if job.status in (Status.FAILED, Status.SCHEDULED):
        span.set_status(StatusCode.ERROR, "" if error is None else type(error).__name__)
    else:
        span.set_status(StatusCode.OK)
