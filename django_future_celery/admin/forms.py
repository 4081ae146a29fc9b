from __future__ import annotations

from datetime import datetime

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_future_celery.admin.texts import in_words
from django_future_celery.durations import start_of
from django_future_celery.exceptions import InvalidTime
from django_future_celery.rows import HIGHEST_PRIORITY, LOWEST_PRIORITY


def start_from(text: str) -> datetime:
    """Give the start that somebody has typed; raises ValidationError."""
    try:
        return start_of(text, now=timezone.now())
    except InvalidTime as error:
        raise forms.ValidationError(in_words(error)) from error


class RescheduleForm(forms.Form):
    date = forms.CharField(
        label=_("New start"),
        max_length=100,
        help_text=_("From now, such as 30s, 5m, 2h30m or 1d12h; or a time, such as 2027-01-01T09:00."),
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off", "dir": "ltr"}),
    )

    def clean_date(self) -> datetime:
        return start_from(self.cleaned_data["date"])


class PriorityForm(forms.Form):
    priority = forms.IntegerField(
        label=_("New priority"),
        min_value=LOWEST_PRIORITY,
        max_value=HIGHEST_PRIORITY,
        help_text=_("From -100 to 100, higher first."),
        widget=forms.NumberInput(attrs={"autofocus": True}),
    )
