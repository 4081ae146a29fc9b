"""Beats and workers as their supervisor sees them."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

#: What a worker and a beat write to their logs once they do their work.
READY = (b" ready.", b"beat: Starting")


class Member:
    """A worker or a beat, and whatever process does its work at the moment."""

    def __init__(self, name, start, log):
        self.name = name
        self.start = start
        self.log = log
        self.begin()

    def begin(self):
        self.logged = self.log.stat().st_size if self.log.exists() else 0
        self.process = self.start()
        self.ready = None
        self.frozen = False

    def at_work(self, seconds):
        """Whether it has done its work for so long."""
        if self.alive and self.ready is None and self.says_so():
            self.ready = time.monotonic()
        return self.alive and self.ready is not None and time.monotonic() >= self.ready + seconds

    def says_so(self):
        with self.log.open("rb") as log:
            log.seek(self.logged)
            written = log.read()
        return any(sign in written for sign in READY)

    @property
    def alive(self):
        return self.process.poll() is None

    def freeze(self):
        self.frozen = True
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self, process=None):
        """Wake ``process``, which may have been replaced meanwhile; None: the one of now."""
        if process in (None, self.process):
            self.frozen = False
        with suppress(ProcessLookupError):
            os.killpg((process or self.process).pid, signal.SIGCONT)

    def children(self):
        """The ids of the processes that a worker runs jobs in."""
        files = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        with suppress(OSError):
            return sorted(int(child) for file in files for child in file.read_text().split())
        return []
