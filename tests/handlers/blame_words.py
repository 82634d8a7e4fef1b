"""Histories of one day in few words, judged as a whole: what is blamed, failed and recovered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from handlers.blame import Blame, Blaming, Case, Link, Named, Suspect, Windows, blamed, failure
from handlers.remedies import FAILABLE, Brought, Remedy, Shipped, remedies


def at(moment: str) -> datetime:
    """Read `10:30` (of 1 September 2026), or `09-02 10:30`."""
    day, _, time = moment.rpartition(" ")
    written = f"2026-{day or '09-01'} {time}"
    return datetime.strptime(written, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


@dataclass(frozen=True)
class Deploy:
    """A deployment: its name (`D1`), its SHA, when, its kind, and the changes that it brought."""

    name: str
    sha: str
    when: str
    kind: str | None = "new"
    changes: tuple[Brought, ...] = ()
    service: str = "api"
    environment: str = "production"
    environment_class: str = "production"
    minutes: int = 0
    attempt: str = ""

    @property
    def suspect(self) -> Suspect:
        """The deployment as it may be to blame."""
        finished_at = at(self.when)
        return Suspect(
            id=self.name,
            deployment_id=self.attempt or f"github:{self.name}",
            repository_id="acme/shop",
            service_id=self.service,
            label=self.service,
            environment=self.environment,
            environment_class=self.environment_class,
            kind=self.kind,
            started_at=finished_at - timedelta(minutes=self.minutes),
            finished_at=finished_at,
        )

    @property
    def shipped(self) -> Shipped:
        """The deployment in its service's sequence."""
        assert self.kind
        return Shipped(self.name, self.kind, self.sha, at(self.when), self.changes)


@dataclass(frozen=True)
class Trouble:
    """An incident: its name, its time, what it names and what people said of it."""

    name: str
    opened: str
    resolved: str | None = None
    names: tuple[Named, ...] = ()
    links: tuple[Link, ...] = ()
    services: tuple[str, ...] = ("api",)
    environment: str = "production"
    windows: Windows = field(default_factory=Windows)


D0 = Deploy("D0", "v0", "08-31 12:00", "baseline")


@dataclass
class Judged:
    """What followed: blames by incident, failures by deployment."""

    blames: dict[str, list[Blame]] = field(default_factory=dict)
    failed: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def blamed(self, incident: str) -> list[tuple[str, str]]:
        """Return what an incident blames, with the evidence."""
        return [(blame.suspect.id, blame.evidence) for blame in self.blames[incident]]

    def why(self, incident: str) -> str:
        """Return why, in words."""
        return "; ".join(blame.reason for blame in self.blames[incident])


def judged(deployments: Iterable[Deploy], incidents: Sequence[Trouble] = ()) -> Judged:
    """Judge a history: failures are (evidence, minutes until recovered or None)."""
    told = sorted([D0, *deployments], key=lambda each: (at(each.when), each.suspect.deployment_id))
    taken = [
        remedy
        for service in {each.service for each in told}
        for remedy in remedies([d.shipped for d in told if d.service == service and d.kind])
    ]
    result = Judged()
    for incident in incidents:
        result.blames[incident.name] = blamed(case_of(incident, told, taken))
    for each in told:
        if each.kind in FAILABLE:
            mine = [remedy for remedy in taken if remedy.id == each.name]
            found = failure(at(each.when), against(result, each, incidents), mine)
            if found:
                over = found.recovered_at
                minutes = (over - at(each.when)).total_seconds() / 60 if over else None
                result.failed[each.name] = (found.evidence, minutes)
                result.reasons[each.name] = found.reason
    return result


def case_of(incident: Trouble, told: Sequence[Deploy], taken: Sequence[Remedy]) -> Case:
    """Return what is decided upon."""
    return Case(
        started_at=at(incident.opened),
        resolved_at=at(incident.resolved) if incident.resolved else None,
        environment=incident.environment,
        environment_class="production",
        services=incident.services,
        suspects=tuple(each.suspect for each in told),
        remedies=tuple(taken),
        named=incident.names,
        links=incident.links,
        windows=incident.windows,
    )


def against(result: Judged, deployed: Deploy, incidents: Sequence[Trouble]) -> list[Blaming]:
    """Return the incidents that blame a deployment."""
    return [
        Blaming(
            incident.name,
            incident.name,
            blame.reason,
            at(incident.opened),
            at(incident.resolved) if incident.resolved else None,
        )
        for incident in incidents
        for blame in result.blames[incident.name]
        if blame.suspect.id == deployed.name
    ]
