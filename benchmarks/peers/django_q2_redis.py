from dataclasses import replace

from benchmarks.peers import django_q2

PEER = replace(
    django_q2.PEER,
    name="django-q2-redis",
    title="django-q2, Redis broker",
    how="As django-q2 on the ORM broker, with tasks in Redis, which forgets what a worker had taken when it died; "
    "every result is saved in PostgreSQL.",
    # Its place in Redis is added by settings.py.
    settings={"Q_CLUSTER": django_q2.CLUSTER},
    distributions=("django-q2", "django", "redis"),
)
