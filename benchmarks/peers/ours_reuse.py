from dataclasses import replace

from benchmarks.peers import ours

PEER = replace(
    ours.PEER,
    name="ours-reuse",
    title="django-future-celery, connections kept",
    how="As django-future-celery, with CELERY_DB_REUSE_MAX: Celery then leaves the database connections open between "
    "tasks.",
    settings={"CELERY_DB_REUSE_MAX": 1_000_000},
)
