"""Write the folder of the present version: ``python -m tests.upgrade.write``.

Before a release, and again whenever a test says so; a version that the changelog names is released, and refused.
"""

import json
import os
from unittest import mock

import django

HOST = "app.example"


def main():
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.upgrade.settings"
    django.setup()
    from tests.upgrade.releases import PRESENT, Release

    with mock.patch("socket.gethostname", return_value=HOST):
        write(Release(PRESENT))
    print(f"Written: {Release(PRESENT).folder}")


def write(release):
    from django.core import serializers
    from django.core.management import call_command

    from django_future_celery.models import BeatLease, Process, ScheduledJob
    from tests.upgrade import leftovers, messages
    from tests.upgrade.contract import contract
    from tests.upgrade.releases import columns_of

    rows, posted = {}, []
    for alias in ("default", "archive"):
        call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
        objects = leftovers.write_objects(alias)
        left = leftovers.write_rows(alias, objects) if alias == "default" else []
        groups = leftovers.write_sent(alias, objects)
        stored = ScheduledJob.objects.using(alias).in_bulk()
        for group in groups:
            message = messages.sent([stored[each.job.pk] for each in group])
            posted.append({"database": alias, "jobs": [each.job.pk for each in group], **message})
        left += [each for group in groups for each in group]
        rows[alias] = [{"name": name, "columns": columns_of(stored[job.pk]), "end": end} for name, job, end in left]
    leftovers.write_processes("default")
    tables = {model.__name__: [columns_of(row) for row in model.objects.all()] for model in (Process, BeatLease)}
    release.write("contract", contract())
    release.write("objects", serializers.serialize("python", objects.values()))
    release.write("tables", tables)
    release.write("jobs", without_paths(rows))
    release.write("messages", posted)


def without_paths(data):
    """Tracebacks name files: leave out where this tree is."""
    from tests.upgrade.releases import ROOT

    return json.loads(json.dumps(data).replace(f"{ROOT}/", ""))


if __name__ == "__main__":
    main()
