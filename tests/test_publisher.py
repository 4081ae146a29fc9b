"""The messages of a tick over real brokers, and what the publisher tells of those that it cannot send."""

from contextlib import suppress
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from celery import Celery
from django.db import connections
from kombu import Connection, Queue

from django_future_celery.dispatcher import tick
from django_future_celery.exceptions import BrokerAway, BrokerLost
from django_future_celery.publishing import Publisher
from tests.factories import due_job, row_of
from tests.processes import broker_url
from tests.proxy import Proxy

pytestmark = pytest.mark.django_db

QUEUE = "test-publisher"


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request):
    """A broker behind a wire that can be cut; its queues are empty."""
    url = urlsplit(broker_url(request.param))
    proxy = Proxy(url.hostname, url.port)
    userinfo = f"{url.username}:{url.password}@" if url.username else ""
    proxy.url = f"{url.scheme}://{userinfo}127.0.0.1:{proxy.port}{url.path}"
    proxy.direct = url.geturl()
    yield proxy
    forget(proxy, QUEUE)
    proxy.cut()


@pytest.fixture
def publish(broker, settings):
    settings.FUTURE_CELERY_PUBLISH_TIMEOUT_SECONDS = 2
    app = Celery("publisher", broker=broker.url, set_as_current=False)
    app.conf.task_default_queue = QUEUE
    with Publisher(app) as publisher:
        yield publisher


def forget(broker, name):
    with Connection(broker.direct) as connection:
        queue = Queue(name, channel=connection.default_channel)
        with suppress(connection.channel_errors):  # RabbitMQ knows no queue that was never declared.
            queue.purge()
            queue.delete()


def messages(broker):
    """Take all messages out of the queue."""
    with Connection(broker.direct) as connection:
        queue = Queue(QUEUE, channel=connection.default_channel)
        taken = []
        while message := queue.get(no_ack=True):
            taken.append(message)
    return taken


def test_a_message_holds_the_row_and_its_starts_and_no_more(broker, publish):
    job = due_job("default", attempts=2, max_attempts=3, args_text='["secret"]')
    publish([job])
    [message] = messages(broker)

    assert message.payload[:2] == [[job.pk, 2], {}]
    assert message.headers["task"] == "django_future_celery.run"
    assert message.headers["shadow"] == job.callable_name


def test_the_task_of_a_job_ends_in_its_id(broker, publish):
    job = due_job("default")
    publish([job])
    publish([job])
    first, second = (message.headers["id"] for message in messages(broker))

    assert first != second
    assert first.endswith(f"-{job.pk}") and second.endswith(f"-{job.pk}")


@pytest.mark.django_db(databases="__all__")
def test_the_task_of_a_job_in_another_database_names_no_row_of_the_admin(broker, publish):
    other = [alias for alias in connections.settings if alias != "default"][:1]
    if not other:
        pytest.skip("needs a second database")
    publish([due_job(other[0])])
    [message] = messages(broker)

    assert str(UUID(message.headers["id"])) == message.headers["id"]


def test_what_is_shown_of_the_arguments_is_capped(broker, publish):
    publish([due_job("default", args_text=f'["{"x" * 60_000}"]')])
    [message] = messages(broker)

    assert len(message.headers["argsrepr"]) <= 1024
    assert "characters cut" in message.headers["argsrepr"]


def test_secrets_are_masked_before_the_rest_is_cut(broker, publish):
    publish([due_job("default", kwargs_text=f'{{"password": "{"x" * 2000}", "n": 1}}', args_text='["key=hunter2"]')])
    [message] = messages(broker)

    mask = "*" * 20
    assert (message.headers["argsrepr"], message.headers["kwargsrepr"]) == (
        f"['key={mask}']",
        f"{{'password': {mask}, 'n': 1}}",
    )


def test_a_connection_that_was_cut_while_idle_is_opened_again(broker, publish):
    jobs = [due_job("default") for _ in range(2)]
    publish([jobs[0]])
    broker.cut()
    broker.mend()
    publish([jobs[1]])

    assert {message.payload[0][0] for message in messages(broker)} >= {job.pk for job in jobs}


def test_a_broker_that_cannot_be_reached_got_nothing(broker, publish):
    broker.cut()
    with pytest.raises(BrokerAway):
        publish([due_job("default")])


def test_a_broker_that_goes_away_while_it_is_used_may_have_got_it(broker, publish):
    job = due_job("default")
    publish([job])
    broker.cut()
    # The connection that was open has failed, and there is no other.
    with pytest.raises(BrokerLost):
        publish([job])
    with pytest.raises(BrokerAway):
        publish([job])
    broker.mend()
    publish([job])

    assert messages(broker)


def test_a_queue_that_was_declared_in_another_way_stops_no_other(broker, publish):
    if not broker.direct.startswith("amqp"):
        pytest.skip("Redis declares nothing")
    other = f"{QUEUE}-other"
    with Connection(broker.direct) as connection:
        connection.default_channel.queue_declare(
            other, durable=True, auto_delete=False, arguments={"x-max-priority": 10}
        )
    bad = [due_job("default", queue=other, priority=1) for _ in range(3)]
    good = [due_job("default") for _ in range(3)]
    done = tick(publish, "default")
    forget(broker, other)

    assert (done.sent, done.broken) == (3, False)
    assert {message.payload[0][0] for message in messages(broker)} == {job.pk for job in good}
    assert all(row_of(job)["status"] == "scheduled" for job in bad)
