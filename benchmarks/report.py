"""The table of the results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.figures import Figure, Figures, short

TITLES = {
    "drain": "Drain of due jobs",
    "process": "In one process, without a broker",
    "schedule": "Scheduling",
    "lateness": "Lateness: start minus due time, milliseconds",
    "growth": "Growth: what finished and future rows cost",
    "idle": "An idle beat with future jobs",
    "flower": "With Flower listening",
}
RULES = {
    "drain": "The jobs are due and in place, the workers start, and the clock runs from the first tenth done until all "
    "are done: nobody's start counts, everybody's end does. CPU is that of workers, scheduler, database and broker "
    "over the same time; memory is PSS of workers and scheduler at the end.",
    "process": "A single process runs what is due, then ends; the clock runs around the call. CPU of the process.",
    "schedule": "Calls a second in one process, each in a transaction of its own, and in bulk of 1,000.",
    "lateness": "Jobs due at random instants over a minute; idle: nothing else to do, 2 slots; busy: one slot, which "
    "other jobs of 50 ms occupy half of the time. The job itself reads the clock.",
    "growth": "The same drain and ticks on an empty table, and beside finished and future rows.",
    "idle": "Nothing is due while it is watched.",
    "flower": "Task events are sent in both cases.",
}


def markdown(figures: Figures, about: Mapping[str, Any]) -> str:
    """Write everything down; ``about`` has ``machine``, ``runs`` by section, and ``peers`` with a title and a how."""
    lines = ["# Benchmarks", "", "Medians; in brackets the lowest and the highest of the rounds.", ""]
    if not about["machine"]["durable commits"]:
        lines += ["**Commits did not wait for the disk here, so these figures tell nothing about real servers.**", ""]
    lines += [f"- {name}: {value}" for name, value in about["machine"].items()]
    for section in figures.sections():
        lines += ["", f"## {TITLES[section]}", "", *measured(section, figures, about)]
    lines += ["", "## How each is configured", "", *configured(about)]
    return "\n".join(lines) + "\n"


def configured(about: Mapping[str, Any]) -> list[str]:
    return [f"- **{peer['title']}** ({peer['versions']}): {peer['how']}" for peer in about["peers"].values()]


def measured(section: str, figures: Iterable[Figure], about: Mapping[str, Any]) -> list[str]:
    """Tell what was measured in a section, with which options, and what was found."""
    run = ", ".join(f"{name} {value}" for name, value in about["runs"][section].items())
    found = [figure for figure in figures if figure.section == section]
    return [RULES[section], "", f"*Measured with: {run}.*", "", *table(found, about["peers"])]


def table(figures: Iterable[Figure], peers: Mapping[str, Mapping[str, str]]) -> list[str]:
    cases: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        cases.setdefault(figure.case, {})[figure.metric] = figure
    metrics = [
        metric for metric in dict.fromkeys(name for case in cases.values() for name in case) if metric != "error"
    ]
    lines = [row("", metrics), "|" + " --- |" + " ---: |" * len(metrics)]
    notes = []
    for case, found in sorted(cases.items(), key=lambda each: rank(each[1], metrics)):
        title = peers[case]["title"] if case in peers else case
        lines.append(row(title, [cell(found.get(metric)) for metric in metrics]))
        notes += [f"- {title}: {figure.note}" for figure in found.values() if figure.note]
    return lines + (["", *notes] if notes else [])


def rank(found: Mapping[str, Figure], metrics: list[str]) -> float:
    """The fastest first where speed is measured; as they came where it is not."""
    figure = found.get("jobs/s")
    return -figure.median if metrics[:1] == ["jobs/s"] and figure and figure.values else 0.0


def cell(figure: Figure | None) -> str:
    if figure is None or not figure.values:
        return "–"
    spread = f" ({short(min(figure.values))}–{short(max(figure.values))})" if len(figure.values) > 1 else ""
    return short(figure.median) + spread


def row(title: str, cells: Iterable[str]) -> str:
    return "| " + " | ".join([title, *cells]) + " |"
