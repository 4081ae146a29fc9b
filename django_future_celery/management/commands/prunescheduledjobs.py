from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from tqdm import tqdm

from django_future_celery.clock import database_now
from django_future_celery.conf import settings
from django_future_celery.dispatcher import databases
from django_future_celery.exceptions import FutureCeleryError
from django_future_celery.models import ScheduledJob
from django_future_celery.pruning import cutoff, prune
from django_future_celery.states import END_STATES

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Delete the rows of jobs that ended long ago, a few at a time; nothing has to be stopped for that."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            metavar="30d",
            help="Delete what ended longer ago than this; the default is FUTURE_CELERY_RETENTION.",
        )
        parser.add_argument(
            "--status",
            nargs="+",
            choices=sorted(END_STATES),
            default=sorted(END_STATES),
            help="Delete jobs with these statuses only.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Count them, and delete nothing.")
        parser.add_argument(
            "--database",
            choices=tuple(connections),
            help="Look into this database only; the default is FUTURE_CELERY_DATABASES.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        retention = options["older_than"] or settings.RETENTION
        if retention is None:
            raise CommandError("Say --older-than 30d, or set FUTURE_CELERY_RETENTION.")
        aliases = [options["database"]] if options["database"] else databases()
        total = 0
        for alias in aliases:
            try:
                before = cutoff(database_now(alias), retention)
            except FutureCeleryError as error:
                raise CommandError(f"--older-than: {error}") from error
            work = count if options["dry_run"] else delete
            total += work(alias, before, options["status"])
        self.stdout.write(summary(total, options["dry_run"]))


def count(alias: str, before: datetime, statuses: list[str]) -> int:
    rows = ScheduledJob.objects.using(alias)
    return sum(rows.ended_before(status, before).count() for status in statuses)


def delete(alias: str, before: datetime, statuses: list[str]) -> int:
    shown = sys.stderr.isatty()
    deleted = 0
    with tqdm(total=count(alias, before, statuses) if shown else None, unit="job", disable=not shown) as bar:
        for number in prune(alias, before, statuses):
            deleted += number
            bar.update(number)
    logger.info("Deleted %s jobs that ended before %s from the database %r.", deleted, before, alias)
    return deleted


def summary(number: int, dry_run: bool) -> str:
    jobs = "1 job" if number == 1 else f"{number} jobs"
    return f"{jobs} would be deleted" if dry_run else f"{jobs} deleted"
