"""Cards say a number, its change and its level, and are quiet where they know too little."""

import pytest

from bot.web.pages import cards, stability_cards
from models.metrics.levels import change_lead_time_level


@pytest.mark.parametrize(
    ("per_day", "said"),
    [
        (None, ("\N{EN DASH}", "")),
        (4.71, ("4.7", "per day")),
        (0.5, ("3.5", "per week")),
        (0.1, ("3", "per month")),
        (0.01, ("0.30", "per month")),
    ],
)
def test_a_rate_is_said_in_the_unit_that_keeps_it_above_one(
    per_day: float | None, said: tuple[str, str]
) -> None:
    assert cards.per_unit(per_day) == said


@pytest.mark.parametrize(
    ("now", "before", "higher", "said"),
    [
        ((12.0, 9), (10.0, 9), "good", cards.Change("up", "20 %", "good")),
        ((12.0, 9), (10.0, 9), "bad", cards.Change("up", "20 %", "bad")),
        ((8.0, 9), (10.0, 9), "bad", cards.Change("down", "20 %", "good")),
        ((10.0, 9), (10.0, 9), "good", cards.Change("same", "0 %", "none")),
        ((12.0, 4), (10.0, 9), "good", cards.Change("up", "20 %", "none")),
        ((12.0, 9), (10.0, 4), "good", cards.Change("up", "20 %", "none")),
        ((None, 0), (10.0, 9), "good", None),
        ((12.0, 9), (None, 0), "good", None),
    ],
)
def test_a_change_is_good_or_bad_or_too_small_to_say(
    now: cards.Measured, before: cards.Measured, higher: str, said: cards.Change | None
) -> None:
    assert cards.change(now, before, higher=higher) == said


def test_a_pill_says_every_cut_off_and_its_edition() -> None:
    said = cards.pill(change_lead_time_level(3600.0, 2024))
    assert said
    assert (said.name, said.kind) == ("elite", "elite")
    assert said.cutoffs.startswith("DORA 2024: elite: less than 1 day; high: ")
    assert cards.pill(change_lead_time_level(None, 2024)) is None
    place = cards.pill(change_lead_time_level(3600.0, 2025))
    assert place
    assert place.kind == "place"


def test_a_sparkline_has_at_most_sixty_points_and_the_last_one() -> None:
    assert cards.thinned([float(n) for n in range(730)])[-1] == 729
    assert len(cards.thinned([1.0] * 730)) <= 60
    assert cards.thinned([]) == []


def test_a_weekly_mean_takes_the_saw_out_of_weekends() -> None:
    assert cards.weekly_mean([7, 0, 0, 0, 0, 0, 0, 7]) == [1.0, 1.0]
    assert cards.weekly_mean([1, 2]) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        ((0.12, 50), (0.10, 50), cards.Change("up", "2 pt", "bad")),
        ((0.10, 50), (0.125, 50), cards.Change("down", "2.5 pt", "good")),
        ((0.10, 50), (0.0, 50), cards.Change("up", "10 pt", "bad")),
        ((0.10, 50), (0.10, 50), cards.Change("same", "0 pt", "none")),
        ((0.10, 4), (0.50, 50), cards.Change("down", "40 pt", "none")),
        ((None, 0), (0.50, 50), None),
        ((0.10, 50), (None, 0), None),
    ],
)
def test_a_share_changes_by_points_of_which_fewer_are_better(
    now: cards.Measured, before: cards.Measured, said: cards.Change | None
) -> None:
    assert stability_cards.points(now, before) == said
