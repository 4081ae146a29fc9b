"""One run tests every database that answers: each has its alias, and tests take it from the ``alias`` fixture.

``TEST_DEFAULT`` (sqlite, postgresql, mariadb) chooses the default database, ``TEST_USE_TZ=0`` turns zones off,
``TEST_SERVER_SIDE_BINDING=1`` has PostgreSQL bind the parameters, each with its type, and prepare the statements. No
commit waits for the disk: processes and connections die in the tests, but not the machine and not these servers.
"""

import os
import tempfile
from pathlib import Path

import dj_database_url

from tests.services import URLS, available
from tests.site import INSTALLED_APPS, TEMPLATES  # noqa: F401

_files = Path(tempfile.gettempdir()) / f"future-celery-tests-{os.getuid()}"
_files.mkdir(exist_ok=True)

_databases = {
    "sqlite": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _files / "db.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
        },
        "TEST": {"NAME": _files / f"test-{os.getpid()}.sqlite3"},
    }
} | {name: dj_database_url.parse(URLS[name]) for name in ("postgresql", "mariadb") if available(name)}

for _name, _config in _databases.items():
    if _name != "sqlite":
        _config["TEST"] = {"NAME": f"test_future_celery_{os.getpid()}"}
    if _name == "postgresql":
        _server_side = os.environ.get("TEST_SERVER_SIDE_BINDING") == "1"
        _config["OPTIONS"] = {
            "server_side_binding": _server_side,
            "prepare_threshold": 1 if _server_side else None,
            "options": "-c synchronous_commit=off",
        }
    if _name == "mariadb":
        _config["OPTIONS"] = {"charset": "utf8mb4"}
        _config["TEST"] |= {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_bin"}

_default = os.environ.get("TEST_DEFAULT", "sqlite")
DATABASES = {"default": _databases.pop(_default)} | _databases

SECRET_KEY = "for tests only"
USE_TZ = os.environ.get("TEST_USE_TZ", "1") == "1"
# What django-celery-beat asks of a project without time zones.
DJANGO_CELERY_BEAT_TZ_AWARE = USE_TZ
TIME_ZONE = "Europe/Berlin"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
