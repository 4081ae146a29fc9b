"""OpenTelemetry: from the span that schedules a job to the span of its run."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from django_future_celery import Job, schedule_job, schedule_jobs
from django_future_celery.clock import SECOND
from django_future_celery.recovery import recover
from django_future_celery.runner import run_job
from tests.factories import row_of, started_job

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


@pytest.fixture
def exporter(monkeypatch, settings):
    """Keeps what is traced, from a provider of this test alone."""
    settings.FUTURE_CELERY_OPENTELEMETRY = True
    found = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return found


@pytest.fixture
def tracer(exporter):
    return trace.get_tracer("tests")


def schedule(name, alias, **options):
    return schedule_job("0s", f"tests.shop.jobs.{name}", using=alias, **options)


def run(job):
    return run_job(job.pk, job.attempts, using=job._state.db)


def spans(exporter):
    return {span.name.rpartition(".")[2]: span for span in exporter.get_finished_spans()}


def events(span):
    return [event.attributes for event in span.events]


def test_the_run_belongs_to_the_trace_in_which_it_was_scheduled(alias, exporter, tracer):
    with tracer.start_as_current_span("request"):
        job = schedule("note", alias)
    run(job)

    found = spans(exporter)
    note, request = found["note"], found["request"]
    assert note.context.trace_id == request.context.trace_id
    assert note.parent.span_id == request.context.span_id
    assert note.status.status_code == StatusCode.OK
    assert note.attributes["django_future_celery.job_id"] == job.pk
    assert note.attributes["django_future_celery.attempt"] == 1
    assert note.attributes["django_future_celery.status"] == "complete"


def test_jobs_that_are_scheduled_together_belong_each_to_its_span(alias, tracer):
    def calls():
        for name in ("first", "second"):
            with tracer.start_as_current_span(name):
                yield Job("0s", "tests.shop.jobs.note")
        yield Job("0s", "tests.shop.jobs.note")

    first, second, neither = (row_of(job)["trace_context"] for job in schedule_jobs(calls(), using=alias))
    assert first["traceparent"] != second["traceparent"]
    assert not neither


def test_the_run_is_linked_to_the_span_of_whoever_runs_it(alias, exporter, tracer):
    job = schedule("note", alias)
    with tracer.start_as_current_span("worker"):
        run(job)

    found = spans(exporter)
    assert found["note"].parent is None
    [link] = found["note"].links
    assert link.context.span_id == found["worker"].context.span_id


def test_what_the_job_traces_and_schedules_is_part_of_its_span(alias, rows, exporter):
    run(schedule("schedule_another", alias))

    span = spans(exporter)["schedule_another"]
    another = rows.get(callable_name="tests.shop.jobs.nothing")
    assert another.trace_context["traceparent"].split("-")[2] == f"{span.context.span_id:016x}"


def test_a_job_that_raises_has_its_error_on_the_span_without_secrets(alias, exporter):
    run(schedule("write_and_raise", alias, kwargs={"message": "password=hunter2"}))

    span = spans(exporter)["write_and_raise"]
    assert span.status.status_code == StatusCode.ERROR
    [event] = events(span)
    assert event["exception.type"] == "builtins.ValueError"
    assert "write_and_raise" in event["exception.stacktrace"]
    assert "hunter2" not in str(event)


def test_a_lost_run_that_others_end_writes_on_no_span_of_theirs(alias, exporter, tracer, now):
    started_job(alias)
    with tracer.start_as_current_span("beat"):
        recover(alias, now + 3600 * SECOND)

    assert "django_future_celery.status" not in spans(exporter)["beat"].attributes


def test_without_a_span_nothing_is_kept(alias, exporter):
    assert row_of(schedule("note", alias))["trace_context"] is None


def test_while_the_setting_is_off_nothing_is_kept_and_nothing_traced(alias, exporter, tracer, settings):
    settings.FUTURE_CELERY_OPENTELEMETRY = False
    with tracer.start_as_current_span("request"):
        job = schedule("note", alias)
    run(job)

    assert row_of(job)["trace_context"] is None
    assert set(spans(exporter)) == {"request"}


@pytest.mark.parametrize("context", [{"traceparent": "nonsense"}, {"traceparent": 5}, {}])
def test_a_context_that_makes_no_sense_fails_no_job(alias, exporter, context):
    job = schedule("note", alias)
    type(job).objects.using(alias).filter(pk=job.pk).update(trace_context=context)

    assert run(job).job.status == "complete"
