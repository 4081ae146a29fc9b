"""The list of jobs: what it reads, whatever the number of rows."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import InvalidPage
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import number_format

from django_future_celery.admin.tabs import TABS, Read, Rows, Tab, of_object
from django_future_celery.admin.targets import note_targets
from django_future_celery.admin.windows import MOST_FOUND, MOST_SEARCHED, Found, find
from django_future_celery.clock import to_micros
from django_future_celery.models import ScheduledJob
from django_future_celery.states import END_STATES

#: Columns that may hold many kilobytes, which no list shows.
LONG_COLUMNS = ("args_text", "kwargs_text", "return_value", "error", "failures")

#: Names in the query string, beside the columns.
STATE, TIMING, BEFORE = "state", "timing", "before"
OBJECT = ("content_type__id__exact", "object_id")
#: No database has a larger id.
LAST_ID = 2**63 - 1


class JobList(ChangeList):
    root_queryset: Any
    found: Found

    def __init__(self, request: HttpRequest, *args: Any, **options: Any) -> None:
        self.now = to_micros(timezone.now())
        super().__init__(request, *args, **options)

    # -- what is asked for --------------------------------------------------------------------------------------------

    @property
    def tab(self) -> Tab:
        asked = TABS.get(self.params.get(STATE, ""), TABS["all"])
        # Only a waiting job is late, or about to expire.
        return TABS["scheduled"] if self.params.get(TIMING) and asked.name in ("all", *END_STATES) else asked

    @property
    def read(self) -> Read:
        of_type, key = (self.params.get(name) for name in OBJECT)
        return of_object(of_type, key) if of_type and key else self.tab.read

    @property
    def is_by_id(self) -> bool:
        return self.tab.by_id and self.read == self.tab.read

    @property
    def before(self) -> int | None:
        text = self.params.get(BEFORE, "")
        return min(int(text), LAST_ID) if text.isdecimal() and self.tab.by_id else None

    @cached_property
    def base(self) -> Rows:
        """The rows before any filter, back from where another list ended."""
        rows: Rows = self.root_queryset
        return rows if self.before is None else rows.filter(pk__lt=self.before)

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """All rows that match, for an action on them. The list itself reads only ``found``."""
        self.filtered = cast("Rows", super().get_queryset(request, exclude_parameters))
        rows = self.tab.rows(self.filtered, self.now)
        return rows if self.before is None else rows.filter(pk__lt=self.before)

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """As the tab's index has it: any other order would sort the table."""
        return ["-pk"]

    @property
    def is_narrowed(self) -> bool:
        return len(self.filtered.query.where) > len(self.root_queryset.query.where)

    # -- what is found ------------------------------------------------------------------------------------------------

    def get_results(self, request: HttpRequest) -> None:
        wanted = self.tab.rows(self.filtered, self.now) if self.is_narrowed else None
        self.found = find(self.read, self.base, self.now, wanted, by_id=self.is_by_id)
        ids = self.with_number(self.found.ids)
        self.paginator = self.model_admin.get_paginator(request, ids, self.list_per_page)  # type: ignore[arg-type]
        self.result_count = len(ids)
        # Equal, so that the search form does not tell the number as well.
        self.show_full_result_count, self.full_result_count = False, self.result_count
        self.show_admin_actions = bool(ids)
        self.can_show_all = self.result_count <= self.list_max_show_all
        self.multi_page = self.result_count > self.list_per_page
        self.result_list: Any = self.rows_of(ids if self.show_all and self.can_show_all else self.page_of(ids))

    def with_number(self, ids: list[int]) -> list[int]:
        """Put the job first whose number is searched for."""
        number = int(self.query) if self.query.isdecimal() and len(self.query) < 19 else None
        others = [pk for pk in ids if pk != number]
        return [number, *others] if number and self.root_queryset.filter(pk=number).exists() else ids

    def page_of(self, ids: list[int]) -> list[int]:
        try:
            page: list[int] = self.paginator.page(self.page_num).object_list
        except InvalidPage:
            raise IncorrectLookupParameters from None
        return page

    def rows_of(self, ids: list[int]) -> list[ScheduledJob]:
        jobs = self.root_queryset.filter(pk__in=ids).defer(*LONG_COLUMNS).in_bulk()
        rows = [jobs[pk] for pk in ids if pk in jobs]
        note_targets(rows)
        return rows

    # -- what is told -------------------------------------------------------------------------------------------------

    @property
    def count_text(self) -> str:
        return capped_text(self.result_count, self.found.capped)

    @property
    def searched_text(self) -> str:
        """The number of jobs that were looked at, if there are others."""
        return number_format(MOST_SEARCHED, force_grouping=True) if self.found.unfinished else ""

    @property
    def older_link(self) -> str:
        """Where the list, or the search, goes on with older jobs."""
        if self.found.last is None or not self.is_by_id:
            return ""
        return self.get_query_string({BEFORE: self.found.last})

    @property
    def newest_link(self) -> str:
        return self.get_query_string({BEFORE: None}) if self.before is not None else ""

    @cached_property
    def tabs(self) -> list[dict[str, Any]]:
        """The tabs with the numbers of their jobs, as far as they are counted."""
        return [self.describe(tab, tab.read(self.root_queryset, self.now, MOST_FOUND + 1)) for tab in TABS.values()]

    def describe(self, tab: Tab, ids: list[int]) -> dict[str, Any]:
        return {
            "name": tab.name,
            "label": tab.label,
            "count": capped_text(min(len(ids), MOST_FOUND), len(ids) > MOST_FOUND),
            "link": self.get_query_string({STATE: tab.name, BEFORE: None}),
            "selected": tab is self.tab,
        }


def capped_text(count: int, capped: bool) -> str:
    return number_format(count, force_grouping=True) + ("+" if capped else "")
