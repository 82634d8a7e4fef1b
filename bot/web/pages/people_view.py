"""What the People screens show: a group's figures, who is in it, and one person's beside it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bot.web import words
from models.metrics.development import Durations, Sight, SpreadOf, ThroughputOf
from models.people import GITHUB_ACCOUNT
from models.persons import Account, Person, Persons

PLACES = {"github": "GitHub", "slack": "Slack", "linear": "Linear"}
Part = TypeVar("Part", SpreadOf, ThroughputOf)


@dataclass(frozen=True)
class AccountRow:
    """One of somebody's accounts. `joined`: it can be kept apart; `said`: an admin said whose."""

    id: str
    name: str
    joined: bool
    said: bool


@dataclass(frozen=True)
class PersonRow:
    """Somebody in the list, by name; `path` is None where their own page is not for the viewer."""

    id: str
    name: str
    teams: str
    accounts: str
    path: str | None
    own: bool
    held: tuple[AccountRow, ...]


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
        id=person.id,
        name=person.name,
        teams=", ".join(named),
        accounts=", ".join(sorted({place_of(each) for each in person.accounts})),
        path=f"/people/{person.id}" if any(map(sight.sees, accounts)) else None,
        own=any(each in sight.own for each in accounts),
        held=tuple(account_row(each, person) for each in person.accounts),
    )


def account_row(account: Account, person: Person) -> AccountRow:
    """Return one of somebody's accounts; the one that stands for them stays where others go."""
    joined = account.id != person.id
    return AccountRow(account.id, account_name(account), joined, account.merged_into is not None)


def account_name(account: Account) -> str:
    """Name an account where an admin reads it: by login or name, and where it is."""
    name = account.account.removeprefix(GITHUB_ACCOUNT)
    return f"{name if account.source == 'github' else account.name or name} in {place_of(account)}"


def place_of(account: Account) -> str:
    """Say where an account is."""
    return PLACES.get(account.source, account.source)


def labels(known: Persons) -> dict[str, str]:
    """Return what each person can be chosen by: the name, with an account where several have it."""
    often = Counter(person.name for person in known.people)
    return {
        person.id: person.name
        if often[person.name] == 1
        else f"{person.name} ({person.accounts[0].account})"
        for person in known.people
    }


def logins(known: Persons) -> list[str]:
    """Return everybody's logins of GitHub, by name."""
    accounts = [each.account for person in known.people for each in person.accounts]
    ours = (each for each in accounts if each.startswith(GITHUB_ACCOUNT))
    return sorted(each.removeprefix(GITHUB_ACCOUNT) for each in ours)


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
