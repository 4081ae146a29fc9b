from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from django_future_celery import views

urlpatterns = [
    path("", include("reminders.urls")),
    path("admin/", admin.site.urls),
    # They ask for no login: on a website that others reach, let the proxy keep them to the monitoring.
    path("monitoring/health/", views.health, name="health"),
]
if settings.FUTURE_CELERY_PROMETHEUS:
    urlpatterns += [path("monitoring/metrics/", views.metrics, name="metrics")]
