"""Find what may be to blame for incidents: where they happened, what they name, what was near."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from handlers.blame import Link, Named, Suspect, Windows
from handlers.places import Known, Place, Told, by_full_name, place_of
from handlers.remedies import Remedy
from models import blame as ask

LARGEST_NUMBER = 2**31 - 1
FOR_EVER = "infinity"


@dataclass(frozen=True)
class World:
    """What does not depend on one incident: an organisation's services and its windows."""

    organization_id: str
    services: Sequence[Known]
    windows: Windows

    def full_name(self, repository_id: str) -> str:
        """Return the name of a repository that something was deployed from."""
        names = (each.full_name for each in self.services if each.repository_id == repository_id)
        return next(names, repository_id)


@dataclass
class Evidence:
    """What was found for one incident."""

    told: Row[Any]
    place: Place
    links: Sequence[Link]
    suspects: dict[str, Suspect] = field(default_factory=dict)
    named: list[Named] = field(default_factory=list)
    remedies: list[Remedy] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """A deployment that a reference of an incident leads to."""

    incident_id: str
    reference: str
    suspect: Suspect
    says: str


async def world_of(db: AsyncConnection, organization_id: str) -> World:
    """Read an organisation's services and windows."""
    told = await ask.rows(db, ask.SERVICES, organization=organization_id)
    services = [
        Known(
            row.id,
            row.repository_id,
            row.full_name,
            row.service,
            row.environment_class,
            tuple(row.former),
        )
        for row in told
    ]
    windows = Windows()
    if told and told[0].window_hours is not None:
        windows = Windows(told[0].window_hours, told[0].windows)
    return World(organization_id, services, windows)


async def evidence_of(
    db: AsyncConnection, world: World, told: Sequence[Row[Any]]
) -> list[Evidence]:
    """Find where incidents happened, and every deployment that may be to blame."""
    attempts = await attempts_of(db, world, told)
    found = [*attempts_named(told, attempts), *await committed(db, world, told)]
    by_incident = grouped(found)
    cases = {
        row.id: Evidence(row, placed(world, row, by_incident.get(row.id, ())), links_of(row))
        for row in told
    }
    for each in [*found, *await numbered(db, world, cases.values())]:
        case = cases[each.incident_id]
        case.suspects[each.suspect.id] = each.suspect
        case.named.append(Named(each.suspect.id, each.says))
    for case in cases.values():
        linked = (each for link in case.links for each in attempts.get(link.deployment_id, ()))
        case.suspects |= {each.id: each for each in linked}
    await add_near(db, world, cases)
    return list(cases.values())


def grouped(found: Iterable[Found]) -> dict[str, list[Found]]:
    """Group what references lead to by incident."""
    groups: dict[str, list[Found]] = {}
    for each in found:
        groups.setdefault(each.incident_id, []).append(each)
    return groups


def placed(world: World, row: Row[Any], found: Collection[Found]) -> Place:
    """Return where an incident happened."""
    repositories: dict[str, str] = {}
    for each in found:
        known = repositories.get(each.reference, each.suspect.repository_id)
        repositories[each.reference] = min(known, each.suspect.repository_id)
    return place_of(told_of(row), world.services, repositories)


def told_of(row: Row[Any]) -> Told:
    """Return what an incident tells of where it happened."""
    return Told(
        environment_class=row.environment_class,
        repository_id=row.repository_id,
        service=row.service,
        names=row.names,
        title=row.title,
        detail=row.detail,
        channel=row.channel or "",
    )


def links_of(row: Row[Any]) -> list[Link]:
    """Return what people said of an incident's deployments."""
    return [
        Link(told["deployment_id"], told["linked"], told["by"], datetime.fromisoformat(told["at"]))
        for told in row.links
    ]


async def attempts_of(
    db: AsyncConnection, world: World, told: Sequence[Row[Any]]
) -> dict[str, list[Suspect]]:
    """Return the deployments that incidents name by their ids, or people linked, by attempt."""
    wanted = {link["deployment_id"] for row in told for link in row.links}
    wanted |= {attempt for row in told for _, attempt in valued(row, "deployment")}
    if not wanted:
        return {}
    organization = world.organization_id
    attempts: dict[str, list[Suspect]] = {}
    for row in await ask.rows(db, ask.ATTEMPTS, attempts=sorted(wanted), organization=organization):
        attempts.setdefault(row.deployment_id, []).append(suspect_of(world, row))
    return attempts


def valued(row: Row[Any], kind: str) -> Iterable[tuple[str, str]]:
    """Return an incident's references of a kind with what they mean: an attempt's id, a SHA."""
    source = "github:" if kind == "deployment" else ""
    for reference in row.names:
        told, _, value = reference.partition(":")
        if told == kind:
            yield reference, source + value


def attempts_named(
    told: Sequence[Row[Any]], attempts: Mapping[str, Sequence[Suspect]]
) -> list[Found]:
    """Return the deployments that incidents name by their ids."""
    return [
        Found(row.id, reference, suspect, "names this deployment")
        for row in told
        for reference, attempt in valued(row, "deployment")
        for suspect in attempts.get(attempt, ())
        if suspect.finished_at <= (row.resolved_at or suspect.finished_at)
    ]


async def committed(db: AsyncConnection, world: World, told: Sequence[Row[Any]]) -> list[Found]:
    """Return the deployments that shipped or brought a commit which an incident names."""
    asked = [
        {"incident_id": row.id, "reference": reference, "sha": sha, "ended_at": ended(row)}
        for row in told
        for reference, sha in valued(row, "sha")
    ]
    rows = await ask.rows_for(db, ask.COMMITTED, asked, organization=world.organization_id)
    return [found_of(world, row) for row in rows]


async def numbered(db: AsyncConnection, world: World, cases: Iterable[Evidence]) -> list[Found]:
    """Return the deployments that brought a pull request which an incident names by number."""
    repositories = by_full_name(world.services)
    asked = []
    for case in cases:
        for reference in case.told.names:
            kind, _, value = reference.partition(":")
            full_name, _, number = value.rpartition("#")
            repository = repositories.get(full_name) if full_name else case.place.repository_id
            if kind == "number" and repository and int(number) <= LARGEST_NUMBER:
                asked.append(
                    {
                        "incident_id": case.told.id,
                        "reference": reference,
                        "repository_id": repository,
                        "number": int(number),
                        "ended_at": ended(case.told),
                    }
                )
    return [found_of(world, row) for row in await ask.rows_for(db, ask.NUMBERED, asked)]


def found_of(world: World, row: Row[Any]) -> Found:
    """Return a row of NUMBERED or COMMITTED as what a reference leads to."""
    did = "shipped" if row.itself else "brought"
    says = f"names {row.said}, which this deployment {did}"
    return Found(row.incident_id, row.reference, suspect_of(world, row), says)


def ended(row: Row[Any]) -> datetime | str:
    """Return when an incident ended, for ever in the future while it has not."""
    return row.resolved_at or FOR_EVER


async def add_near(db: AsyncConnection, world: World, cases: Mapping[str, Evidence]) -> None:
    """Add the latest deployments before each incident, and those taken back while it ran."""
    asked = [
        {
            "incident_id": case.told.id,
            "service_id": service,
            "earliest": case.told.started_at - world.windows.longest,
            "started_at": case.told.started_at,
            "ended_at": ended(case.told),
        }
        for case in cases.values()
        for service in case.place.services
    ]
    for row in await ask.rows_for(db, ask.NEAR, asked):
        case = cases[row.incident_id]
        case.suspects[row.id] = suspect_of(world, row)
        if row.remedy_id:
            case.remedies.append(
                Remedy(
                    row.id, row.finished_at, row.remedy_id, row.remedied_at, row.sha, row.evidence
                )
            )


def suspect_of(world: World, row: Row[Any]) -> Suspect:
    """Return a deployment as it may be to blame, named as people name its service."""
    name = world.full_name(row.repository_id).rpartition("/")[2]
    return Suspect(
        id=row.id,
        deployment_id=row.deployment_id,
        repository_id=row.repository_id,
        service_id=row.service_id,
        label=name if row.service == row.environment else row.service,
        environment=row.environment,
        environment_class=row.environment_class,
        kind=row.kind,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
