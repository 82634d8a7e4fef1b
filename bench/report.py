"""How the bench prints: tables of figures with the goals beside them, on any terminal."""

import os
import platform
import statistics
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

WIDTH = 110

console = Console(width=WIDTH, highlight=False)


def say(text: str) -> None:
    """Print a line."""
    console.print(text, markup=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; the first column holds words, the others figures."""
    printed = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        printed.add_column(column, justify="right" if number else "left")
    for row in rows:
        printed.add_row(*row)
    console.print(printed)


def goal(words: str, met: bool) -> str:
    """Say a goal and whether it was met."""
    return f"{words}: {'met' if met else 'not met'}"


def milliseconds(seconds: float) -> str:
    """Write a duration."""
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 100 else f"{value:,.0f} ms"


def middle(values: Iterable[float]) -> float:
    """Return the median, which one disturbed round cannot move."""
    return statistics.median(values)


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value that a share of the values did not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def machine() -> str:
    """Describe the machine in a line."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load before: {load}"
    )
