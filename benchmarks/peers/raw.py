from benchmarks.peers.base import Peer, counted

WORKER = ("-m", "benchmarks.project.loop", "with_raw")

PEER = Peer(
    name="raw",
    title="PostgreSQL: UPDATE and commit",
    how="No queue at all: 2 processes, a psycopg connection each, one prepared UPDATE by primary key and one durable "
    "commit a row. What a commit a job can reach at most.",
    module="with_raw",
    commands=((*WORKER, "0", "2"), (*WORKER, "1", "2")),
    done=counted("SELECT count(*) FROM raw_job WHERE status = 'complete'"),
    schema=("benchmarks.project.fill", "with_raw", "0"),
    distributions=("psycopg",),
)
