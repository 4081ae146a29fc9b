"""A project as a user has one: what the worker and beat processes of the tests run."""

from .celery import app

__all__ = ["app"]
