from benchmarks.peers.base import Peer, counted
from benchmarks.peers.huey import CONSUMER

PEER = Peer(
    name="huey-sql",
    title="huey, SqlHuey on PostgreSQL",
    how="SqlHuey on peewee with PostgreSQL, a consumer with 2 worker processes that look every 0.1 s when idle, no "
    "periodic tasks. The task's row is deleted when it is taken; a row a result stays until it is read.",
    module="with_huey_sql",
    commands=(tuple(part.replace("with_huey", "with_huey_sql") for part in CONSUMER),),
    done=counted("SELECT count(*) FROM kv"),
    schema=("benchmarks.project.fill", "with_huey_sql", "0"),
    distributions=("huey", "peewee", "psycopg"),
)
