"""What a measurement hands on: figures, each with a value for each round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Figure:
    section: str
    case: str
    metric: str
    values: list[float] = field(default_factory=list)
    #: Why there is no value, or what to know about it.
    note: str = ""

    @property
    def median(self) -> float:
        return median(self.values)


class Figures:
    """All figures of a run by section, case and metric, in the order in which they came."""

    def __init__(self, figures: Iterable[Figure] = ()) -> None:
        self.all = {(each.section, each.case, each.metric): each for each in figures}

    def __iter__(self) -> Iterator[Figure]:
        return iter(self.all.values())

    def figure(self, section: str, case: str, metric: str) -> Figure:
        return self.all.setdefault((section, case, metric), Figure(section, case, metric))

    def add(self, section: str, case: str, /, **metrics: float | None) -> None:
        """Add a round; a metric that could not be measured is None."""
        for metric, value in metrics.items():
            if value is not None:
                self.figure(section, case, metric).values.append(value)
        print(f"  {case}: " + ", ".join(f"{name} {short(value)}" for name, value in metrics.items()), flush=True)

    def failed(self, section: str, case: str, error: object) -> None:
        self.figure(section, case, "error").note = str(error)
        print(f"  {case}: NOT MEASURED: {error}", flush=True)

    def sections(self) -> Iterable[str]:
        return dict.fromkeys(figure.section for figure in self)


def short(value: float | None) -> str:
    """Three figures, no more than can be trusted."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
