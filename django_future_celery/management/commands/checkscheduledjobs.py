from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from django_future_celery.checkup import Limits, Report, report
from django_future_celery.dispatcher import databases
from django_future_celery.durations import length_of
from django_future_celery.exceptions import InvalidTime

SOMETHING_WRONG, DATABASE_AWAY = 1, 2


def seconds(text: str) -> float:
    try:
        return length_of(text).total_seconds()
    except InvalidTime as error:
        raise ArgumentTypeError(str(error)) from error


class Command(BaseCommand):
    help = (
        "Tell how the scheduled jobs are doing. The exit code is 1 if something is late, stuck or silent, and 2 if a "
        "database does not answer."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print JSON.")
        parser.add_argument(
            "--max-due-age",
            type=seconds,
            default=Limits.due_age,
            help="How long a job may wait after it became due, such as 5m, which is the default.",
        )
        parser.add_argument(
            "--max-tick-age",
            type=seconds,
            help="How long ago a beat or runscheduledjobs may have looked last; the default is 1m.",
        )
        parser.add_argument(
            "--database",
            choices=tuple(connections),
            help="Look into this database only; the default is FUTURE_CELERY_DATABASES.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        given = {"tick_age": options["max_tick_age"]} if options["max_tick_age"] is not None else {}
        limits = Limits(due_age=options["max_due_age"], **given)
        aliases = [options["database"]] if options["database"] else databases()
        reports = {alias: report(alias, limits) for alias in aliases}
        self.stdout.write(as_json(reports) if options["json"] else "\n".join(as_lines(reports)))
        if problems := [f"{alias}: {words}" for alias, each in reports.items() for words in each.problems.values()]:
            away = any(each.checkup is None for each in reports.values())
            raise CommandError("\n".join(problems), returncode=DATABASE_AWAY if away else SOMETHING_WRONG)


def as_json(reports: dict[str, Report]) -> str:
    return json.dumps(
        {
            alias: {
                "problems": each.problems,
                **(each.checkup.figures() if each.checkup else {}),
                "processes": [seen._asdict() for seen in each.checkup.processes] if each.checkup else [],
            }
            for alias, each in reports.items()
        },
        indent=2,
    )


def as_lines(reports: dict[str, Report]) -> list[str]:
    lines = []
    for alias, each in reports.items():
        lines.append(f"{alias}: {', '.join(each.problems) or 'ok'}")
        if each.checkup is not None:
            lines += [
                f"  {name:<20}{'-' if value is None else value}" for name, value in each.checkup.figures().items()
            ]
            lines += [f"  {seen.kind:<20}{seen.name}, seen {seen.age:.0f} s ago" for seen in each.checkup.processes]
    return lines
