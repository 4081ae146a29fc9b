"""The web server, the worker and beat as child processes, each with a log of its own."""

import os
import signal
import subprocess
import sys
import time

from django.conf import settings

#: Seconds that the children have to end when asked to; a worker first finishes the job that it runs.
GRACE = 15
TAIL_LINES = 25

# Gossip and mingle are for many workers; on a broker made of files they only write files.
WORKER = ["celery", "-A", "config", "worker", "--loglevel=info", "--without-gossip", "--without-mingle"]
BEAT = ["celery", "-A", "config", "beat", "-S", "future", "--loglevel=info"]


def web(port):
    return ["django", "runserver", "--noreload", f"127.0.0.1:{port}"]


class ChildDied(Exception):
    """A child ended, and nobody had asked it to."""


class Child:
    def __init__(self, name, module):
        self.name = name
        self.log = settings.VAR_DIR / "log" / f"{name}.log"
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=settings.BASE_DIR,
                env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the demo alone, which then ends its children.
                start_new_session=True,
            )

    @property
    def is_alive(self):
        return self.process.poll() is None

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])

    def kill(self):
        """End the process at once, and with it those that it has started itself."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Children:
    """The child processes; whoever leaves the block ends them, whatever the reason."""

    def __init__(self):
        self.all = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            self.ask_to_end()
        finally:
            for child in self.all:
                if child.is_alive:
                    child.kill()

    def start(self, name, module):
        child = Child(name, module)
        self.all.append(child)
        return child

    def wait(self, seconds):
        """Sleep.

        Raises:
            ChildDied
        """
        time.sleep(seconds)
        for child in self.all:
            if not child.is_alive:
                code = child.process.returncode
                raise ChildDied(f"{child.name} ended with code {code}. The end of {child.log}:\n\n{child.tail()}")

    def ask_to_end(self):
        for child in self.all:
            child.process.terminate()
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and any(child.is_alive for child in self.all):
            time.sleep(0.05)
