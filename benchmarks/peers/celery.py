from benchmarks.peers.base import Peer, left_queue

PEER = Peer(
    name="celery",
    title="Celery alone, a no-op",
    how="The task does nothing and nothing is kept: no database, ignore_result, no rate limits, Redis broker, prefork "
    "with 2 processes, prefetch multiplier 128 as its documentation advises for short tasks, no gossip, mingle or "
    "heartbeat.",
    module="with_celery",
    commands=(
        (
            *("-m", "celery", "-A", "benchmarks.project.with_celery", "worker", "-c", "2", "--loglevel", "WARNING"),
            *("--prefetch-multiplier", "128", "--without-gossip", "--without-mingle", "--without-heartbeat"),
        ),
    ),
    done=left_queue,
    distributions=("celery", "kombu", "redis"),
)
