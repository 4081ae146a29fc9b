"""The folders of the versions, and how one is told that must not change any more."""

import json
import re
import sys
import tomllib
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core import serializers
from django.db import models
from django.utils import timezone

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
APP = "django_future_celery"

CHANGELOG = ROOT / "CHANGELOG.md"
#: The version that this tree is, or will be released as.
PRESENT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


class Release(NamedTuple):
    """What a version has left, by the file of its folder."""

    version: str

    @property
    def folder(self):
        return HERE / self.version

    @property
    def is_released(self):
        heading = rf"^## \[?v?{re.escape(self.version)}(?![\w.])"
        return re.search(heading, CHANGELOG.read_text(), re.MULTILINE) is not None

    def read(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())

    def write(self, name, data):
        if self.is_released:
            sys.exit(f"{self.version} is released, says the changelog: its folder stays. Raise the version first.")
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")

    @property
    def migration(self):
        """The package's last migration then."""
        return APP, self.read("contract")["migration"]

    def load(self, database, alias, apps):
        """Insert what was in ``database`` into ``alias``, with the columns that ``apps`` knows."""
        for using in {alias, "default"}:  # What arguments refer to is in the database that they name.
            for each in serializers.deserialize("python", self.read("objects"), using=using):
                each.save(using=using)
        for name, rows in self.read("tables").items():
            insert(apps.get_model(APP, name), rows, alias)
        insert(apps.get_model(APP, "ScheduledJob"), [row["columns"] for row in self.rows(database)], alias)

    def rows(self, database):
        return self.read("jobs")[database]


RELEASES = sorted(
    (Release(path.parent.name) for path in HERE.glob("*/contract.json")),
    key=lambda release: [int(number) for number in re.findall(r"\d+", release.version)],
)


# -- rows to JSON and back --------------------------------------------------------------------------------------------


def columns_of(row):
    """Give the columns as JSON has them; a content type by its name, as its number is another in each database."""
    return {field.name: as_json(field, row) for field in row._meta.concrete_fields}


def as_json(field, row):
    if field.related_model is ContentType:
        return row.content_type and row.content_type.natural_key()
    value = field.value_from_object(row)
    return value.isoformat() if isinstance(value, datetime) else value


def insert(model, rows, alias):
    fields = {field.name: field for field in model._meta.concrete_fields}
    model._base_manager.using(alias).bulk_create(
        model(**{fields[name].attname: as_stored(fields[name], value, alias) for name, value in row.items()})
        for row in rows
    )


def as_stored(field, value, alias):
    if value is None:
        return None
    if isinstance(field, models.DateTimeField):
        moment = datetime.fromisoformat(value)
        return moment if timezone.is_aware(moment) == settings.USE_TZ else timezone.make_naive(moment)
    if isinstance(field, models.ForeignKey):
        return ContentType.objects.db_manager(alias).get_by_natural_key(*value).pk
    return value
