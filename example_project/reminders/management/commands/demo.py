import signal
import socket
import sys
import time
from contextlib import suppress
from shlex import quote

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from reminders.demo import processes, scenes

#: Seconds between two looks at the jobs and at the child processes.
LOOK = 0.25
WEB_TIMEOUT = 30
#: Without an address it would listen on all of this machine's, and it asks for no password here.
FLOWER = "-m celery -A config flower --address=127.0.0.1"

WHERE_TO_LOOK = """
  Reminders  http://127.0.0.1:{port}/
  Admin      http://127.0.0.1:{port}/admin/  (user admin, password admin)
  Health     http://127.0.0.1:{port}/monitoring/health/
  Metrics    {metrics}
  Flower     http://127.0.0.1:5555/  after, in another terminal with the same environment: {flower}
  Logs       {var}/log/
  Mail       {var}/mail/

Ctrl-C ends it all.
"""
NO_METRICS = 'with pip install "django-future-celery[prometheus]"'


class Command(BaseCommand):
    help = "Start all that is needed on this machine, schedule a few jobs, and show what becomes of them."

    def add_arguments(self, parser):
        parser.add_argument("--once", action="store_true", help="no web server; show a table when the jobs have ended")
        parser.add_argument("--timeout", type=float, default=60, help="with --once: wait at most so many seconds (60)")
        parser.add_argument("--port", type=int, default=8000, help="of the web server (8000); 0 takes a free one")

    def handle(self, *, once, timeout, port, **options):
        signal.signal(signal.SIGTERM, lambda *received: sys.exit("Terminated."))
        if not once:
            refuse_taken(port)
        self.prepare()
        try:
            with processes.Children() as children:
                self.start(children, "worker", processes.WORKER)
                self.start(children, "beat", processes.BEAT)
                if once:
                    self.run_once(children, timeout)
                else:
                    self.run_until_interrupted(children, port or free_port())
        except processes.ChildDied as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted.") from None

    def prepare(self):
        engine = settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]
        broker = settings.CELERY_BROKER_URL.partition(":")[0]
        self.say(f"Database: {engine}. Broker: {broker}. Files: {settings.VAR_DIR}")
        call_command("migrate", verbosity=0)
        self.say("Migrated the database.")
        create_admin()
        self.say("The user of the admin is admin, password admin; for development only.")
        empty_broker_folder()
        empty(settings.METRICS_DIR)

    def start(self, children, name, module):
        child = children.start(name, module)
        self.say(f"Started {name}, process {child.process.pid}.")

    def run_once(self, children, timeout):
        jobs = scenes.schedule()
        self.say(f"Scheduled {len(jobs)} jobs; one of them is for tomorrow.")
        wait_for_ends(jobs, children, timeout)
        scenes.reload(jobs)
        self.say(f"\n{scenes.table(jobs)}\n\n{scenes.tracebacks(jobs)}")
        if surprises := scenes.surprises(jobs):
            raise CommandError("\n".join([*surprises, f"The logs are in {settings.VAR_DIR / 'log'}."]))
        self.say("All is as it should be. Ending the processes, which takes some seconds.")

    def run_until_interrupted(self, children, port):
        self.start(children, "web", processes.web(port))
        wait_for_web(children, port)
        jobs = [*scenes.schedule(), *scenes.schedule_more()]
        self.say(f"Scheduled {len(jobs)} jobs.")
        flower = f"cd {quote(str(settings.BASE_DIR))} && {quote(sys.executable)} {FLOWER}"
        metrics = f"http://127.0.0.1:{port}/monitoring/metrics/" if settings.FUTURE_CELERY_PROMETHEUS else NO_METRICS
        self.say(WHERE_TO_LOOK.format(port=port, flower=flower, metrics=metrics, var=settings.VAR_DIR))
        with suppress(KeyboardInterrupt):
            while True:
                children.wait(LOOK)
        self.say("\nEnding the processes, which takes some seconds.")

    def say(self, text):
        self.stdout.write(text)
        self.stdout.flush()


def create_admin():
    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        users.create_superuser("admin", "admin@example.com", "admin")


def empty_broker_folder():
    """Remove the messages of earlier demos: the rows know what is to be done, and events nobody reads pile up."""
    if settings.CELERY_BROKER_URL == "filesystem://":
        empty(settings.MESSAGE_DIR)
        empty(settings.CONTROL_DIR)


def empty(folder):
    for file in folder.iterdir():
        file.unlink()


def wait_for_ends(jobs, children, timeout):
    deadline = time.monotonic() + timeout
    left = total = scenes.still_to_end(jobs)
    with tqdm(total=total, desc="Waiting", unit="job", disable=None, leave=False) as bar:
        while left and time.monotonic() < deadline:
            children.wait(LOOK)
            left = scenes.still_to_end(jobs)
            bar.update(total - left - bar.n)
            bar.refresh()


def wait_for_web(children, port):
    deadline = time.monotonic() + WEB_TIMEOUT
    while time.monotonic() < deadline:
        children.wait(LOOK)
        if answers(port):
            return
    raise CommandError(f"The web server does not answer on port {port}; see {settings.VAR_DIR / 'log'}.")


def refuse_taken(port):
    """Say so before anything is started or emptied: what answers there may be another demo."""
    if port and answers(port):
        raise CommandError(f"Something answers on port {port} already. Take another: --port {port + 1}, or 0 for any.")


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
