"""Private servers, and beats and workers that are started again whenever they have ended."""

import json
import os
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import django
import redis
from django.db import Error, connection, transaction
from django.utils import timezone

from tests.chaos.evidence import collect
from tests.chaos.members import Member
from tests.processes import Project, wait_until
from tests.servers import PrivatePostgreSQL, PrivateRedis
from tests.services import URLS

#: Short, so that in a minute much is lost, found and tried again.
SHORT = {
    # What a wiped broker loses is sent again later each time: it should not have the whole backlog.
    "FUTURE_CELERY_WINDOW": 64,
    "FUTURE_CELERY_TICK_SECONDS": 1.0,
    "FUTURE_CELERY_DISPATCH_LEASE_SECONDS": 3.0,
    "FUTURE_CELERY_RUN_LEASE_SECONDS": 4.0,
    "FUTURE_CELERY_HEARTBEAT_SECONDS": 1.0,
    "FUTURE_CELERY_PUBLISH_TIMEOUT_SECONDS": 1.0,
    "FUTURE_CELERY_RETRY_BACKOFF_SECONDS": 0.4,
    "FUTURE_CELERY_RETRY_BACKOFF_MAX_SECONDS": 2.0,
    # Each message has several jobs: what a killed worker had fetched would be most of the window.
    "CELERY_WORKER_PREFETCH_MULTIPLIER": 1,
    "CELERY_WORKER_SEND_TASK_EVENTS": False,
    "CELERY_TASK_SEND_SENT_EVENT": False,
    "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": True,
}

APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_future_celery", "tests.chaos.witness"]

#: Jobs inserted by one transaction.
CHUNK = 200


class Stage:
    def __init__(self, folder, broker="redis", **settings):
        self.folder = Path(folder)
        self.file = self.folder / "starts"
        self.redis = PrivateRedis(self.folder) if broker == "redis" else None
        self.url = self.redis.url if self.redis else URLS[broker]
        self.settings = SHORT | {"CHAOS_FILE": str(self.file)} | settings
        self.database = PrivatePostgreSQL()
        self.members = []
        self.planned = {}
        self.began = None

    def __enter__(self):
        try:
            self.start_servers()
            self.project = Project("default", self.url, self.folder, **self.settings)
        except BaseException:
            self.remove_servers()
            raise
        return self

    def __exit__(self, *error):
        try:
            for member in self.members:
                member.thaw()
            self.project.__exit__(*error)
        finally:
            self.remove_servers()

    def start_servers(self):
        self.database.start()
        if self.redis:
            self.redis.start()
        set_up_django(self.database.settings, self.settings)

    def remove_servers(self):
        if self.redis:
            self.redis.stop()
        self.database.remove()

    # -- beats and workers -------------------------------------------------------------------------------------------

    def worker(self, name="worker", processes=2):
        return self.join(name, lambda: self.project.worker("-c", str(processes), name=name))

    def beat(self, name="beat"):
        # A killed beat leaves its file, with the id of a process that may be another one by now.
        options = ("-S", "future", "--pidfile=", "-s", str(self.folder / f"{name}.schedule"))
        return self.join(name, lambda: self.project.beat(*options, name=name))

    def join(self, name, start):
        self.members.append(Member(name, start, self.folder / f"{name}.log"))
        return self.members[-1]

    def restart(self, member):
        """Start the member again; what is left of it is ended first, as a supervisor does."""
        self.project.stop(member.process)
        self.project.processes.remove(member.process)
        member.begin()

    # -- jobs --------------------------------------------------------------------------------------------------------

    def schedule(self, *tasks, lead=0.0, progress=iter):
        """Schedule the tasks for a run that begins in ``lead`` seconds; give their jobs."""
        self.began = timezone.now() + timedelta(seconds=lead)
        jobs = []
        for first in progress(range(0, len(tasks), CHUNK)):
            with transaction.atomic():
                jobs += [self.schedule_one(task) for task in tasks[first : first + CHUNK]]
        return jobs

    def schedule_one(self, task):
        from django_future_celery import schedule_job

        job = schedule_job(
            self.began + timedelta(seconds=task.due),
            task.callable_name,
            expires=task.expires,
            kwargs={"seconds": list(task.seconds)},
            max_attempts=task.max_attempts,
        )
        self.planned[job.pk] = task
        return job

    def run(self, job):
        """Run a job in this process, as one of any number of processors."""
        from django_future_celery.runner import run_job

        return run_job(job.pk, job.attempts, using="default")

    def cancel(self, job):
        """Cancel a job. A row that a frozen worker holds is not waited for: it is woken by whoever asks this."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '0.5s'")
            return job.cancel()

    def rows(self):
        from django_future_celery.models import ScheduledJob

        return ScheduledJob.objects.all()

    def ended(self):
        """How many jobs have ended; None while the database does not answer."""
        return ask(lambda: self.rows().ended().count())

    def wait_for_ends(self, seconds):
        with suppress(AssertionError):
            wait_until(lambda: self.ended() == len(self.planned), seconds)

    # -- the database ------------------------------------------------------------------------------------------------

    def cut_commits(self):
        """Cut the connections that have committed and wait for the answer; give their number."""
        return len(cut("wait_event = 'SyncRep'"))

    def cut_one(self, rng):
        """Cut any one of the others' connections."""
        return cut("pid = %s", rng.choice(pids)) if (pids := sessions()) else []

    # -- the broker --------------------------------------------------------------------------------------------------

    def flush(self):
        """Lose all messages."""
        if self.redis is None:
            self.project.purge()
        else:
            self.redis_client().flushall()

    def redis_client(self):
        return redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)

    def evidence(self):
        return collect(self.planned, self.file)


def set_up_django(database, settings):
    """Have this process use the private database, and make the tables and the trigger in it."""
    from django.core.management import call_command

    settings["INSTALLED_APPS"] = APPS + ([] if os.environ.get("TEST_WITHOUT_BEAT") == "1" else ["django_celery_beat"])
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.project.settings"
    os.environ["PROJECT_SETTINGS"] = json.dumps({"DATABASES": {"default": database}} | settings)
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute((Path(__file__).parent / "witness" / "audit.sql").read_text())


def sessions(condition="true", *params):
    """The ids of the others' sessions."""
    others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pid FROM pg_stat_activity WHERE {others} AND {condition} ORDER BY pid", params)
        return [pid for (pid,) in cursor.fetchall()]


def cut(condition, *params):
    """Cut the sessions of the condition; give their ids."""
    pids = sessions(condition, *params)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) pid", [pids])
    return pids


def ask(question):
    """What the database answers to ``question()``; None if it does not answer."""
    try:
        return question()
    except Error:
        connection.close()
        return None


def sleep_until(moment):
    time.sleep(max(0.0, (moment - timezone.now()).total_seconds()))
