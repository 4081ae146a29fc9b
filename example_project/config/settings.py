"""Settings for development, on SQLite and a broker made of files unless variables name servers:

DATABASE_URL       postgres://user:password@host:5432/name or mysql://user:password@host:3306/name
CELERY_BROKER_URL  redis://host:6379/0 or amqp://user:password@host:5672//
EXAMPLE_VAR        the folder for all that is written at run time, example_project/var if not given
FLOWER_URL         where the admin says that Flower is

One more makes it a website for others, with no page that shows its inside when something fails:

DJANGO_SECRET_KEY  a key of your own, which nobody else knows
"""

import os
from importlib.util import find_spec
from pathlib import Path

from config import databases

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("EXAMPLE_VAR") or BASE_DIR / "var").resolve()
VAR_DIR.mkdir(parents=True, exist_ok=True)

DATABASE_URL = os.environ.get("DATABASE_URL")
BROKER_URL = os.environ.get("CELERY_BROKER_URL")

# -- django-future-celery ---------------------------------------------------------------------------------------------

#: Nothing else is scheduled or run, whoever can write rows.
FUTURE_CELERY_ALLOWED_CALLABLES = ["reminders.jobs.*"]

#: A job scheduled for the next seconds is noticed in time. The default, 5, is enough for anything less hasty.
FUTURE_CELERY_TICK_SECONDS = 1

#: Runs are counted where Prometheus's client is installed.
FUTURE_CELERY_PROMETHEUS = find_spec("prometheus_client") is not None

#: Whoever counts writes into one folder, so that the website's page shows what the worker has counted, too.
METRICS_DIR = VAR_DIR / "metrics"
METRICS_DIR.mkdir(exist_ok=True)
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(METRICS_DIR))

#: The admin leads from a job to its tasks there.
FUTURE_CELERY_FLOWER_URL = os.environ.get("FLOWER_URL")

# -- Celery -----------------------------------------------------------------------------------------------------------

CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"

#: The two events that let Flower show each task.
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True

CELERY_BROKER_CONNECTION_TIMEOUT = 5
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.5}

if BROKER_URL:
    CELERY_BROKER_URL = BROKER_URL
    if BROKER_URL.startswith("redis"):
        # Without them a worker waits for ever for a Redis that went away without a word.
        CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 10, "socket_connect_timeout": 5}
else:
    # Messages are files, looked for once a second: for one machine, and for trying things out.
    BROKER_DIR = VAR_DIR / "broker"
    MESSAGE_DIR, CONTROL_DIR = BROKER_DIR / "messages", BROKER_DIR / "control"
    MESSAGE_DIR.mkdir(parents=True, exist_ok=True)
    CONTROL_DIR.mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_URL = "filesystem://"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        # What one process puts out, another takes in: the same folder for both.
        "data_folder_in": str(MESSAGE_DIR),
        "data_folder_out": str(MESSAGE_DIR),
        "control_folder": str(CONTROL_DIR),
    }
    #: A worker that is killed takes along the message it was just reading; its job is sent again after this time.
    FUTURE_CELERY_DISPATCH_LEASE_SECONDS = 10

if not DATABASE_URL:
    # SQLite has one write lock, and a job holds it from its start to its end, so a second process would only wait.
    # One pool process, not --pool=solo: the worker then answers Flower and `celery inspect` while a job runs, and a
    # job that kills its process does not take the worker along.
    CELERY_WORKER_CONCURRENCY = 1

#: Used only if django-celery-beat is not installed.
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")

# -- Django -----------------------------------------------------------------------------------------------------------

KEY_OF_YOUR_OWN = os.environ.get("DJANGO_SECRET_KEY")
SECRET_KEY = KEY_OF_YOUR_OWN or "for development only: never use this key for anything that others can reach"
DEBUG = not KEY_OF_YOUR_OWN

#: The names under which this machine reaches itself.
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_future_celery",
    "reminders",
]
if find_spec("django_celery_beat"):
    INSTALLED_APPS += ["django_celery_beat"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if find_spec("whitenoise"):
    MIDDLEWARE.insert(1, "whitenoise.middleware.WhiteNoiseMiddleware")

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

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

DATABASES = {"default": databases.from_url(DATABASE_URL) if DATABASE_URL else databases.sqlite(VAR_DIR / "db.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
STATIC_URL = "static/"
#: Static files are served by the website from where they are, so that none need be collected.
WHITENOISE_USE_FINDERS = True

#: Mail is not sent but written: one file a message.
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = VAR_DIR / "mail"
DEFAULT_FROM_EMAIL = "reminders@example.com"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
