from __future__ import annotations

import socket
import sys
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, connections
from tqdm import tqdm

from django_future_celery.dispatcher import databases
from django_future_celery.models import ScheduledJob
from django_future_celery.presence import Presence
from django_future_celery.processing import Pass, delete_complete
from django_future_celery.redaction import redacted_error
from django_future_celery.states import Kind, Status
from django_future_celery.text import one_line


class Command(BaseCommand):
    help = "Run the scheduled jobs that are due, in this process; no broker and no worker is needed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "-d",
            "--delete-completed",
            action="store_true",
            help="Delete the rows of the jobs that complete.",
        )
        parser.add_argument(
            "-i", "--ignore-errors", action="store_true", help="Go on with the next job when one fails."
        )
        parser.add_argument(
            "--database",
            choices=tuple(connections),
            help="Look into this database only; the default is FUTURE_CELERY_DATABASES.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.count: Counter[str] = Counter()
        self.presence = Presence(Kind.COMMAND, f"runscheduledjobs@{socket.gethostname()}")
        aliases = [options["database"]] if options["database"] else databases()
        try:
            silent = [problem for alias in aliases if (problem := self.run_in(alias, options))]
        finally:
            self.stdout.write(self.summary())
        if silent:
            raise CommandError(" ".join(silent))

    def run_in(self, alias: str, options: dict[str, Any]) -> str:
        """Run what is due in one database; give what is wrong with that, for it must keep no other waiting."""
        try:
            self.run_pass(Pass(alias), options)
        except (OperationalError, InterfaceError) as error:
            return f"The database {alias!r} does not answer: {one_line(error)}"
        return ""

    def run_pass(self, jobs: Pass, options: dict[str, Any]) -> None:
        total = jobs.due().count() if sys.stderr.isatty() else None
        bar = tqdm(jobs, total=total, unit="job", disable=total is None, leave=False)
        try:
            self.presence.show(jobs.using)
            for outcome in bar:
                self.presence.show(jobs.using)
                self.count[outcome.job.status] += 1
                if options["delete_completed"]:
                    delete_complete(outcome.job)
                if outcome.failure is not None:
                    self.stderr.write(redacted_error(outcome.failure, outcome.job))
                    self.give_up(outcome.job, outcome.failure, options)
        finally:
            bar.close()
            self.count[Status.EXPIRED] += jobs.expired
            self.count["lost"] += jobs.recovered.failed + jobs.recovered.again

    def give_up(self, job: ScheduledJob, error: BaseException, options: dict[str, Any]) -> None:
        if not isinstance(error, Exception | SystemExit):
            raise error  # Ctrl-C, say: it was recorded, now it does what it is for.
        if not options["ignore_errors"]:
            raise CommandError(f"Job {job.pk}, {job.callable_name}, failed; -i goes on with the others.")

    def summary(self) -> str:
        shown = (Status.COMPLETE, Status.FAILED, Status.SCHEDULED, Status.CANCELLED, Status.EXPIRED, "lost")
        words = {Status.SCHEDULED: "to be tried again", "lost": "lost in an earlier run"}
        return ", ".join(
            f"{self.count[each]} {words.get(each, each)}"
            for each in shown
            if self.count[each] or each in (Status.COMPLETE, Status.FAILED)
        )
