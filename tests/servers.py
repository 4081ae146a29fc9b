"""Servers of a test's own, which it may stop and kill: on free ports, with their own folders, only on this machine."""

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.processes import wait_until
from tests.services import required


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name):
    """The path of a program; Debian keeps PostgreSQL's off the search path. None: it is not here."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(versions[-1]) if versions else None)


def installed(*names):
    """Whether the programs are here; complains where nothing may be missing."""
    missing = [name for name in names if program(name) is None]
    if missing:
        required(" ".join(missing))
    return not missing


class PrivateRedis:
    """Keeps nothing: what was in it is lost when it stops."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder
        self.process = None

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self.process = subprocess.Popen([*command, str(self.folder)], stdout=subprocess.DEVNULL)
        wait_until(self.answers, what="the start of Redis")

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def kill(self):
        self.process.kill()
        self.process.wait(10)


class PrivatePostgreSQL:
    """What was committed survives ``crash()``, as the machine stays up; so there is no need to wait for the disk."""

    OPTIONS = (
        "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c max_connections=200"
        # Whoever asks for it waits at the commit for a server that does not exist, until the connection is cut.
        " -c synchronous_commit=local -c synchronous_standby_names=nobody"
    )

    def __init__(self):
        # PostgreSQL does not run as root, and its user must be able to enter the folder.
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-postgresql-"))
        if self.user:
            shutil.chown(self.folder, self.user)
        self.port = free_port()
        self.running = False
        self.run("initdb", "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")

    def run(self, name, *options):
        command = [program(name), "-D", str(self.folder / "data"), *options]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        subprocess.run(command, check=True, cwd=self.folder, user=self.user, timeout=120, **quiet)

    def start(self):
        log = self.folder / "log"
        self.run("pg_ctl", "start", "-w", "-l", str(log), "-o", f"-p {self.port} {self.OPTIONS}")
        self.running = True

    def crash(self):
        """Cut every connection and end with no checkpoint; the next start recovers from the log."""
        self.run("pg_ctl", "stop", "-m", "immediate")
        self.running = False

    def remove(self):
        with suppress(subprocess.SubprocessError):
            self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def settings(self):
        """The server's database as Django's settings name it."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "OPTIONS": {"connect_timeout": 5},
        }
