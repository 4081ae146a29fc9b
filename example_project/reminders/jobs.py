"""What is run later. Plain functions: they know neither Celery nor who runs them."""

from functools import partial

from django.core.mail import send_mail
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone


def deliver(reminder):
    """Mail a reminder. Runs in a transaction that also holds the job's end, so it is as short as can be.

    If anything here raises, the transaction is rolled back and the job has failed, with the traceback on its row.
    """
    reminder.delivered_at = timezone.now()
    reminder.save(update_fields=["delivered_at"])
    validate_email(reminder.recipient)
    # No rollback takes a mail back, so it leaves after the commit. Nor does a slow mail server then keep the
    # database's locks, of which SQLite has but one.
    transaction.on_commit(partial(send_mail, reminder.text, reminder.text, None, [reminder.recipient]))
    return f"mailed to {reminder.recipient}"
