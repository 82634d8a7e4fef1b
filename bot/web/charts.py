"""Charts as SVG made by the server: they need no script, work in print, and are small.

Colours come from classes in `static/app.css`.
Every function returns a `Chart`: the drawing, and the same facts as a table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from bot.web import words
from bot.web.svg import (
    PLOT,
    TOP,
    Caption,
    axis,
    count_ticks,
    dates,
    duration_ticks,
    frame,
    hit,
    label,
    outer,
    path,
    plot,
    short,
    spoken,
)


@dataclass(frozen=True)
class Chart:
    """A drawing, and the facts it shows as a table: the heads, then rows of the same length."""

    svg: Markup
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Stack:
    """One bar: the day it begins, what to call it, and a count for each series, bottom first."""

    at: date
    label: str
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Spread:
    """The median and the 90th percentile of one bucket, in seconds; None where nothing was."""

    at: date
    label: str
    p50: float | None
    p90: float | None
    count: int


@dataclass(frozen=True)
class Bin:
    """How many durations lie from `lower` up to `upper` seconds (None: without end)."""

    lower: float
    upper: float | None
    count: int


@dataclass(frozen=True)
class Mark:
    """A value worth a line across a chart, with its name."""

    value: float
    name: str


@dataclass(frozen=True)
class Part:
    """A stage of the whole, in seconds."""

    name: str
    seconds: float


def bars(caption: Caption, names: Sequence[str], stacks: Sequence[Stack]) -> Chart:
    """Draw counts over time, stacked in the order of `names`."""
    scale = count_ticks(max((sum(stack.counts) for stack in stacks), default=0))
    drawn = (bar(place, stack, names, scale[-1]) for place, stack in enumerate(stacks))
    svg = frame(
        caption,
        axis((tick, f"{tick:g}") for tick in scale),
        dates([stack.at for stack in stacks]),
        plot(drawn, len(stacks)),
    )
    rows = tuple((stack.label, *map(str, stack.counts)) for stack in stacks)
    return Chart(svg, ("Period", *names), rows)


def bar(place: int, stack: Stack, names: Sequence[str], top: float) -> Markup:
    """Draw one stacked bar with what it says when it is pointed at."""
    below, drawn = 0, Markup()
    for series, amount in enumerate(stack.counts, start=1):
        if amount:
            drawn += block(place, amount, below, top, f"s{series}")
            below += amount
    said = [f"{amount} {name}" for amount, name in zip(stack.counts, names, strict=True) if amount]
    return spoken("\n".join([stack.label, *(said or ["nothing"])]), hit(place) + drawn)


def block(place: float, amount: float, below: float, top: float, series: str) -> Markup:
    """Draw one rectangle of a bar that stands on `below`."""
    height, y = amount / top * 100, 100 - (below + amount) / top * 100
    return Markup('<rect class="{}" x="{}" width=".76" y="{}" height="{}"/>').format(
        series, short(place + 0.12), short(y), short(height)
    )


def band(
    caption: Caption, spreads: Sequence[Spread], goal: Mark | None = None, noun: str = "change"
) -> Chart:
    """Draw the median over time, and the band up to the 90th percentile.

    A bucket without data leaves a gap. `goal` is a cut-off worth knowing, drawn where it fits.
    `noun`: what is counted.
    """
    scale = duration_ticks(max((spread.p90 or 0 for spread in spreads), default=0))
    top = scale[-1]
    lines = Markup().join(stretch(run, top) for run in unbroken(spreads))
    points = (
        spoken(told(spread, noun), hit(place))
        for place, spread in enumerate(spreads)
        if spread.p50 is not None
    )
    svg = frame(
        caption,
        axis((tick, words.round_duration(tick)) for tick in scale),
        dates([spread.at for spread in spreads]),
        plot([lines, *points], len(spreads)),
        across(goal, top) if goal and goal.value < top else Markup(),
    )
    rows = tuple(
        (row.label, words.duration(row.p50), words.duration(row.p90), str(row.count))
        for row in spreads
    )
    return Chart(svg, ("Period", "p50", "p90", f"{noun}s"), rows)


def told(spread: Spread, noun: str = "change") -> str:
    """Say one bucket of a band."""
    return (
        f"{spread.label}\np50 {words.duration(spread.p50)}\np90 {words.duration(spread.p90)}"
        f"\n{words.count(spread.count, noun)}"
    )


Point = tuple[float, float, float]


def unbroken(spreads: Sequence[Spread]) -> list[list[Point]]:
    """Return the runs of buckets that have data, as (x, p50, p90)."""
    runs: list[list[Point]] = [[]]
    for place, spread in enumerate(spreads):
        if spread.p50 is None:
            runs.append([])
        else:
            runs[-1].append((place + 0.5, spread.p50, spread.p90 or spread.p50))
    return [run for run in runs if run]


def stretch(run: list[Point], top: float) -> Markup:
    """Draw one run: the band, its upper edge and the median. A lone bucket is a dot."""
    low = [(x, 100 - p50 / top * 100) for x, p50, _ in run]
    high = [(x, 100 - p90 / top * 100) for x, _, p90 in run]
    area = f"{path(high)}L{path(low[::-1])[1:]}z"
    drawn = Markup('<path class="band" d="{}"/>').format(area) if len(run) > 1 else Markup()
    lines = (("l2", high), ("l1", low)) if len(run) > 1 else (("dot l2", high), ("dot l1", low))
    for line, points in lines:
        drawn += Markup('<path class="{}" d="{}"/>').format(line, path(points))
    return drawn


def histogram(
    caption: Caption, bins: Sequence[Bin], marks: Iterable[Mark] = (), noun: str = "change"
) -> Chart:
    """Draw how durations are spread; `marks` (p50, p90) stand where they fall."""
    scale = count_ticks(max((one.count for one in bins), default=0) * 1.08)
    drawn = (column(place, one, scale[-1], noun) for place, one in enumerate(bins))
    svg = frame(
        caption,
        axis((tick, f"{tick:g}") for tick in scale),
        edges(bins),
        plot(drawn, len(bins)),
        upright(bins, marks),
    )
    rows = tuple((within(one), str(one.count)) for one in bins)
    return Chart(svg, ("It took", f"{noun}s"), rows)


def column(place: int, one: Bin, top: float, noun: str) -> Markup:
    """Draw one bin."""
    height = short(one.count / top * 100)
    drawn = Markup('<rect class="s1" x="{}" width=".92" y="{}" height="{}"/>').format(
        short(place + 0.04), short(100 - one.count / top * 100), height
    )
    return spoken(f"{within(one)}\n{words.count(one.count, noun)}", hit(place) + drawn)


def within(one: Bin) -> str:
    """Say a bin's borders."""
    if one.upper is None:
        return f"{words.round_duration(one.lower)} and more"
    return f"{words.round_duration(one.lower)} to {words.round_duration(one.upper)}"


def edges(bins: Sequence[Bin]) -> Markup:
    """Label the borders of the bins; every other one gives way where space is short."""
    labels = Markup()
    for place, one in enumerate(bins):
        kind = "odd" if place % 2 else ""
        labels += label(
            place / len(bins) * 100, words.round_duration(one.lower), "" if place else "start", kind
        )
    return labels


def upright(bins: Sequence[Bin], marks: Iterable[Mark]) -> Markup:
    """Draw a dashed line at each mark; names that would touch stand one below the other."""
    lines, names, last = Markup(), Markup(), -100.0
    for row, mark in enumerate(marks):
        at = position(mark.value, bins)
        turned = " end" if at > 80 else ""
        y = 11 if at - last > 25 else 11 + 13 * row
        last = at
        lines += Markup('<line class="mark" x1="{0}%" x2="{0}%" y1="2" y2="{1}"/>').format(
            short(at), TOP + PLOT
        )
        names += Markup('<text class="tick mark-name{}" x="{}%" y="{}" dx="{}">{}</text>').format(
            turned, short(at), y, -5 if turned else 5, mark.name
        )
    return lines + names


def position(value: float, bins: Sequence[Bin]) -> float:
    """Return where a value falls among the bins, in percent of the width."""
    for place, one in enumerate(bins):
        if one.upper is None or value < one.upper:
            inside = 0.5 if one.upper is None else (value - one.lower) / (one.upper - one.lower)
            return (place + inside) / len(bins) * 100
    return 100


def stages(caption: Caption, parts: Sequence[Part]) -> Chart:
    """Draw what a whole is made of, one beside the other."""
    whole = sum(part.seconds for part in parts)
    drawn, x = Markup(), 0.0
    for series, part in enumerate(parts, start=1):
        width = part.seconds / whole * 100 if whole else 0
        shape = Markup('<rect class="p{}" x="{}" width="{}" height="100"/>').format(
            series, short(x), short(width)
        )
        drawn += spoken(f"{part.name}\n{words.duration(part.seconds)}", shape)
        x += width
    svg = outer("chart stages", 28, caption, plot([drawn], 100, 0, 28))
    shares = [part.seconds / whole if whole else None for part in parts]
    rows = tuple(
        (part.name, words.duration(part.seconds), words.share(share))
        for part, share in zip(parts, shares, strict=True)
    )
    return Chart(svg, ("Stage", "mean", "share"), rows)


def sparkline(caption: Caption, values: Sequence[float | None]) -> Markup:
    """Draw the course of one number, without axes; gaps stay gaps."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0), max(known, default=0)
    span = (high - low) or 1
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((place + 0.5, 92 - (value - low) / span * 84))
    drawn = Markup().join(spark(run) for run in runs if run)
    return outer("spark", 32, caption, plot([drawn], len(values), 0, 32))


def spark(run: list[tuple[float, float]]) -> Markup:
    """Draw one unbroken run of a sparkline, with the area below it."""
    area = f"{path(run)}V100H{short(run[0][0])}z" if len(run) > 1 else ""
    return Markup('<path class="band" d="{}"/><path class="l1" d="{}"/>').format(area, path(run))


def across(mark: Mark, top: float) -> Markup:
    """Draw a level as a dashed line, its name above it in a halo of the card's colour."""
    y = TOP + PLOT * (1 - mark.value / top)
    return Markup(
        '<line class="goal" x2="100%" y1="{0}" y2="{0}"/>'
        '<text class="tick goal-name end" x="100%" y="{1}">{2}</text>'
    ).format(short(y), short(max(y - 5, TOP)), mark.name)
