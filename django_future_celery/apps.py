from django.apps import AppConfig
from django.core import checks
from django.utils.translation import gettext_lazy as _


class FutureCeleryConfig(AppConfig):
    name = "django_future_celery"
    verbose_name = _("Scheduled jobs")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_future_celery.checks import check_settings
        from django_future_celery.project_checks import check_databases, check_deployment, check_project

        checks.register(check_settings)
        checks.register(check_project)
        checks.register(check_databases, checks.Tags.database)
        checks.register(check_deployment, checks.Tags.security, deploy=True)
