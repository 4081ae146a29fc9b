"""What a project with the admin has: that of the tests, and that of the processes which they start."""

import os

INSTALLED_APPS = [
    *([] if os.environ.get("TEST_WITHOUT_BEAT") == "1" else ["django_celery_beat"]),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_future_celery",
    "tests.shop",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
