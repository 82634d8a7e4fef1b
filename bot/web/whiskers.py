"""A chart of durations side by side: a bar for what is typical, a whisker for what is slow."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bot.web import words
from bot.web.charts import Chart
from bot.web.svg import Caption, duration_ticks, outer, short, spoken

ROW, FOOT = 34, 20


@dataclass(frozen=True)
class Whisker:
    """One duration: its median and its 90th percentile, in seconds; None without data."""

    name: str
    p50: float | None
    p90: float | None


def whiskers(caption: Caption, rows: Sequence[Whisker], head: str) -> Chart:
    """Draw a row for each duration, all on one scale from 0."""
    ticks = duration_ticks(max((row.p90 or row.p50 or 0 for row in rows), default=0))
    height = ROW * len(rows) + FOOT
    drawn = Markup().join(scale_line(tick, ticks[-1], height) for tick in ticks)
    drawn += Markup().join(row_of(place, row, ticks[-1]) for place, row in enumerate(rows))
    table = tuple((row.name, words.duration(row.p50), words.duration(row.p90)) for row in rows)
    return Chart(outer("chart flat", height, caption, drawn), (head, "p50", "p90"), table)


def scale_line(tick: float, top: float, height: int) -> Markup:
    """Draw one line of the scale, with its label at the foot."""
    x = tick / top * 100
    side = " start" if x == 0 else " end" if x == 100 else ""
    return Markup(
        '<line class="grid-line" x1="{0}%" x2="{0}%" y2="{1}"/>'
        '<text class="tick x{2}" x="{0}%" y="{3}">{4}</text>'
    ).format(short(x), height - FOOT, side, height - 4, words.round_duration(tick))


def row_of(place: int, row: Whisker, top: float) -> Markup:
    """Draw one row: its name above a bar as long as the median, and the whisker behind it."""
    y, p50, p90 = place * ROW, row.p50 or 0, max(row.p90 or 0, row.p50 or 0)
    said = f"p50 {words.duration(row.p50)}, p90 {words.duration(row.p90)}"
    drawn = Markup(
        '<line class="l2" x2="{0}%" y1="{1}" y2="{1}"/>'
        '<rect class="s1" width="{2}%" y="{3}" height="10" rx="2"/>'
        '<text class="tick start" y="{4}">{5} · {6}</text>'
    ).format(
        *(short(p90 / top * 100), y + 25, short(p50 / top * 100), y + 20, y + 14),
        *(row.name, words.duration(row.p50)),
    )
    return spoken(f"{row.name}\n{said}", drawn)
