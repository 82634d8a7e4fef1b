"""Blame incidents on deployments: facts in, rows of two tables out."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.evidence import (
    Evidence,
    World,
    attempts_named,
    attempts_of,
    committed,
    evidence_of,
    grouped,
    placed,
)
from handlers.blame import Blame, Case, blamed
from models import IncidentDeployment, IncidentPlace
from models import blame as ask
from models.store import swap


async def blame_again(db: AsyncConnection, world: World, incidents: Sequence[str]) -> set[str]:
    """Write the place of some incidents, and what they blame, anew.

    Returns the deployments that one of them blamed before or blames now.
    """
    told = await ask.rows(
        db, ask.CASES, organization=world.organization_id, incidents=list(incidents)
    )
    found = await evidence_of(db, world, told)
    places = [place_row(world, each) for each in found]
    deployments = [
        deployment_row(world, each.told.id, blame)
        for each in found
        for blame in blamed(case_of(world, each))
    ]
    bound = {"incidents": list(incidents)}
    where = "incident_id = any(:incidents)"
    await swap(db, IncidentPlace, places, where, **bound)
    gone = await swap(db, IncidentDeployment, deployments, where, **bound)
    return {row.service_deployment_id for row in (*deployments, *gone)}


def case_of(world: World, evidence: Evidence) -> Case:
    """Return what is decided upon; of several words that lead to it the first is said."""
    told = evidence.told
    return Case(
        started_at=told.started_at,
        resolved_at=told.resolved_at,
        environment=told.environment,
        environment_class=told.environment_class,
        services=evidence.place.services,
        suspects=tuple(evidence.suspects.values()),
        remedies=tuple(evidence.remedies),
        named=tuple(sorted(evidence.named, key=lambda named: (named.id, named.says))),
        links=tuple(evidence.links),
        windows=world.windows,
    )


def place_row(world: World, evidence: Evidence) -> IncidentPlace:
    """Return the place of an incident as a row."""
    return IncidentPlace(
        incident_id=evidence.told.id,
        organization_id=world.organization_id,
        repository_id=evidence.place.repository_id,
        service_id=evidence.place.service_id,
        reason=evidence.place.reason,
    )


def deployment_row(world: World, incident_id: str, blame: Blame) -> IncidentDeployment:
    """Return what an incident blames as a row."""
    return IncidentDeployment(
        incident_id=incident_id,
        service_deployment_id=blame.suspect.id,
        organization_id=world.organization_id,
        repository_id=blame.suspect.repository_id,
        service_id=blame.suspect.service_id,
        deployment_id=blame.suspect.deployment_id,
        evidence=blame.evidence,
        reason=blame.reason,
        by=blame.by,
    )


async def misplaced(db: AsyncConnection, world: World, incidents: Sequence[str]) -> list[str]:
    """Return which of some incidents happened elsewhere than is written, as is known now."""
    bound = {"incidents": list(incidents)}
    told = await ask.rows(db, ask.CASES, organization=world.organization_id, **bound)
    attempts = await attempts_of(db, world, told)
    found = grouped([*attempts_named(told, attempts), *await committed(db, world, told)])
    written = {row.incident_id: tuple(row)[1:] for row in await ask.rows(db, ask.PLACED, **bound)}
    wrong = []
    for row in told:
        place = placed(world, row, found.get(row.id, ()))
        if written.get(row.id) != (place.repository_id, place.service_id, place.reason):
            wrong.append(row.id)
    return wrong
