import dj_database_url

from benchmarks.project.place import DATABASE, PLACE, REDIS

SECRET_KEY = "for benchmarks only"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", *PLACE["apps"]]

# Connections stay open: each peer's advice for speed.
DATABASES = {"default": dj_database_url.parse(DATABASE, conn_max_age=None) | {"OPTIONS": PLACE["options"]}}

CELERY_BROKER_URL = REDIS

globals().update(PLACE["settings"])

if "Q_CLUSTER" in globals() and "orm" not in globals()["Q_CLUSTER"]:
    globals()["Q_CLUSTER"]["redis"] = REDIS
