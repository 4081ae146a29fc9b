"""The settings of the command that writes a version's folder: two databases in memory."""

MEMORY = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
DATABASES = {"default": MEMORY, "archive": MEMORY}
# The key that the tests know, too.
SECRET_KEY = "for tests only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_future_celery", "tests.shop"]
