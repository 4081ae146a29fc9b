import threading

import pytest
from celery import Celery

from tests.processes import Project, alias_of, broker_url


@pytest.fixture
def project(tmp_path, request, transactional_db):
    """Make projects: ``project("postgresql", "redis", SETTING=…)``; their processes end with the test."""
    made = []

    def make(database, broker, **settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Project(alias_of(database), broker_url(broker), folder, **settings))
        made[-1].alias = alias_of(database)
        return made[-1]

    yield make
    failed = getattr(request.node, "failed", False)
    for each in made:
        each.__exit__(AssertionError if failed else None)


@pytest.fixture
def listen():
    """Listen to the events of a broker: gives the list that they are added to."""
    receivers = []

    def listen(broker):
        heard = []
        app = Celery("listener", broker=broker, set_as_current=False)
        receivers.append(app.events.Receiver(app.connection_for_read(), handlers={"*": heard.append}))
        threading.Thread(target=receivers[-1].capture, kwargs={"wakeup": False}, daemon=True).start()
        return heard

    yield listen
    for each in receivers:
        each.should_stop = True
