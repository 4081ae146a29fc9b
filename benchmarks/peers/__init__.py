"""What is compared; one file each."""

from benchmarks.peers import (
    celery,
    celery_eta,
    django_ox,
    django_q2,
    django_q2_redis,
    django_tasks_db,
    huey,
    huey_sql,
    original,
    ours,
    ours_plain,
    procrastinate,
    raw,
)
from benchmarks.peers.base import Peer

__all__ = ["PEERS", "Peer"]

MODULES = (
    *(ours, ours_plain, original, procrastinate, django_tasks_db, django_ox, django_q2, django_q2_redis),
    *(huey, huey_sql, celery_eta, celery, raw),
)
PEERS: dict[str, Peer] = {module.PEER.name: module.PEER for module in MODULES}
