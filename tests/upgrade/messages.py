"""Messages as they are with a broker: taken out as the present version sends them, put in as they were once."""

import json
import uuid
from contextlib import closing

from celery import Celery
from kombu import Producer

import django_future_celery.tasks  # noqa: F401  What a beat has loaded.
from django_future_celery.publishing import Publisher

PROPERTIES = ("correlation_id", "reply_to", "priority")


def sent(jobs):
    """Publish the message of one job or several, and give it as the broker has it."""
    app = Celery("upgrade", broker="memory://", set_as_current=False)
    app.conf.task_default_queue = f"upgrade-{uuid.uuid4()}"
    with Publisher(app) as publish:
        publish(jobs)
    name = jobs[0].queue or app.conf.task_default_queue
    with app.connection_for_read() as connection, closing(connection.channel()) as channel:
        message = app.amqp.queues[name](channel).get(no_ack=True)
    return {
        "body": message.body.decode(),
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        # The name of a machine is nobody's business.
        "headers": message.headers | {"origin": "gen7@beat.example"},
        "properties": {name: message.properties[name] for name in PROPERTIES if name in message.properties},
    }


def content(message):
    """Give what the message says to its task: positional and keyword arguments, and what belongs to Celery."""
    return json.loads(message["body"])


def put(message, queue, connection):
    """Put a message into the queue of a worker."""
    with closing(connection.channel()) as channel:
        Producer(channel, auto_declare=False).publish(
            message["body"],
            exchange="",
            routing_key=queue,
            content_type=message["content_type"],
            content_encoding=message["content_encoding"],
            headers=message["headers"],
            **message["properties"],
        )
