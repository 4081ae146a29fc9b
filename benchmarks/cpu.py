"""CPU seconds and memory of processes, read from /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")


class Stat(NamedTuple):
    """One process: its parent, its session, its own CPU seconds, and those of the children it has waited for."""

    pid: int
    name: str
    parent: int
    session: int
    own: float
    reaped: float


def stat(pid: int | str) -> Stat | None:
    """Read one process; None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name is in parentheses and may hold any character, so the rest is counted from the last one.
    rest = text.rpartition(")")[2].split()
    own, reaped = (sum(map(int, rest[start : start + 2])) / TICKS for start in (11, 13))
    return Stat(int(pid), text[text.index("(") + 1 : text.rindex(")")], int(rest[1]), int(rest[3]), own, reaped)


def processes() -> list[Stat]:
    found = (stat(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [each for each in found if each is not None]


def of_sessions(leaders: list[int]) -> float:
    """Seconds used so far by the sessions that these processes lead, ended children included."""
    return sum(each.own + each.reaped for each in processes() if each.session in leaders)


def memory_of_sessions(leaders: list[int]) -> float:
    """Megabytes of the sessions; what processes share is divided among them (PSS)."""
    kilobytes = 0
    for each in processes():
        if each.session in leaders:
            with suppress(OSError):
                lines = Path(f"/proc/{each.pid}/smaps_rollup").read_text().splitlines()
                kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024


@dataclass(frozen=True)
class Servers:
    """The database server and the broker of this machine, as far as their processes can be seen."""

    postmaster: int | None
    #: The connection of the benchmark itself, whose looks at the database are no cost of what is measured.
    own_backend: int
    redis: int | None

    def database(self) -> float:
        everyone = processes()
        children = [each.own for each in everyone if each.parent == self.postmaster and each.pid != self.own_backend]
        return sum(children) + sum(each.own + each.reaped for each in everyone if each.pid == self.postmaster)

    def broker(self) -> float:
        found = stat(self.redis) if self.redis else None
        return found.own if found else 0.0


def find_servers(backend: int, redis: int) -> Servers:
    """Find the servers by what they tell of themselves: a server elsewhere is left out."""
    here, broker = stat(backend), stat(redis)
    postmaster = here.parent if here and here.name.startswith("postgres") else None
    return Servers(postmaster, backend, redis if broker and broker.name.startswith("redis") else None)
