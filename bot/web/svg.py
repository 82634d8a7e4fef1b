"""The parts every chart is drawn from: the frame, its axes, ticks, labels and paths.

The outer `<svg>` has no `viewBox`, so that its text keeps the page's size at any width; what is
plotted is a nested `<svg>` that stretches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, floor, log10

from markupsafe import Markup

from bot.web import words

HEIGHT, TOP, FOOT = 200, 10, 22
PLOT = HEIGHT - TOP - FOOT
MOST_LABELS = 6
STEPS = tuple(
    [60 * n for n in (1, 2, 5, 10, 15, 20, 30)]
    + [words.HOUR * n for n in (1, 2, 3, 4, 6, 8, 12)]
    + [words.DAY * n for n in (1, 2, 3, 5, 7, 10, 14, 20, 30, 60, 90, 180, 365)]
)


@dataclass(frozen=True)
class Caption:
    """What a chart is called (`key` is unique on its page) and what it shows, in a sentence."""

    key: str
    title: str
    description: str


def count_ticks(most: float) -> list[float]:
    """Return ticks for whole numbers from 0 to above `most`."""
    if most <= 0:
        return [0, 1]
    raw = max(1.0, most / 4)
    size = 10 ** floor(log10(raw))
    step = next(size * n for n in (1, 2, 2.5, 5, 10) if size * n >= raw and size * n % 1 == 0)
    return [step * n for n in range(ceil(most / step) + 1)]


def duration_ticks(most: float) -> list[float]:
    """Return ticks for seconds from 0 to above `most`, at steps that people count in."""
    step = next((step for step in STEPS if most <= step * 4), 0) or ceil(most / 4)
    return [float(step * n) for n in range(max(1, ceil(most / step)) + 1)]


def axis(ticks: Iterable[tuple[float, str]]) -> Markup:
    """Draw the lines of the vertical axis, lowest first, with their labels."""
    said = list(ticks)
    top, drawn = said[-1][0], Markup()
    for value, name in said:
        y = short(TOP + PLOT * (1 - value / top))
        drawn += Markup(
            '<line class="grid-line" x2="100%" y1="{0}" y2="{0}"/>'
            '<text class="tick y" x="-8" y="{0}" dy=".32em">{1}</text>'
        ).format(y, name)
    return drawn


def dates(days: Sequence[date]) -> Markup:
    """Label at most seven days, the last one always; every other gives way on narrow screens."""
    total, labels = len(days), Markup()
    for turn, place in enumerate(range(total - 1, -1, -max(1, ceil(total / MOST_LABELS)))):
        kind = "odd" if turn % 2 else ""
        at = (place + 0.5) / total * 100
        labels += label(at, words.day(days[place]), anchor(at), kind)
    return labels


def anchor(at: float) -> str:
    """Keep a label at the border within its chart."""
    if at > 95:
        return "end"
    return "start" if at < 5 else ""


def label(at: float, name: str, side: str, kind: str) -> Markup:
    """Write one label below the plot, `at` percent of its width."""
    at = {"end": 100.0, "start": 0.0}.get(side, at)
    classes = " ".join(filter(None, ("tick", "x", side, kind)))
    return Markup('<text class="{}" x="{}%" y="{}">{}</text>').format(
        classes, short(at), HEIGHT - 5, name
    )


def frame(
    caption: Caption, grid: Markup, labels: Markup, plotted: Markup, above: Markup | None = None
) -> Markup:
    """Put grid, labels and plot together."""
    return outer("chart", HEIGHT, caption, grid + labels + plotted + (above or Markup()))


def outer(kind: str, height: int, caption: Caption, inside: Markup) -> Markup:
    """Wrap a drawing as one image with its name and description."""
    return Markup(
        '<svg class="{0}" height="{1}" role="img" aria-labelledby="{2}-t {2}-d">'
        '<title id="{2}-t">{3}</title><desc id="{2}-d">{4}</desc>{5}</svg>'
    ).format(kind, height, caption.key, caption.title, caption.description, inside)


def plot(drawn: Iterable[Markup], width: float, top: float = TOP, height: float = PLOT) -> Markup:
    """Stretch what is drawn on `width` by 100 units over the whole chart."""
    return Markup(
        '<svg y="{}" width="100%" height="{}" viewBox="0 0 {} 100" preserveAspectRatio="none">'
        "{}</svg>"
    ).format(short(top), short(height), max(1, width), Markup().join(drawn))


def spoken(says: str, drawn: Markup) -> Markup:
    """Group a drawing with the words that are shown when it is pointed at."""
    return Markup("<g><title>{}</title>{}</g>").format(says, drawn)


def hit(place: int) -> Markup:
    """Return the invisible column that can be pointed at."""
    return Markup('<rect class="hit" x="{}" width="1" height="100"/>').format(place)


def path(points: Sequence[tuple[float, float]]) -> str:
    """Return the path through points; a single one becomes a dot."""
    said = "L".join(f"{short(x)} {short(y)}" for x, y in points)
    return f"M{said}" if len(points) > 1 else f"M{said}h0"


def short(value: float) -> str:
    """Write a coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
