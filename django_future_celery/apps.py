from django.apps import AppConfig
from django.core import checks
from django.utils.translation import gettext_lazy as _


class FutureCeleryConfig(AppConfig):
    name = "django_future_celery"
    verbose_name = _("Scheduled jobs")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_future_celery.checks import check_databases, check_settings

        checks.register(check_settings)
        checks.register(check_databases, checks.Tags.database)
