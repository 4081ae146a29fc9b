"""Pages for monitoring, which a project mounts where monitoring alone reaches them: they ask for no login."""

from __future__ import annotations

from importlib import import_module

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from django_future_celery.checkup import Limits, report
from django_future_celery.conf import settings
from django_future_celery.dispatcher import databases


# A transaction around it would fail before the view could say that the database is away.
@transaction.non_atomic_requests
@require_safe
@cache_control(no_store=True)
def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 if all is well, and 503 if jobs are late or stuck, no beat ticks, or a database is away.

    The JSON has numbers, and a word for each problem: no names of callables, hosts or processes.
    """
    limits = Limits()
    reports = {alias: report(alias, limits) for alias in databases()}
    well = not any(each.problems for each in reports.values())
    body = {
        alias: {"problems": sorted(each.problems), **(each.checkup.figures() if each.checkup else {})}
        for alias, each in reports.items()
    }
    return JsonResponse({"ok": well, "databases": body}, status=200 if well else 503)


@transaction.non_atomic_requests
@require_safe
@cache_control(no_store=True)
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with all metrics in the text form of Prometheus; the labels have names of callables and queues.

    Raises:
        Http404: FUTURE_CELERY_PROMETHEUS is off.
    """
    if not settings.PROMETHEUS:
        raise Http404("FUTURE_CELERY_PROMETHEUS is off.")
    # It needs a package that may not be there.
    text, content_type = import_module("django_future_celery.gauges").exposition()
    return HttpResponse(text, content_type=content_type)
