from benchmarks.peers.base import Peer, counted

CLUSTER = {
    "workers": 2,
    "bulk": 50,
    "queue_limit": 100,
    "recycle": 1_000_000,
    "save_limit": 0,
    "timeout": 60,
    "retry": 600,
    "max_attempts": 1,
    "scheduler": False,
    "log_level": "ERROR",
}

PEER = Peer(
    name="django-q2",
    title="django-q2, ORM broker",
    how="A cluster of 2 workers on the ORM broker, 50 tasks taken at a time, workers not recycled, every result saved "
    "(save_limit 0), no scheduler.",
    module="with_django_q",
    commands=(("-m", "django", "qcluster", "-v", "0"),),
    done=counted("SELECT count(*) FROM django_q_task"),
    apps=("django_q",),
    settings={"Q_CLUSTER": CLUSTER | {"orm": "default"}},
    distributions=("django-q2", "django", "psycopg"),
)
