from benchmarks.peers.base import Peer, counted

PEER = Peer(
    name="celery-eta",
    title="Celery ETA + django-celery-results",
    how="apply_async(eta=…) in the past, Redis broker, prefork with 2 processes, prefetch multiplier 128, "
    "CELERY_DB_REUSE_MAX so that connections stay open, no gossip, mingle or heartbeat. A row a result stays.",
    module="with_celery_results",
    commands=(
        (
            *("-m", "celery", "-A", "benchmarks.project.with_celery_results", "worker"),
            *("-c", "2", "--loglevel", "WARNING"),
            *("--prefetch-multiplier", "128", "--without-gossip", "--without-mingle", "--without-heartbeat"),
        ),
    ),
    done=counted("SELECT count(*) FROM django_celery_results_taskresult WHERE status = 'SUCCESS'"),
    apps=("django_celery_results",),
    settings={"CELERY_RESULT_BACKEND": "django-db", "CELERY_DB_REUSE_MAX": 1_000_000},
    distributions=("celery", "django-celery-results", "redis"),
)
