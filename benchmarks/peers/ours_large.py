from dataclasses import replace

from benchmarks.peers import ours

PEER = replace(
    ours.PEER,
    name="ours-large",
    title="django-future-celery, large messages",
    how="As django-future-celery, with the sizes that its documentation gives for backlogs of very short jobs: "
    "CLAIM_SIZE 800, WINDOW 4000, BATCH_SIZE 200.",
    settings=ours.PEER.settings
    | {"FUTURE_CELERY_CLAIM_SIZE": 800, "FUTURE_CELERY_WINDOW": 4000, "FUTURE_CELERY_BATCH_SIZE": 200},
)
