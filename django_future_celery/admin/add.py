"""Scheduling a job by hand: first its callable is chosen from the list of those allowed, then the rest is filled in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import router
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from django_future_celery import content_objects
from django_future_celery.admin.forms import start_from
from django_future_celery.admin.texts import in_words
from django_future_celery.catalogue import permitted
from django_future_celery.conf import settings
from django_future_celery.durations import end_of
from django_future_celery.exceptions import (
    FutureCeleryError,
    InvalidArguments,
    InvalidTime,
    ObjectGone,
)
from django_future_celery.models import ScheduledJob
from django_future_celery.options import MOST_ATTEMPTS
from django_future_celery.rows import HIGHEST_PRIORITY, LONGEST_QUEUE, LOWEST_PRIORITY
from django_future_celery.scheduling import schedule

MONO = {"dir": "ltr", "autocomplete": "off", "spellcheck": "false"}


class AddForm(forms.Form):
    args = forms.JSONField(
        label=_("Arguments"),
        required=False,
        initial=list,
        help_text=_('A JSON list, such as [2, "text"].'),
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField", **MONO}),
    )
    kwargs = forms.JSONField(
        label=_("Keyword arguments"),
        required=False,
        initial=dict,
        help_text=_('A JSON object, such as {"year": 2030}.'),
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField", **MONO}),
    )
    date = forms.CharField(
        label=_("Start"),
        max_length=100,
        initial="0s",
        help_text=_("From now, such as 30s, 5m, 2h30m or 1d12h; or a time, such as 2027-01-01T09:00."),
        widget=forms.TextInput(attrs=MONO),
    )
    expires = forms.CharField(
        label=_("Expires"),
        max_length=100,
        initial="7d",
        required=False,
        help_text=_("From the start, in the same forms. Empty: never."),
        widget=forms.TextInput(attrs=MONO),
    )
    queue = forms.CharField(label=_("Queue"), max_length=LONGEST_QUEUE, required=False)
    priority = forms.IntegerField(label=_("Priority"), initial=0, min_value=LOWEST_PRIORITY, max_value=HIGHEST_PRIORITY)
    max_attempts = forms.IntegerField(
        label=_("At most attempts"),
        min_value=1,
        max_value=MOST_ATTEMPTS,
        required=False,
        help_text=_("Empty: as the callable or the settings say."),
    )
    content_type = forms.ModelChoiceField(
        ContentType.objects.none(),
        label=_("Content type"),
        required=False,
        help_text=_("Of the object that is the callable's first argument, if it takes one."),
    )
    object_id = forms.CharField(
        label=_("Object id"), max_length=content_objects.MAX_KEY, required=False, widget=forms.TextInput(attrs=MONO)
    )

    def __init__(self, data: Any, using: str) -> None:
        super().__init__(data)
        self.using = using
        types: Any = self.fields["content_type"]
        # Of the database that keeps the job: elsewhere they have other numbers.
        types.queryset = ContentType.objects.using(using).order_by("app_label", "model")

    def clean_date(self) -> datetime:
        return start_from(self.cleaned_data["date"])

    def clean_args(self) -> Any:
        return [] if self.cleaned_data["args"] is None else self.cleaned_data["args"]

    def clean_kwargs(self) -> Any:
        return {} if self.cleaned_data["kwargs"] is None else self.cleaned_data["kwargs"]

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        try:
            if "date" in data and "expires" in data:
                data["expires"] = end_of(data["expires"] or None, start=data["date"])
        except InvalidTime as error:
            self.add_error("expires", in_words(error))
        if bool(data.get("content_type")) != bool(data.get("object_id")) and not self.errors:
            raise forms.ValidationError(_("Give both content type and object id, or neither."))
        return data

    def schedule(self, path: str) -> ScheduledJob | None:
        """Schedule the job as any code would; what is refused is told in the form."""
        data = self.cleaned_data
        try:
            return schedule(
                data["date"],
                path,
                self.content_object(),
                data["expires"],
                data["args"],
                data["kwargs"],
                queue=data["queue"] or None,
                priority=data["priority"],
                max_attempts=data["max_attempts"],
                using=self.using,
            )
        except FutureCeleryError as error:
            self.add_error(field_of(error), in_words(error))
            return None

    def content_object(self) -> Model | None:
        kind = self.cleaned_data["content_type"]
        if kind is None:
            return None
        model = content_objects.model_of(kind.pk, self.using)
        return content_objects.fetch(model, self.cleaned_data["object_id"], self.using)


def field_of(error: FutureCeleryError) -> str | None:
    if isinstance(error, ObjectGone):
        return "object_id"
    return "kwargs" if isinstance(error, InvalidArguments) else None


class AddJob(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only what the patterns name may be scheduled here, so without patterns nothing."""
        return bool(settings.ALLOWED_CALLABLES) and super().has_add_permission(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        callables = permitted()
        entry = callables.get(request.GET.get("callable_name", ""))
        if entry is None:
            return self.render_add(request, "choose.html", {"callables": callables.values()})
        form = AddForm(request.POST if request.method == "POST" else None, router.db_for_write(ScheduledJob))
        if form.is_valid() and (job := form.schedule(entry.path)):
            self.log_addition(request, job, [{"added": {}}])
            return self.response_add(request, job)
        return self.render_add(request, "add.html", {"entry": entry, "form": form, "media": self.media + form.media})

    def render_add(self, request: HttpRequest, name: str, context: dict[str, Any]) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Add scheduled job"),
            "opts": self.opts,
            "media": self.media,
            **context,
        }
        return TemplateResponse(request, f"admin/django_future_celery/{name}", context)
