from django.contrib import admin
from django.urls import path

from django_future_celery import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("health/", views.health),
    path("metrics/", views.metrics),
]
