"""The way from a job's row to its task in Flower, and back. Neither Celery nor Flower is imported."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from django_future_celery.conf import settings

#: The Celery task of a job ends in the job's id.
_TASK_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}[-.](?P<pk>[0-9]+)")


def task_page(task_id: str) -> str | None:
    """Give the address of a Celery task in Flower; None without ``FUTURE_CELERY_FLOWER_URL``, or without a task."""
    url = settings.FLOWER_URL
    return f"{url.rstrip('/')}/task/{quote(task_id, safe='')}" if url and task_id else None


def task_formatter(admin_url: str) -> Callable[[Any], Any]:
    """Give a ``format_task`` for ``flowerconfig.py``, which has Flower show where the job of a task is in the admin.

    It is text, to be copied: Flower escapes all that a formatter changes. Tasks that are no jobs stay as they are.

    Args:
        admin_url: the address of the admin, such as ``https://example.com/admin/``.
    """

    def format_task(task: Any) -> Any:
        if found := _TASK_ID.fullmatch(task.uuid or ""):
            task.admin = f"{admin_url.rstrip('/')}/django_future_celery/scheduledjob/{found['pk']}/change/"
            # Flower shows the fields that a task names.
            task._fields = (*task._fields, "admin")
        return task

    return format_task
