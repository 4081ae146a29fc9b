from benchmarks.peers.base import Peer, counted

CELERY = ("-m", "celery", "-A", "benchmarks.project")
WORKER = (*CELERY, "worker", "-c", "2", "--loglevel", "WARNING")
SCHEDULER = "django_future_celery.schedulers:DatabaseScheduler"
BEAT = (*CELERY, "beat", "-S", SCHEDULER, "--loglevel", "WARNING", "--pidfile=", "--schedule=beat-schedule")
APPS = ("django_future_celery",)
DONE = counted("SELECT count(*) FROM django_future_celery_scheduledjob WHERE status = 'complete'")

PEER = Peer(
    name="ours",
    title="django-future-celery",
    how="One beat and one worker, prefork with 2 processes, Redis broker; all its settings as they come. Celery leaves "
    "database connections open (CELERY_DB_REUSE_MAX). A row a job, with its result, stays.",
    module="with_ours",
    commands=(WORKER, BEAT),
    done=DONE,
    apps=APPS,
    settings={"CELERY_DB_REUSE_MAX": 1_000_000},
    distributions=("celery", "django", "psycopg", "redis"),
)
