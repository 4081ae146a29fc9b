"""The jobs that the list's own filters choose, for a page that is not the list."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, QueryDict

from django_future_celery.models import ScheduledJob

#: What the parameters of the list begin with that choose jobs by how far they are: the overview shows all of these
#: side by side. The others choose the page, its order and the like.
LEFT_OUT = (
    *("status", "state", "time_slot_start", "time_slot_end", "wake_at", "dispatched_at"),
    *("execution_start", "execution_end", "created_at", "timing", "before"),
    *("p", "o", "e", "all", "_facets"),
)


def selection(model_admin: admin.ModelAdmin[ScheduledJob], request: HttpRequest) -> ChangeList:
    """Give a list of jobs that has the filters of ``request``, and reads no rows.

    Raises:
        IncorrectLookupParameters: a filter cannot be understood.
    """
    jobs = model_admin.get_changelist(request)
    without_rows: Any = type("Selection", (jobs,), {"get_results": lambda self, request: None})
    return without_rows(  # type: ignore[no-any-return]
        with_parameters(request, filters_of(request)),
        model_admin.model,
        list_display=(),
        list_display_links=(),
        list_filter=model_admin.get_list_filter(request),
        date_hierarchy=None,
        search_fields=model_admin.get_search_fields(request),
        list_select_related=False,
        list_per_page=1,
        list_max_show_all=1,
        list_editable=(),
        model_admin=model_admin,
        sortable_by=(),
        search_help_text="",
    )


def filters_of(request: HttpRequest) -> QueryDict:
    """Give the parameters of the request without those of ``LEFT_OUT``."""
    kept = request.GET.copy()
    for name in [name for name in kept if is_left_out(name)]:
        del kept[name]
    return kept


def is_left_out(parameter: str) -> bool:
    return parameter.partition("__")[0] in LEFT_OUT


def is_kept(spec: Any) -> bool:
    """Whether a filter of the list is one of the overview, too."""
    return not any(is_left_out(parameter) for parameter in spec.expected_parameters())


def with_parameters(request: HttpRequest, parameters: QueryDict) -> HttpRequest:
    """Give the same request with other parameters."""
    other = HttpRequest()
    vars(other).update(vars(request))
    other.GET = parameters  # type: ignore[assignment]
    return other
