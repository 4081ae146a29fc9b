"""As fast as the database allows: an UPDATE by primary key and a commit a row."""

import psycopg

from benchmarks.project.place import DATABASE

TABLE = "CREATE TABLE IF NOT EXISTS raw_job (id bigint PRIMARY KEY, status varchar(16) NOT NULL, result text)"


def fill(jobs: int) -> None:
    with psycopg.connect(DATABASE) as connection:
        connection.execute(TABLE)
        connection.execute("INSERT INTO raw_job SELECT i, 'scheduled' FROM generate_series(1, %s) i", (jobs,))


def work(first: int, step: int) -> None:
    with psycopg.connect(DATABASE, autocommit=True, prepare_threshold=1) as connection:
        ids = connection.execute("SELECT id FROM raw_job WHERE id %% %s = %s ORDER BY id", (step, first)).fetchall()
        for (each,) in ids:
            connection.execute("UPDATE raw_job SET status = 'complete', result = '1' WHERE id = %s", (each,))
