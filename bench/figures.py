"""A figure: what was measured round by round, and what was asked for."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["ratio", "s", "MB"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. Without a target it is there for comparison.

    `raw` are the sides that `rounds` were made of, by name and in their own units.
    """

    name: str
    rounds: tuple[float, ...]
    unit: Unit = "ratio"
    at_least: float | None = None
    at_most: float | None = None
    raw: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles: half of the rounds lie between them."""
        if len(self.rounds) < 4:
            return min(self.rounds), max(self.rounds)
        lower, _, upper = statistics.quantiles(self.rounds, n=4)
        return lower, upper

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    @property
    def is_met(self) -> bool | None:
        """None without a target."""
        if self.at_least is not None:
            return self.median >= self.at_least
        return self.median <= self.at_most if self.at_most is not None else None


Measure = Callable[[], Sequence[Figure]]


def ratios(over: Sequence[float], under: Sequence[float]) -> tuple[float, ...]:
    """Round by round, so that what slowed one side slowed the other."""
    return tuple(above / below for above, below in zip(over, under, strict=True))
