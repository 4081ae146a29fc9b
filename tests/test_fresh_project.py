"""A project with a Celery app, a router and a user model of its own: the docs are all that is followed."""

import json
import os
import re
import uuid

import pytest

from tests.documents import Document, Project
from tests.processes import transport_options, wait_until

QUICKSTART, ROUTERS = Document("docs/quickstart.md"), Document("docs/routers.md")
JOBS, SECURITY = Document("docs/jobs.md"), Document("docs/security.md")

#: What the project had before. Its users have a UUID and no name, its messages a queue of their own.
BEFORE = {
    "people/models.py": """
import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


class People(BaseUserManager):
    def create_superuser(self, email, password):
        person = self.model(email=email, is_superuser=True)
        person.set_password(password)
        person.save(using=self._db)
        return person


class Person(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_staff = True
    objects = People()
    USERNAME_FIELD = "email"
""",
    "mysite/celery.py": """
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

app = Celery("shopping")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_default_queue = "shopping"
app.conf.task_routes = {"shop.*": {"queue": "shop"}}
app.autodiscover_tasks()


@app.task
def of_the_project():
    return "nothing of ours"
""",
    "mysite/settings.py": """
AUTH_USER_MODEL = "people.Person"
INSTALLED_APPS += ["people"]
""",
}

#: In front, so that the content types have other numbers in a database that is migrated later.
CHOSEN = """
INSTALLED_APPS = ["shop", *INSTALLED_APPS]
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {options!r}
"""

GREET = """
def greet(person, other=None):
    return f"hello {person.email}" + (" and yourself" if person == other else "")
"""

SETUP = """
import json
import re
import django
django.setup()
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django_future_celery import ScheduledJob, schedule_job
from shop.models import Order, Parcel

Person = get_user_model()
person, created = Person.objects.get_or_create(email="ada@example.com", is_superuser=True)
if created:
    person.set_password("correct horse")
    person.save()
LIST = "/admin/django_future_celery/scheduledjob/"
client = Client(SERVER_NAME="localhost")
def login():
    client.post("/admin/login/", {"username": "ada@example.com", "password": "correct horse"})
def get(path):
    response = client.get(path)
    assert response.status_code == 200, (path, response.status_code)
    return response.content.decode()
"""


def blocks(document, path, word=""):
    """The blocks of a page that belong into a file."""
    found = [block for block in document.files if block.path == path and word in block.text]
    assert found
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    with Project(tmp_path_factory.mktemp("fresh")) as project:
        begin(project)
        install(project)
        yield project


def begin(project):
    project.run("-m", "django", "startproject", "mysite", ".")
    for app in ("people", "shop"):
        project.run("manage.py", "startapp", app)
    for path, text in BEFORE.items():
        append(project, path, text)
    project.run("manage.py", "makemigrations", "people")
    project.run("manage.py", "migrate")


def install(project):
    (project.folder / "shop" / "models.py").unlink()
    project.write(blocks(QUICKSTART, "mysite/settings.py"))
    project.write(blocks(QUICKSTART, "shop/models.py") + blocks(JOBS, "shop/models.py", "class Parcel"))
    project.write(blocks(QUICKSTART, "shop/jobs.py"))
    project.write(blocks(SECURITY, "mysite/settings.py", "ALLOWED_CALLABLES"))
    project.write(ROUTERS.files)
    append(project, "shop/jobs.py", GREET)
    append(project, "mysite/settings.py", CHOSEN.format(options=transport_options("filesystem://", project.folder)))
    if os.environ.get("TEST_WITHOUT_BEAT") == "1":
        settings = project.folder / "mysite" / "settings.py"
        settings.write_text(re.sub(r".*django_celery_beat.*\n", "", settings.read_text()))
    project.run("manage.py", "makemigrations", "shop")
    for command in ROUTERS.commands("python "):
        project.run(*command)


def append(project, path, text):
    with (project.folder / path).open("a") as file:
        file.write(text)


def run(project, code):
    """Run code in the project; give the value that it has called ``told``."""
    return json.loads(project.run("-c", f"{SETUP}\n{code}\nprint(json.dumps(told))").splitlines()[-1])


def test_the_checks_have_nothing_to_say(project):
    assert "no issues" in project.run("manage.py", "check", "--database", "default", "--database", "jobs")


def test_the_content_types_have_other_numbers_in_the_other_database(project):
    code = 'told = [ContentType.objects.using(db).get(model="person").pk for db in ("default", "jobs")]'
    assert len(set(run(project, code))) == 2


def test_a_job_about_the_user_goes_through_beat_and_worker(project):
    pk, database = run(
        project,
        'job = schedule_job("0s", "shop.jobs.greet", person, args=[person]); told = job.pk, job._state.db',
    )
    assert database == "jobs"
    for command in QUICKSTART.commands("celery "):
        project.start("-m", "celery", *command)

    look = f"told = ScheduledJob.objects.values_list('status', 'return_value').get(pk={pk})"
    # The broker of files may trip over a half-written one; the job is then sent again a minute later.
    wait_until(lambda: run(project, look)[0] == "complete", 180, what="the end of the job")
    assert run(project, look) == ["complete", "hello ada@example.com and yourself"]
    assert run(project, "login(); told = 'celery@' in get(f'{LIST}overview/')")


def test_the_user_sees_a_job_about_himself_in_the_admin(project):
    told = run(
        project,
        """
job = schedule_job("1h", "shop.jobs.greet", person)
other = schedule_job("1h", "shop.jobs.add", args=[1, 2])
login()
page = get(f"{LIST}{job.pk}/change/")
kinds = re.findall(r'content_type__id__exact=(\\d+)[^>]*>\\s*([^<]*?)\\s*<', get(LIST))
[kind] = [pk for pk, name in kinds if name == "People | person"]
found = get(f"{LIST}?content_type__id__exact={kind}")
told = {
    "sentence": job.why_not_yet() in page,
    "target": str(person.pk) in page,
    "found": f"/{job.pk}/change/" in found,
    "other": f"/{other.pk}/change/" in found,
}
""",
    )
    assert told == {"sentence": True, "target": True, "found": True, "other": False}


def test_the_user_schedules_a_job_about_himself_in_the_admin_and_it_is_logged(project):
    pk, user, database = run(
        project,
        """
login()
form = get(f"{LIST}add/?callable_name=shop.jobs.greet")
[kind] = re.findall(r'<option value="(\\d+)">People \\| person</option>', form)
sent = {"date": "0s", "expires": "7d", "priority": 0, "content_type": kind, "object_id": str(person.pk)}
response = client.post(f"{LIST}add/?callable_name=shop.jobs.greet", sent)
assert response.status_code == 302, response.content.decode()
job, entry = ScheduledJob.objects.latest("pk"), LogEntry.objects.latest("pk")
assert entry.object_id == str(job.pk)
told = job.pk, str(entry.user_id), entry._state.db
""",
    )
    assert (uuid.UUID(user).version, database) == (4, "default")
    project.run("manage.py", "runscheduledjobs")
    assert run(project, f"told = ScheduledJob.objects.get(pk={pk}).return_value") == "hello ada@example.com"


def test_the_user_cancels_and_retries_in_the_admin(project):
    before, after, entries = run(
        project,
        """
job = schedule_job("1h", "shop.jobs.greet", person)
login()
client.post(f"{LIST}{job.pk}/change/", {"action": "cancel"})
before = ScheduledJob.objects.get(pk=job.pk).status
client.post(f"{LIST}{job.pk}/change/", {"action": "retry"})
after = ScheduledJob.objects.latest("pk").rescheduled_from == job.pk
told = before, after, LogEntry.objects.filter(object_id=job.pk, user=person).count()
""",
    )
    assert (before, after, entries) == ("cancelled", True, 2)


def test_the_jobs_of_an_object_are_cancelled_with_it(project):
    told = run(
        project,
        """
parcel, other = Parcel.objects.create(), Parcel.objects.create()
jobs = [schedule_job("3d", "shop.jobs.send_reminder", content_object=each) for each in (parcel, other)]
parcel.delete()
told = [ScheduledJob.objects.get(pk=job.pk).status for job in jobs]
""",
    )
    assert told == ["cancelled", "scheduled"]


def test_the_commands_look_into_the_database_of_the_jobs(project):
    run(project, 'told = schedule_job("0s", "shop.jobs.add", args=[2, 3]).pk')
    project.run("manage.py", "runscheduledjobs")
    project.run("manage.py", "checkscheduledjobs")
    assert run(project, "told = ScheduledJob.objects.filter(return_value='5').count()") == 1
