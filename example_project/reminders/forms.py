from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from django_future_celery.durations import end_of, start_of
from django_future_celery.exceptions import InvalidTime

from .models import Reminder


class ReminderForm(forms.ModelForm):
    """A reminder and its time slot, in the forms of time that ``schedule_job`` takes, refused in its own words."""

    when = forms.CharField(
        initial="10s",
        help_text="From now, such as 10s, 5m, 1h or 1d12h, or a date and time (UTC) such as 2030-01-31 09:00.",
    )
    expires = forms.CharField(
        label="Expires after",
        required=False,
        widget=forms.TextInput({"placeholder": "1h"}),
        help_text="If it could not be sent by then, it is not sent at all. Empty: it never expires.",
    )

    class Meta:
        model = Reminder
        fields = ["text", "recipient"]
        widgets = {
            "text": forms.TextInput({"placeholder": "Water the plants", "autocomplete": "off"}),
            "recipient": forms.EmailInput({"placeholder": "you@example.com", "autocomplete": "email"}),
        }

    def __init__(self, data=None):
        super().__init__(data, label_suffix="")

    def clean_when(self):
        return refused_as_form_error(start_of, self.cleaned_data["when"], now=timezone.now())

    def clean_expires(self):
        expires, when = self.cleaned_data["expires"], self.cleaned_data.get("when")
        return refused_as_form_error(end_of, expires, start=when) if expires and when else None

    def schedule(self):
        return self.instance.schedule(self.cleaned_data["when"], self.cleaned_data["expires"])


def refused_as_form_error(understand, value, **base):
    try:
        return understand(value, **base)
    except InvalidTime as error:
        raise ValidationError(str(error)) from error
