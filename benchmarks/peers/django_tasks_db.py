from benchmarks.peers.base import Peer, counted

WORKER = ("-m", "django", "db_worker", "--no-startup-delay", "-v", "0")

PEER = Peer(
    name="django-tasks-db",
    title="django-tasks-db",
    how="2 worker processes (each has one slot), persistent database connections, tasks without run_after. A row a "
    "task, with its result, stays.",
    module="with_django_tasks",
    commands=(WORKER, WORKER),
    done=counted("SELECT count(*) FROM django_tasks_database_dbtaskresult WHERE status = 'SUCCESSFUL'"),
    apps=("django_tasks_db",),
    settings={"TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}},
    distributions=("django-tasks-db", "django", "psycopg"),
)
