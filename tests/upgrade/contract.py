"""What processes of two versions must agree on, while both are at work."""

import inspect
from inspect import Parameter, Signature

from django.db.migrations.loader import MigrationLoader

from django_future_celery import pickles, serializers, tasks
from django_future_celery.scalars import SCALARS


def contract():
    """Give what the present version reads and writes."""
    [(_, migration)] = MigrationLoader(None).graph.leaf_nodes("django_future_celery")
    return {
        "migration": migration,
        "tasks": {task.name: parameters(task.run) for task in (tasks.run, tasks.run_batch)},
        "tags": sorted({*SCALARS, *serializers._TAGS}),
        "pickles": {"version": pickles.VERSION, "protocol": pickles.PROTOCOL},
    }


def parameters(function):
    """Whether each parameter may be left out."""
    return {name: each.default is not Parameter.empty for name, each in inspect.signature(function).parameters.items()}


def bind(optional, args, kwargs):
    """Call a task that has these parameters, as far as to see that it takes the arguments. Raises TypeError."""
    kind, empty = Parameter.POSITIONAL_OR_KEYWORD, Parameter.empty
    each = [Parameter(name, kind, default=None if may else empty) for name, may in optional.items()]
    Signature(each).bind(*args, **kwargs)
