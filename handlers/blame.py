"""Which deployment an incident blames, and which deployments failed (METRICS.md R4, R5). Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handlers.places import same_environment
from handlers.remedies import EVIDENCE, FAILABLE, Remedy


@dataclass(frozen=True)
class Suspect:
    """A deployment of a service that may be to blame. `kind` is None for a failed attempt."""

    id: str
    deployment_id: str
    repository_id: str
    service_id: str
    label: str
    environment: str
    environment_class: str
    kind: str | None
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True)
class Windows:
    """How long after a deployment an incident may be its doing; by class or name, else `hours`."""

    hours: float = 24.0
    by_environment: Mapping[str, float] = field(default_factory=dict)

    @property
    def longest(self) -> timedelta:
        """The longest of them."""
        return timedelta(hours=max(self.hours, *self.by_environment.values(), 0))

    def of(self, suspect: Suspect) -> timedelta:
        """Return the window after a deployment; what is said of its name outranks its class."""
        told = {name.casefold(): hours for name, hours in self.by_environment.items()}
        by_class = told.get(suspect.environment_class, self.hours)
        return timedelta(hours=told.get(suspect.environment.casefold(), by_class))


@dataclass(frozen=True)
class Link:
    """That a person linked a deployment (an attempt's id) to the incident, or unlinked it."""

    deployment_id: str
    linked: bool
    by: str
    at: datetime


@dataclass(frozen=True)
class Named:
    """That the incident's words refer to a deployment (`id`); `says` is how, in words."""

    id: str
    says: str


@dataclass(frozen=True)
class Case:
    """An incident, and what may be to blame for it. `services`: those of its place.

    `suspects` may hold more than can be to blame: what counts is decided here.
    """

    started_at: datetime
    resolved_at: datetime | None
    environment: str
    environment_class: str
    services: tuple[str, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    named: tuple[Named, ...] = ()
    links: tuple[Link, ...] = ()
    windows: Windows = Windows()


@dataclass(frozen=True)
class Blame:
    """The deployment of a service that is to blame, by which evidence, and why, in words."""

    suspect: Suspect
    evidence: str
    reason: str
    by: str | None = None


@dataclass(frozen=True)
class Blaming:
    """An incident that blames a deployment, as a failure needs it."""

    id: str
    key: str
    reason: str
    started_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True)
class Failure:
    """That a deployment failed, by the best evidence, and when it was over (None: it is not)."""

    evidence: str
    reason: str
    incidents: tuple[str, ...]
    remedy_id: str | None
    recovered_at: datetime | None


def blamed(case: Case) -> list[Blame]:
    """Return what an incident blames, at most one deployment of a service.

    What people linked and what its words name may be several services. Only where nobody told is
    one deployment concluded: the one that was taken back while the incident ran, else the latest
    before it. Where a person unlinked a deployment, nothing else of its service is blamed instead.
    """
    told = by_name(case) | by_hand(case)
    if not told and (guess := by_remedy(case) or by_window(case)):
        told = {guess.suspect.service_id: guess}
    unlinked = {link.deployment_id for link in case.links if not link.linked}
    freed = {each.service_id for each in case.suspects if each.deployment_id in unlinked}
    return [
        blame
        for service, blame in sorted(told.items())
        if blame.evidence == "hand" or service not in freed
    ]


def by_hand(case: Case) -> dict[str, Blame]:
    """Return what people linked, by service; of several the one that was linked last."""
    links = {link.deployment_id: link for link in case.links if link.linked}
    linked = [each for each in case.suspects if each.deployment_id in links]
    linked.sort(key=lambda each: (links[each.deployment_id].at, *order(each)))
    return {each.service_id: hand(each, links[each.deployment_id]) for each in linked}


def hand(suspect: Suspect, link: Link) -> Blame:
    """Return that a person linked a deployment; who that was is said where it may be seen."""
    reason = f"linked by hand on {link.at.day} {link.at:%b %Y}"
    return Blame(suspect, "hand", reason, link.by)


def by_name(case: Case) -> dict[str, Blame]:
    """Return what the incident's words name, by service; of several the latest that can fail."""
    says: dict[str, str] = {}
    for named in case.named:
        says.setdefault(named.id, named.says)
    found = [each for each in case.suspects if each.id in says and could_cause(case, each)]
    found.sort(key=lambda each: (each.kind in FAILABLE, *order(each)))
    return {each.service_id: Blame(each, "named", says[each.id]) for each in found}


def could_cause(case: Case, suspect: Suspect) -> bool:
    """Tell whether a deployment was there, or under way, when the incident began."""
    if suspect.kind is None or not fits(case, suspect):
        return False
    if suspect.finished_at <= case.started_at:
        return True
    under_way = suspect.started_at <= case.started_at
    return under_way and suspect.finished_at <= (case.resolved_at or suspect.finished_at)


def fits(case: Case, suspect: Suspect) -> bool:
    """Tell whether a deployment went to the incident's environment."""
    return suspect.environment_class == case.environment_class and same_environment(
        case.environment, suspect.environment
    )


def by_remedy(case: Case) -> Blame | None:
    """Return the deployment that was taken back while the incident ran, by the last remedy."""
    suspects = {each.id: each for each in near(case)}
    ended = [
        remedy
        for remedy in case.remedies
        if remedy.id in suspects and case.started_at <= remedy.at <= (case.resolved_at or remedy.at)
    ]
    if not ended:
        return None
    latest = max((remedy.at, order(suspects[remedy.id])) for remedy in ended)
    last = min(
        (each for each in ended if (each.at, order(suspects[each.id])) == latest), key=remedy_order
    )
    return Blame(suspects[last.id], "remedy", f"{remedied(last)}, while the incident ran")


def by_window(case: Case) -> Blame | None:
    """Return the latest deployment before the incident that can be its doing."""
    found = max(near(case), key=order, default=None)
    if found is None:
        return None
    ago = lasting(case.started_at - found.finished_at)
    return Blame(
        found,
        "window",
        f"opened {ago} after this deployment of {found.label}; no later one before it",
    )


def near(case: Case) -> list[Suspect]:
    """Return the deployments of the incident's place that can fail, and did end soon before it."""
    services = set(case.services)
    return [
        each
        for each in case.suspects
        if each.service_id in services
        and each.kind in FAILABLE
        and fits(case, each)
        and timedelta(0) <= case.started_at - each.finished_at <= case.windows.of(each)
    ]


def order(suspect: Suspect) -> tuple[datetime, str, str]:
    """Return what deployments are ordered by; that of one attempt decides between services."""
    return suspect.finished_at, suspect.deployment_id, suspect.id


def failure(
    finished_at: datetime, blames: Sequence[Blaming], remedies: Sequence[Remedy]
) -> Failure | None:
    """Return how a deployment failed, None where nothing says that it did.

    It is over when the last incident that blames it is; without one, when it was taken back by the
    best evidence.
    """
    remedy = min(remedies, key=remedy_order, default=None)
    remedy_id = remedy.remedy_id if remedy else None
    if blames:
        ordered = sorted(blames, key=lambda blame: (blame.started_at, blame.id))
        others = f", and {len(ordered) - 1} more" if len(ordered) > 1 else ""
        reason = f"{ordered[0].key}: {ordered[0].reason}{others}"
        incidents = tuple(blame.id for blame in ordered)
        return Failure("incident", reason, incidents, remedy_id, over(finished_at, blames))
    if remedy is None:
        return None
    return Failure(remedy.evidence, remedied(remedy), (), remedy_id, remedy.at)


def remedy_order(remedy: Remedy) -> tuple[int, datetime, str]:
    """Return what remedies are ordered by: their evidence, then their time."""
    return EVIDENCE.index(remedy.evidence), remedy.at, remedy.remedy_id


def over(finished_at: datetime, blames: Iterable[Blaming]) -> datetime | None:
    """Return when the last of some incidents was resolved; None while one is open.

    A person may have linked a deployment that came after all was over: nothing was to recover.
    """
    ends = [blame.resolved_at for blame in blames]
    resolved = [end for end in ends if end is not None]
    return max(finished_at, *resolved) if len(resolved) == len(ends) else None


REMEDIED: Mapping[str, Callable[[Remedy, str], str]] = {
    "rollback": lambda remedy, later: f"rolled back to {remedy.sha[:7]} {later} later",
    "revert": lambda _, later: f"reverted by a deployment {later} later",
    "hotfix": lambda _, later: f"followed by a hotfix {later} later",
}


def remedied(remedy: Remedy) -> str:
    """Say what a remedy did."""
    return REMEDIED[remedy.evidence](remedy, lasting(remedy.at - remedy.failed_at))


def lasting(duration: timedelta) -> str:
    """Say how long something lasted, in its two largest units at most: `1 h 20 min`."""
    seconds = int(duration.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} days {hours % 24} h" if hours % 24 else f"{days} days"
