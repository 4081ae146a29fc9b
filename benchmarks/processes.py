"""Start and stop what is measured. Each process leads a session of its own, by which its children are found."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from benchmarks import cpu

STOP_SECONDS = 10


class Broken(Exception):
    """A run could not be measured; the message says what happened."""


class Processes:
    """The processes of one run, with a log each; all have ended when the block ends."""

    def __init__(self, python: Path, environment: dict[str, str], folder: Path) -> None:
        self.python = python
        self.environment = environment
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.logs: list[Path] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.running:
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self.running:
            end(process)

    def start(self, *command: str) -> int:
        """Start ``python command…``; give its id."""
        log = self.folder / f"{len(self.logs)}.log"
        self.logs.append(log)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(self.python), *command],
                env=os.environ | self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running.append(process)
        return process.pid

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.running]

    def cpu(self) -> float:
        return cpu.of_sessions(self.pids)

    def memory(self) -> float:
        return cpu.memory_of_sessions(self.pids)

    def check(self) -> None:
        """Raise Broken if one of them has ended."""
        for process, log in zip(self.running, self.logs, strict=True):
            if process.poll() is not None:
                raise Broken(f"a process ended with {process.returncode}: {tail(log)}")

    def tails(self) -> str:
        return " | ".join(tail(log) for log in self.logs)

    def wait_for_log(self, text: str, seconds: float = 30) -> None:
        """Wait until the last process started has written ``text``."""
        deadline = time.monotonic() + seconds
        while text not in self.logs[-1].read_text(errors="replace"):
            self.check()
            if time.monotonic() > deadline:
                raise Broken(f"no {text!r} within {seconds:g} s: {tail(self.logs[-1])}")
            time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait a moment for the process, then kill its group."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)


def tail(log: Path, characters: int = 1000) -> str:
    return " ".join(log.read_text(errors="replace")[-characters:].split())
