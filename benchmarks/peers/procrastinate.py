from benchmarks.peers.base import Peer, counted

WORKER = ("-m", "procrastinate", "--app", "benchmarks.project.with_procrastinate.app", "worker", "-c", "1")

PEER = Peer(
    name="procrastinate",
    title="procrastinate",
    how="Without Django, an async task, 2 worker processes with one slot each (one event loop with two slots is "
    "slower), LISTEN/NOTIFY. A row a job stays.",
    module="with_procrastinate",
    commands=(WORKER, WORKER),
    done=counted("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"),
    schema=("procrastinate", "--app", "benchmarks.project.with_procrastinate.app", "schema", "--apply"),
    distributions=("procrastinate", "psycopg"),
)
