from benchmarks.peers.base import Peer, counted

PEER = Peer(
    name="original",
    title="django-future's loop",
    how="The algorithm of django-future written with today's ORM: one process, for each due row save it as running, "
    "then call it and save the result in a transaction. One process by nature: a second one would run jobs twice.",
    module="with_original",
    commands=(("-m", "benchmarks.project.loop", "with_original"),),
    done=counted("SELECT count(*) FROM original_job WHERE status = 'complete'"),
    apps=("benchmarks.project",),
    distributions=("django", "psycopg"),
)
