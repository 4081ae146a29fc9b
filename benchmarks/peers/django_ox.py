from benchmarks.peers.base import Peer, counted

PEER = Peer(
    name="django-ox",
    title="django-ox",
    how="ox_worker with 2 processes (faster than 2 threads), persistent database connections, tasks without run_after. "
    "A row a task, with its result, stays.",
    module="with_django_tasks",
    commands=(("-m", "django", "ox_worker", "--processes", "2", "-v", "0"),),
    done=counted("SELECT count(*) FROM django_ox_oxtask WHERE status = 'SUCCESSFUL'"),
    apps=("django_ox",),
    settings={"TASKS": {"default": {"BACKEND": "django_ox.backend.OxBackend"}}},
    distributions=("django-ox", "django", "psycopg"),
)
