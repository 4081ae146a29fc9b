"""All that differs between tests comes as JSON in ``PROJECT_SETTINGS``; ``tests.processes`` writes it."""

import json
import os

import tests.services  # noqa: F401  PyMySQL stands in for mysqlclient

SECRET_KEY = "for tests only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_future_celery",
    "tests.shop",
]
if os.environ.get("TEST_WITHOUT_BEAT") != "1":
    INSTALLED_APPS += ["django_celery_beat"]

CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True

globals().update(json.loads(os.environ["PROJECT_SETTINGS"]))
