"""``python -m benchmarks.chart results.json``: draw the chart beside it, as PNG and SVG."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

OURS, OTHERS = "#0c4b33", "#b8c4bd"
OUR_CASES = ("django-future-celery", "schedule_job", "empty table", "beside")
#: Between the longest and the shortest bar; beyond, the axis is logarithmic.
WIDEST = 50
#: The chart's panels: section, metric, title.
PANELS = (
    ("drain", "jobs/s", "Drain, jobs a second"),
    ("drain", "CPU ms/job", "CPU per job, ms, everything included"),
    ("process", "jobs/s", "In one process, jobs a second"),
    ("schedule", "calls/s", "Scheduling, jobs a second"),
    ("lateness", "p95", "Lateness, 95th percentile, ms"),
    ("growth", "jobs/s", "Drain beside many rows, jobs a second"),
)


def draw(raw: Path) -> None:
    results = json.loads(raw.read_text())
    panels = [(title, found) for *key, title in PANELS if (found := bars(results, *key))]
    if not panels:
        return
    rows = -(-len(panels) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(14, 1 + 4 * rows), squeeze=False, layout="constrained")
    for axis, (title, found) in zip(axes.flat, panels, strict=False):
        panel(axis, title, found)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    machine = results["machine"]
    figure.suptitle(
        f"{machine['cores']} cores, PostgreSQL {machine['postgresql']}, Redis {machine['redis']}", fontsize=9
    )
    for kind in ("png", "svg"):
        figure.savefig(raw.with_name(f"chart.{kind}"), dpi=150)


def bars(results: dict[str, Any], section: str, metric: str) -> list[tuple[str, list[float]]]:
    found = [each for each in results["figures"] if (each["section"], each["metric"]) == (section, metric)]
    titles = {name: peer["title"] for name, peer in results["peers"].items()}
    pairs = [(titles.get(each["case"], each["case"]), sorted(each["values"])) for each in found if each["values"]]
    return sorted(pairs, key=lambda pair: middle(pair[1]))


def panel(axis: Any, title: str, found: list[tuple[str, list[float]]]) -> None:
    """Bars of medians, lines from the lowest to the highest round."""
    names = [name for name, _ in found]
    medians = [middle(values) for _, values in found]
    spread = [[m - values[0] for m, (_, values) in zip(medians, found, strict=True)]]
    spread += [[values[-1] - m for m, (_, values) in zip(medians, found, strict=True)]]
    colours = [OURS if name.startswith(OUR_CASES) else OTHERS for name in names]
    drawn = axis.barh(names, medians, xerr=spread, color=colours, ecolor="#555555", capsize=2)
    axis.bar_label(drawn, labels=[f"{m:,.0f}" if m >= 100 else f"{m:.3g}" for m in medians], padding=6, fontsize=8)
    axis.set_title(title, loc="left", fontsize=11)
    axis.margins(x=0.15)
    if medians[-1] > WIDEST * medians[0] > 0:
        axis.set_xscale("log")
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def middle(values: list[float]) -> float:
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
