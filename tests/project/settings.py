"""All that differs between tests comes as JSON in ``PROJECT_SETTINGS``; ``tests.processes`` writes it."""

import json
import os

import tests.services  # noqa: F401  PyMySQL stands in for mysqlclient
from tests.site import INSTALLED_APPS, TEMPLATES  # noqa: F401

SECRET_KEY = "for tests only"
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
MIDDLEWARE = [
    "tests.project.security.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True

globals().update(json.loads(os.environ["PROJECT_SETTINGS"]))

# Some tests leave the admin out, and then there are no pages.
if "django.contrib.admin" in INSTALLED_APPS:
    ROOT_URLCONF = "tests.project.urls"
