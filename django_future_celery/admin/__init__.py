"""The jobs in Django's admin: to look at, and to steer."""

from django_future_celery.admin.inlines import ScheduledJobInline
from django_future_celery.admin.jobs import ScheduledJobAdmin

__all__ = ["ScheduledJobAdmin", "ScheduledJobInline"]
