from dataclasses import replace

from benchmarks.peers import ours

PEER = replace(
    ours.PEER,
    name="ours-plain",
    title="django-future-celery, untuned",
    how="As django-future-celery, but with a connection to the database for each message, and no prepared statements.",
    settings={},
    options={},
)
