"""The actions of the list: each asks where it should, works in chunks, and tells what it did."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest
from django.core.signing import BadSignature
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin import operations
from django_future_celery.admin.chunks import Progress
from django_future_celery.admin.lists import LONG_COLUMNS
from django_future_celery.admin.operations import Operation
from django_future_celery.admin.outcomes import OUTCOMES
from django_future_celery.models import ScheduledJob

Rows = QuerySet[ScheduledJob]
Page = TemplateResponse | None


class JobActions(admin.ModelAdmin):  # type: ignore[type-arg]
    actions = ("run_now", "retry", "reschedule", "change_priority", "cancel", "terminate", "delete_selected")

    @admin.action(description=_("Run now"), permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: Rows) -> Page:
        return self.work(request, queryset, operations.RunNow)

    @admin.action(description=_("Retry what has ended"), permissions=["change"])
    def retry(self, request: HttpRequest, queryset: Rows) -> Page:
        return self.work(request, queryset, operations.Retry)

    @admin.action(description=_("Reschedule…"), permissions=["change"])
    def reschedule(self, request: HttpRequest, queryset: Rows) -> Page:
        return self.work(request, queryset, operations.Reschedule)

    @admin.action(description=_("Change priority…"), permissions=["change"])
    def change_priority(self, request: HttpRequest, queryset: Rows) -> Page:
        return self.work(request, queryset, operations.ChangePriority)

    @admin.action(description=_("Cancel"), permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: Rows) -> Page:
        return self.work(request, queryset, operations.Cancel)

    @admin.action(description=_("Cancel, and kill what runs…"), permissions=["change"])
    def terminate(self, request: HttpRequest, queryset: Rows) -> Page:
        return self.work(request, queryset, operations.Terminate)

    @admin.action(description=_("Delete…"), permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: Rows) -> Page:
        return self.work(request, queryset, operations.Delete)

    def response_action(self, request: HttpRequest, queryset: Rows, *args: Any, **options: Any) -> Any:
        if not is_across(request):
            # Those that were selected, even if a worker has moved one of them to another tab since.
            queryset = self.get_queryset(request)
        return super().response_action(request, queryset, *args, **options)

    # -- the steps of each --------------------------------------------------------------------------------------------

    def work(self, request: HttpRequest, queryset: Rows, kind: type[Operation]) -> Page:
        """Ask, act on as many jobs as a request may take, then go on or tell what was done."""
        if "progress" in request.POST:
            progress = load(request.POST["progress"])
        else:
            form = kind.form(request.POST if "sure" in request.POST else None)
            if not form.is_valid() and (kind.asks or is_across(request) or form.is_bound):
                return self.ask(request, queryset, kind, form)
            options = stored(getattr(form, "cleaned_data", {}))
            progress = self.begin(request, queryset, options)
        progress.advance(queryset, kind(request.user.pk, progress.options))
        if not progress.is_over:
            return self.go_on(request, kind, progress)
        self.tell(request, progress)
        return None

    def begin(self, request: HttpRequest, queryset: Rows, options: dict[str, Any]) -> Progress:
        across = is_across(request)
        return Progress.begin(self.get_queryset(request) if across else queryset, across, options)

    def ask(self, request: HttpRequest, queryset: Rows, kind: type[Operation], form: Any) -> Page:
        across = is_across(request)
        listed: Any = self.get_changelist_instance(request) if across else None
        context = {
            "form": form,
            "effects": kind.effects,
            "destroys": kind.destroys,
            "number": listed.count_text if listed else len(queryset),
            "searched": listed.searched_text if listed else "",
            "jobs": [] if across else queryset.order_by("-pk").defer(*LONG_COLUMNS),
            "across": across,
        }
        return self.render(request, kind, "confirm.html", context)

    def go_on(self, request: HttpRequest, kind: type[Operation], progress: Progress) -> Page:
        context = {"progress": progress, "state": progress.dump(), "told": told(progress)}
        return self.render(request, kind, "progress.html", context)

    def render(self, request: HttpRequest, kind: type[Operation], name: str, context: dict[str, Any]) -> Page:
        context = {
            **self.admin_site.each_context(request),
            "title": kind.title,
            "opts": self.opts,
            "media": self.media,
            "action": kind.name,
            "checkbox": ACTION_CHECKBOX_NAME,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
            "back": request.get_full_path(),
            **context,
        }
        return TemplateResponse(request, f"admin/django_future_celery/{name}", context)

    def tell(self, request: HttpRequest, progress: Progress) -> None:
        for error in progress.errors:
            self.message_user(request, error, messages.ERROR)
        for outcome, text in told(progress):
            self.message_user(request, text, outcome.level)
        if not progress.done:
            self.message_user(request, _("No job matched."), messages.WARNING)


def is_across(request: HttpRequest) -> bool:
    return request.POST.get("select_across") == "1"


def load(text: str) -> Progress:
    try:
        return Progress.load(text)
    except BadSignature:
        raise BadRequest("The progress of this action was not written by this site.") from None


def stored(options: dict[str, Any]) -> dict[str, Any]:
    """Give the options as JSON can hold them."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in options.items()}


def told(progress: Progress) -> list[tuple[Any, str]]:
    counts = {OUTCOMES[name]: count for name, count in progress.counts.items() if count}
    return [(outcome, outcome.tell(counts[outcome])) for outcome in OUTCOMES.values() if outcome in counts]
