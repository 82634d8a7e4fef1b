"""What the People screens show: a group's figures, who is in it, and one person's beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bot.web import words
from models.metrics.development import Durations, Sight, SpreadOf, ThroughputOf
from models.people import GITHUB_ACCOUNT
from models.persons import Person

Part = TypeVar("Part", SpreadOf, ThroughputOf)


@dataclass(frozen=True)
class PersonRow:
    """Somebody in the list, by name; `path` is None where their own page is not for the viewer."""

    name: str
    teams: str
    accounts: str
    path: str | None
    own: bool


@dataclass(frozen=True)
class Beside:
    """One figure of a person beside that of the group, without any judgement."""

    name: str
    own: str
    exact: str
    group: str


def rows_of(
    sight: Sight, teams: Mapping[str, Sequence[str]], team_id: str | None
) -> list[PersonRow]:
    """Return everybody, or the members of one team, by name."""
    within = sight.teams.get(team_id, frozenset()) if team_id else None
    return [
        row_of(person, sight, teams)
        for person in sight.persons.people
        if within is None or any(each.account in within for each in person.accounts)
    ]


def row_of(person: Person, sight: Sight, teams: Mapping[str, Sequence[str]]) -> PersonRow:
    """Return one person of the list."""
    accounts = [each.account for each in person.accounts]
    logins = [each.removeprefix(GITHUB_ACCOUNT) for each in accounts]
    named = dict.fromkeys(name for login in logins for name in teams.get(login.lower(), ()))
    return PersonRow(
        name=person.name,
        teams=", ".join(named),
        accounts=", ".join(sorted({each.source for each in person.accounts})),
        path=f"/people/{person.id}" if any(map(sight.sees, accounts)) else None,
        own=any(each in sight.own for each in accounts),
    )


def duration_beside(name: str, own: SpreadOf | None, group: Durations) -> Beside:
    """Put a person's median beside the group's."""
    median = own["median_seconds"] if own else None
    of = f", of {own['count']}" if own else ""
    return Beside(
        name,
        words.duration(median),
        f"{words.exact_duration(median)}{of}",
        words.duration(group["median_seconds"]),
    )


def count_beside(name: str, own: int, mean: float | None) -> Beside:
    """Put how often a person did something beside the mean of the group's active people."""
    return Beside(name, str(own), f"{own} in the period", words.rate(mean))


def part_of(person: Person, parts: Sequence[Part]) -> Part | None:
    """Return a person's part of a metric; None where they have none."""
    keys = {person.id, *(each.account for each in person.accounts)}
    return next((part for part in parts if part["id"] in keys), None)
