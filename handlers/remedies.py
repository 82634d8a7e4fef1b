"""Which deployment each rollback, revert and hotfix took back (METRICS.md R4, b to d). Pure."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

FAILABLE = ("new", "rollforward")
EVIDENCE = ("rollback", "revert", "hotfix")

REVERT_BRANCH = re.compile(r"revert-([1-9][0-9]{0,9})-", re.IGNORECASE)
REVERT_TITLE = re.compile(r'revert(?:\s+"(.+)"(?:\s*\(#[0-9]+\))?|:\s*(.+))\s*', re.IGNORECASE)
NUMBER_SUFFIX = re.compile(r"\s*\(#([1-9][0-9]{0,9})\)$")


@dataclass(frozen=True)
class Brought:
    """A change as a deployment brought it; `branch` is empty for a commit pushed without one."""

    number: int | None
    title: str
    branch: str = ""
    corrective: bool = False


@dataclass(frozen=True)
class Shipped:
    """A successful deployment of a service, with what it brought as far as that matters here."""

    id: str
    kind: str
    sha: str
    finished_at: datetime
    changes: tuple[Brought, ...] = ()


@dataclass(frozen=True)
class Remedy:
    """That one deployment (`remedy_id`, at `at`) took back or mended another (`id`).

    `evidence`: rollback, revert or hotfix. `sha`: what the remedy deployed.
    """

    id: str
    failed_at: datetime
    remedy_id: str
    at: datetime
    sha: str
    evidence: str


@dataclass(frozen=True)
class Reverted:
    """What a change says it reverts: numbers of pull requests, the surest first, and titles."""

    numbers: tuple[int, ...]
    titles: tuple[str, ...]


@dataclass
class Past:
    """What a service had deployed so far, by the places of its deployments in their order."""

    shas: dict[str, int] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    titles: dict[str, int] = field(default_factory=dict)
    failable: list[int] = field(default_factory=list)


def reverted(change: Brought) -> Reverted | None:
    """Return what a change says it reverts, None where it does not say so."""
    branch = REVERT_BRANCH.match(change.branch)
    numbers = [int(branch[1])] if branch else []
    titles = []
    if title := REVERT_TITLE.fullmatch(change.title.strip()):
        inner = title[1] or title[2]
        if suffix := NUMBER_SUFFIX.search(inner):
            numbers.append(int(suffix[1]))
        titles = [inner, NUMBER_SUFFIX.sub("", inner)]
    if not numbers and not titles:
        return None
    return Reverted(tuple(dict.fromkeys(numbers)), tuple(dict.fromkeys(titles)))


def applies_again(change: Brought) -> bool:
    """Tell whether a change reverts a revert: it brings something back and mends nothing."""
    words = re.match(r'(?:revert\s+")*', change.title.strip(), re.IGNORECASE)
    depth = words[0].lower().count("revert") if words else 0
    if depth:
        return depth % 2 == 0
    return bool(re.match(r"revert-[0-9]+-revert-[0-9]+-", change.branch, re.IGNORECASE))


def remedies(deployments: Sequence[Shipped]) -> list[Remedy]:
    """Return what the deployments of one service, in their order, took back of each other.

    A rollback takes back the first deployment after its target, a revert the one that brought what
    it reverts, and any other corrective change is a hotfix of the deployment before it. Only what
    was deployed by then counts, so that nothing that happens later can change it.
    """
    past = Past()
    found = []
    for place, shipped in enumerate(deployments):
        for change in shipped.changes:
            past.titles[change.title] = place
            if change.number is not None:
                past.numbers[change.number] = place
        for taken, evidence in best(taken_back(past, place, shipped)):
            if deployments[taken].kind in FAILABLE:
                found.append(remedy(deployments[taken], shipped, evidence))
        past.shas[shipped.sha] = place
        if shipped.kind in FAILABLE:
            past.failable.append(place)
    return found


def remedy(failed: Shipped, by: Shipped, evidence: str) -> Remedy:
    """Return that one deployment took back another."""
    return Remedy(failed.id, failed.finished_at, by.id, by.finished_at, by.sha, evidence)


def best(taken: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Keep the best evidence for each deployment."""
    kept: dict[int, str] = {}
    for place, evidence in taken:
        held = kept.get(place, evidence)
        kept[place] = min(held, evidence, key=EVIDENCE.index)
    return sorted(kept.items())


def taken_back(past: Past, place: int, shipped: Shipped) -> Iterable[tuple[int, str]]:
    """Yield the places of the deployments that one took back, with the evidence."""
    if shipped.kind == "rollback" and shipped.sha in past.shas:
        first = bisect_right(past.failable, past.shas[shipped.sha])
        yield from ((each, "rollback") for each in past.failable[first : first + 1])
    if shipped.kind not in FAILABLE:
        return
    for change in shipped.changes:
        if not change.corrective or applies_again(change):
            continue
        known = brought_in(past, reverted(change))
        if known is None:
            yield from ((each, "hotfix") for each in past.failable[-1:])
        elif known != place:
            yield known, "revert"


def brought_in(past: Past, told: Reverted | None) -> int | None:
    """Return the place of the deployment that brought what is reverted, None where not known."""
    if told is None:
        return None
    places = [past.numbers.get(number) for number in told.numbers]
    places += [past.titles.get(title) for title in told.titles]
    return next((place for place in places if place is not None), None)
