"""Charts of how numbers go over time: a share of a count, and counts with a median above them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from bot.web import words
from bot.web.charts import Chart, Spread, Stack, block
from bot.web.svg import (
    HEIGHT,
    PLOT,
    STEPS,
    TOP,
    Caption,
    axis,
    count_ticks,
    dates,
    frame,
    hit,
    outer,
    path,
    plot,
    short,
    spoken,
)

LEAST_PERCENT = 5.0


@dataclass(frozen=True)
class Share:
    """How many of how many in one bucket; `share` is None where there were none."""

    at: date
    label: str
    share: float | None
    part: int
    count: int


def shares(caption: Caption, points: Sequence[Share], part: str, noun: str) -> Chart:
    """Draw a share over time as a line; `part` names what is part of it, `noun` what is counted.

    A bucket in which nothing was counted leaves a gap.
    """
    percents = [None if point.share is None else point.share * 100 for point in points]
    scale = count_ticks(max([LEAST_PERCENT, *(each for each in percents if each is not None)]))
    hits = (
        spoken(said_share(point, part, noun), hit(place))
        for place, point in enumerate(points)
        if point.share is not None
    )
    svg = frame(
        caption,
        axis((tick, f"{tick:g} %") for tick in scale),
        dates([point.at for point in points]),
        plot([line(percents, scale[-1], "l1"), *hits], len(points)),
    )
    rows = tuple(
        (point.label, words.share(point.share), str(point.part), str(point.count))
        for point in points
    )
    return Chart(svg, ("Period", "rate", part, f"{noun}s"), rows)


def said_share(point: Share, part: str, noun: str) -> str:
    """Say one bucket of a share."""
    counted = f"{point.part} {part} of {words.count(point.count, noun)}"
    return f"{point.label}\n{words.share(point.share)}\n{counted}"


def line(values: Sequence[float | None], top: float, kind: str) -> Markup:
    """Draw a line through values; it breaks where there are none, and a lone one is a dot."""
    drawn = Markup()
    for run in unbroken(values):
        dot = "dot " if len(run) == 1 else ""
        points = [(place + 0.5, 100 - value / top * 100) for place, value in run]
        drawn += Markup('<path class="{}" d="{}"/>').format(dot + kind, path(points))
    return drawn


def unbroken(values: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    """Yield the runs of values without a gap, with their places."""
    run: list[tuple[int, float]] = []
    for place, value in enumerate([*values, None]):
        if value is not None:
            run.append((place, value))
        elif run:
            yield run
            run = []


def together(
    caption: Caption, names: Sequence[str], stacks: Sequence[Stack], medians: Sequence[Spread]
) -> Chart:
    """Draw counts as stacked bars and a median in seconds as a line, whose axis is at the right."""
    counts = count_ticks(max((sum(stack.counts) for stack in stacks), default=0))
    durations = steps_of(max((one.p50 or 0 for one in medians), default=0), len(counts) - 1)
    bars = [stacked(place, stack, counts[-1]) for place, stack in enumerate(stacks)]
    hits = [
        spoken(said_both(stack, names, median), hit(place))
        for place, (stack, median) in enumerate(zip(stacks, medians, strict=True))
    ]
    grid = axis((tick, f"{tick:g}") for tick in counts) + right_axis(durations)
    course = line([one.p50 for one in medians], durations[-1], "l3")
    plotted = plot([*bars, course, *hits], len(stacks))
    labels = dates([stack.at for stack in stacks])
    rows = tuple(
        (stack.label, *map(str, stack.counts), words.duration(median.p50))
        for stack, median in zip(stacks, medians, strict=True)
    )
    svg = outer("chart both", HEIGHT, caption, grid + labels + plotted)
    return Chart(svg, ("Period", *names, "lead time p50"), rows)


def stacked(place: int, stack: Stack, top: float) -> Markup:
    """Draw one bar, without what it says."""
    drawn, below = Markup(), 0
    for series, amount in enumerate(stack.counts, start=1):
        if amount:
            # The second series of two is the bad one.
            drawn += block(place, amount, below, top, "s1" if series == 1 else "s3")
            below += amount
    return drawn


def said_both(stack: Stack, names: Sequence[str], median: Spread) -> str:
    """Say one bucket: what was counted, and the median."""
    said = [f"{amount} {name}" for amount, name in zip(stack.counts, names, strict=True) if amount]
    return "\n".join(
        [stack.label, *(said or ["nothing"]), f"lead time {words.duration(median.p50)}"]
    )


def steps_of(most: float, intervals: int) -> list[float]:
    """Return ticks for seconds from 0 to above `most`, as many as the other axis has."""
    needed = -(-most // intervals)
    step = next((step for step in STEPS if needed <= step), int(needed)) or STEPS[0]
    return [float(step * tick) for tick in range(intervals + 1)]


def right_axis(ticks: Sequence[float]) -> Markup:
    """Write the labels of the axis at the right, lowest first."""
    drawn = Markup()
    for tick in ticks:
        y = short(TOP + PLOT * (1 - tick / ticks[-1]))
        drawn += Markup(
            '<text class="tick right" x="100%" dx="8" y="{}" dy=".32em">{}</text>'
        ).format(y, words.round_duration(tick))
    return drawn
