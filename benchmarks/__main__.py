"""Measure this package and its peers: ``uv run python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import signal
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import (
    environment,
    measure_drain,
    measure_flower,
    measure_growth,
    measure_idle,
    measure_lateness,
    measure_process,
    measure_schedule,
    report,
)
from benchmarks.figures import Figure, Figures
from benchmarks.peers import PEERS, Peer
from benchmarks.stage import ROOT, Stage

RESULTS = Path(__file__).parent / "results"
QUICK = {"jobs": 2000, "rounds": 1, "seconds": 10, "millions": [0.05]}

#: CPU per job comes from the same runs as the drain.
SECTIONS: dict[str, Callable[[Stage, Figures, argparse.Namespace], None]] = {
    "drain": lambda stage, figures, it: measure_drain.measure(stage, figures, it.peers, it.jobs, it.rounds),
    "process": lambda stage, figures, it: measure_process.measure(stage, figures, it.jobs, it.rounds),
    "schedule": lambda stage, figures, it: measure_schedule.measure(stage, figures, it.jobs, it.rounds),
    "lateness": lambda stage, figures, it: measure_lateness.measure(stage, figures, it.seconds),
    "growth": lambda stage, figures, it: measure_growth.measure(stage, figures, it.jobs, it.rounds, it.millions),
    "idle": lambda stage, figures, it: measure_idle.measure(stage, figures, it.seconds, it.millions[0]),
    "flower": lambda stage, figures, it: measure_flower.measure(stage, figures, it.jobs, it.rounds),
}
ALSO = {"cpu": "drain"}


def main() -> None:
    # Also a run that is told to end leaves no processes, database or messages behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = parse()
    python = environment.prepare(options.python)
    figures = Figures()
    with Stage(python, options.postgresql, options.redis) as stage:
        about = {"machine": environment.machine(stage), "runs": dict.fromkeys(options.only, told(options))}
        options.peers = present(options.peers, about["machine"]["python"])
        about["peers"] = described(options.peers)
        stage.create_tables([peer for peer in PEERS.values() if peer in options.peers or peer.name in NEEDED])
        try:
            for name in options.only:
                section(name, stage, figures, options)
        finally:
            write(options.results, figures, about)
    if any(figure.metric == "error" for figure in figures):
        raise SystemExit("Not all could be measured, see above.")


def section(name: str, stage: Stage, figures: Figures, options: argparse.Namespace) -> None:
    """Measure one section; what goes wrong with it does not take the others along."""
    try:
        SECTIONS[name](stage, figures, options)
    except Exception as error:
        traceback.print_exc()
        figures.failed(name, "the section", repr(error))


#: The other sections compare with these, whatever peers the drain is asked for.
NEEDED = ("ours", "original", "celery-eta", "procrastinate")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", type=names(SECTIONS | ALSO), default=list(SECTIONS), help=", ".join(SECTIONS | ALSO))
    parser.add_argument("--peers", type=names(PEERS), default=list(PEERS), help=", ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=20_000, help="how many a drain has")
    parser.add_argument("--seconds", type=int, default=60, help="how long lateness and the idle beat are watched")
    parser.add_argument(
        "--millions", type=float, nargs="+", default=[1], help="finished and future rows of growth, of each"
    )
    parser.add_argument("--quick", action="store_true", help=f"see that all works: {QUICK}")
    parser.add_argument("--postgresql", default="postgres://postgres@127.0.0.1:5432/postgres")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/15", help="must be empty; it is flushed")
    parser.add_argument("--python", help="the interpreter to measure with; uv looks for 3.12 or later")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    options = parser.parse_args()
    vars(options).update(QUICK if options.quick else {})
    options.only = list(dict.fromkeys(ALSO.get(name, name) for name in options.only))
    options.peers = [PEERS[name] for name in options.peers]
    return options


def names(known: dict[str, Any]) -> Callable[[str], list[str]]:
    def split(text: str) -> list[str]:
        found = text.split(",")
        if unknown := set(found) - set(known):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return found

    return split


def told(options: argparse.Namespace) -> dict[str, Any]:
    when = datetime.now(UTC).isoformat(timespec="minutes")
    millions = " and ".join(f"{each:g}" for each in options.millions)
    return {"when": when, "millions": millions} | {
        name: getattr(options, name) for name in ("jobs", "rounds", "seconds")
    }


def present(peers: list[Peer], python: str) -> list[Peer]:
    """Leave out what this Python cannot have, and say so."""
    installed = environment.versions()
    for peer in peers:
        if missing := [name for name in peer.distributions if name not in installed]:
            print(f"{peer.name} is left out: {', '.join(missing)} cannot be installed with Python {python}.")
    return [peer for peer in peers if all(name in installed for name in peer.distributions)]


def described(peers: list[Peer]) -> dict[str, dict[str, str]]:
    installed = environment.versions()
    return {
        peer.name: {
            "title": peer.title,
            "how": peer.how,
            "versions": ", ".join(f"{name} {installed[name]}" for name in peer.distributions),
        }
        for peer in peers
    }


def write(folder: Path, figures: Figures, about: dict[str, Any]) -> None:
    """Write what there is, also when a section broke off; sections that were not measured stay as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "results.json"
    before = json.loads(raw.read_text()) if raw.exists() else {"figures": [], "peers": {}, "runs": {}}
    kept = [each for each in (Figure(**figure) for figure in before["figures"]) if each.section not in about["runs"]]
    figures = Figures(sorted([*kept, *figures], key=lambda each: list(SECTIONS).index(each.section)))
    peers = {name: peer for name, peer in (before["peers"] | about["peers"]).items() if name in PEERS}
    about = about | {"peers": peers, "runs": before["runs"] | about["runs"]}
    raw.write_text(json.dumps(about | {"figures": [asdict(figure) for figure in figures]}, indent=1))
    (folder / "results.md").write_text(report.markdown(figures, about))
    environment.run("benchmarks.chart", str(raw), cwd=ROOT)
    print(f"written to {folder}")


if __name__ == "__main__":
    main()
