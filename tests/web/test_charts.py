"""Charts are well-formed, say what they show, and survive whatever data there is."""

from collections.abc import Callable
from datetime import date, timedelta
from xml.etree import ElementTree

import pytest

from bot.web import charts, svg
from bot.web.charts import Bin, Mark, Part, Spread, Stack
from bot.web.svg import Caption

CAPTION = Caption("key", "A <title> & more", "What it shows.")
DAY = date(2026, 1, 1)
NAMES = ("counted", "redeployed", "failed attempts")


def stacks(*counts: tuple[int, int, int]) -> list[Stack]:
    """Return a bar for each day."""
    return [Stack(DAY + timedelta(days=n), f"day {n}", one) for n, one in enumerate(counts)]


def spreads(*values: float | None) -> list[Spread]:
    """Return a bucket for each median; None is an empty one."""
    return [
        Spread(DAY + timedelta(days=n), f"day {n}", p50, p50 and p50 * 2, 0 if p50 is None else 3)
        for n, p50 in enumerate(values)
    ]


DRAWN: dict[str, Callable[[], charts.Chart]] = {
    "no bars": lambda: charts.bars(CAPTION, NAMES, []),
    "one bar": lambda: charts.bars(CAPTION, NAMES, stacks((1, 0, 0))),
    "bars of nothing": lambda: charts.bars(CAPTION, NAMES, stacks((0, 0, 0), (0, 0, 0))),
    "two years of bars": lambda: charts.bars(CAPTION, NAMES, stacks(*[(3, 1, 2)] * 730)),
    "no band": lambda: charts.band(CAPTION, []),
    "one bucket": lambda: charts.band(CAPTION, spreads(60.0), Mark(30, "elite")),
    "a band of zero": lambda: charts.band(CAPTION, spreads(0.0, 0.0)),
    "a band with gaps": lambda: charts.band(CAPTION, spreads(None, 9.0, None, 8.0, 7.0, None)),
    "two years of band": lambda: charts.band(CAPTION, spreads(*[5000.0] * 730), Mark(9e9, "far")),
    "no histogram": lambda: charts.histogram(CAPTION, []),
    "an empty histogram": lambda: charts.histogram(CAPTION, [Bin(0, 3600, 0), Bin(3600, None, 0)]),
    "a histogram": lambda: charts.histogram(
        CAPTION, [Bin(0, 3600, 4), Bin(3600, None, 9)], [Mark(1800, "p50"), Mark(9e6, "p90")]
    ),
    "no stages": lambda: charts.stages(CAPTION, []),
    "stages of nothing": lambda: charts.stages(CAPTION, [Part("Coding", 0)]),
    "stages": lambda: charts.stages(CAPTION, [Part("Coding", 10), Part("Review", 30)]),
    "no sparkline": lambda: charts.Chart(charts.sparkline(CAPTION, []), (), ()),
    "a sparkline": lambda: charts.Chart(charts.sparkline(CAPTION, [1, None, 3, 3]), (), ()),
    "a flat sparkline": lambda: charts.Chart(charts.sparkline(CAPTION, [2.0, 2.0]), (), ()),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_drawing_is_an_image_that_says_what_it_is(name: str) -> None:
    root = ElementTree.fromstring(str(DRAWN[name]().svg))  # noqa: S314 - our own drawing
    assert root.get("role") == "img"
    assert root.findtext("title") == "A <title> & more"
    assert root.findtext("desc") == "What it shows."
    assert root.get("aria-labelledby") == "key-t key-d"
    for element in root.iter():
        assert not {"style", "tabindex", "href", "onclick"} & set(element.attrib)
        assert "nan" not in str(element.attrib).lower()


@pytest.mark.parametrize("name", DRAWN)
def test_every_table_has_a_cell_for_each_head(name: str) -> None:
    chart = DRAWN[name]()
    assert all(len(row) == len(chart.head) for row in chart.rows)


def test_bars_stand_on_each_other() -> None:
    chart = charts.bars(CAPTION, NAMES, stacks((2, 1, 1)))
    assert '<rect class="s1" x="0.12" width=".76" y="50" height="50"/>' in chart.svg
    assert '<rect class="s2" x="0.12" width=".76" y="25" height="25"/>' in chart.svg
    assert '<rect class="s3" x="0.12" width=".76" y="0" height="25"/>' in chart.svg
    assert chart.rows == (("day 0", "2", "1", "1"),)


def test_a_gap_breaks_the_line_and_a_lone_bucket_is_a_dot() -> None:
    chart = charts.band(CAPTION, spreads(10.0, None, 20.0, 20.0))
    assert str(chart.svg).count('class="band"') == 1
    assert str(chart.svg).count('class="dot l1"') == 1
    assert chart.rows[1] == ("day 1", "\N{EN DASH}", "\N{EN DASH}", "0")


def test_a_cut_off_beyond_the_chart_is_not_drawn() -> None:
    near, far = Mark(15, "near"), Mark(9e9, "far")
    assert "near" in charts.band(CAPTION, spreads(10.0, 20.0), near).svg
    assert "far" not in charts.band(CAPTION, spreads(10.0, 20.0), far).svg


def test_marks_stand_where_their_values_fall() -> None:
    bins = [Bin(0, 10, 1), Bin(10, 20, 1), Bin(20, None, 1), Bin(30, None, 1)]
    assert charts.position(15, bins) == 37.5
    assert charts.position(10, bins) == 25


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (15, [0, 5, 10, 15]),
        (100, [0, 25, 50, 75, 100]),
    ],
)
def test_counts_have_whole_ticks(most: float, ticks: list[float]) -> None:
    assert svg.count_ticks(most) == ticks


@pytest.mark.parametrize("most", [0, 0.5, 59, 60, 3601, 86_400, 9e5, 4e7, 1e9])
def test_durations_have_few_ticks_and_room(most: float) -> None:
    ticks = svg.duration_ticks(most)
    assert 2 <= len(ticks) <= 5
    assert ticks[-1] >= most
