from benchmarks.peers.base import Peer, counted

CONSUMER = ("-m", "huey.bin.huey_consumer", "benchmarks.project.with_huey.huey", "-w", "2", "-k", "process", "-n", "-q")

PEER = Peer(
    name="huey",
    title="huey on PostgreSQL",
    how="PostgresHuey on psycopg (LISTEN/NOTIFY), a consumer with 2 worker processes, no periodic tasks. The task's "
    "row is deleted when it is taken; a row a result stays until it is read.",
    module="with_huey",
    commands=(CONSUMER,),
    done=counted("SELECT count(*) FROM huey_kv"),
    schema=("benchmarks.project.fill", "with_huey", "0"),
    distributions=("huey", "psycopg"),
)
