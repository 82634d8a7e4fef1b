"""Derive which deployments were taken back or mended by later ones of their service."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

import models
from handlers.remedies import Brought, Remedy, Shipped, remedies, reverted
from models import blame as ask
from models.columns import EPOCH
from models.store import swap


async def remedy_again(
    db: AsyncConnection, organization_id: str, repository_id: str, since: datetime
) -> set[str]:
    """Write what the deployments of a repository since a time took back, anew.

    Returns the deployments that had been, or are, taken back. Of what was deployed before `since`
    only that is read which those after it can take back.
    """
    bound = {"repository": repository_id, "since": since}
    rows = [
        models.Remedy(
            remedy_id=each.remedy_id,
            service_deployment_id=each.id,
            organization_id=organization_id,
            repository_id=repository_id,
            service_id=service,
            evidence=each.evidence,
            sha=each.sha,
            failed_at=each.failed_at,
            remedied_at=each.at,
        )
        for service, found in (await remedies_since(db, repository_id, since)).items()
        for each in found
    ]
    where = "repository_id = :repository and remedied_at >= :since"
    gone = await swap(db, models.Remedy, rows, where, **bound)
    return {row.service_deployment_id for row in (*rows, *gone)}


async def remedies_since(
    db: AsyncConnection, repository_id: str, since: datetime
) -> dict[str, list[Remedy]]:
    """Return the remedies of a repository's services that finished since a time."""
    bound = {"repository": repository_id, "since": since}
    corrective = await ask.rows(db, ask.CORRECTIVE, **bound)
    matching = await reverted_changes(db, corrective)
    starts = await starts_of(db, matching, bound)
    if not starts:
        return {}
    brought = brought_by(corrective, matching)
    sequences: dict[str, list[Shipped]] = {}
    asked = [{"service_id": service, "start": start} for service, start in starts.items()]
    for row in await ask.rows_for(db, ask.SEQUENCE, asked):
        changes = tuple(brought.get(row.id, ()))
        shipped = Shipped(row.id, row.kind, row.sha, row.finished_at, changes)
        sequences.setdefault(row.service_id, []).append(shipped)
    return {
        service: [each for each in remedies(sequence) if each.at >= since]
        for service, sequence in sequences.items()
    }


async def reverted_changes(
    db: AsyncConnection, corrective: Sequence[Row[Any]]
) -> Sequence[Row[Any]]:
    """Return the changes that corrective ones may revert."""
    told = [each for row in corrective if (each := reverted(change_of(row)))]
    if not told:
        return []
    return await ask.rows(
        db,
        ask.REVERTED,
        services=sorted({row.service_id for row in corrective}),
        numbers=sorted({number for each in told for number in each.numbers}),
        titles=sorted({title for each in told for title in each.titles}),
    )


async def starts_of(
    db: AsyncConnection, matching: Iterable[Row[Any]], bound: Mapping[str, Any]
) -> dict[str, datetime]:
    """Return from when on each service's deployments must be known."""
    if bound["since"] == EPOCH:
        needed = await ask.rows(db, ask.REMEDYING, repository=bound["repository"])
        return {row.service_id: EPOCH for row in needed}
    starts = {row.service_id: row.start for row in await ask.rows(db, ask.NEEDED, **bound)}
    for row in matching:
        if row.service_id in starts:
            starts[row.service_id] = min(starts[row.service_id], row.deployed_at)
    return starts


def brought_by(
    corrective: Sequence[Row[Any]], matching: Iterable[Row[Any]]
) -> dict[str, list[Brought]]:
    """Return the changes that matter, by the deployment that brought them."""
    brought: dict[str, list[Brought]] = {}
    for row in corrective:
        brought.setdefault(row.service_deployment_id, []).append(change_of(row))
    for row in matching:
        change = Brought(row.pull_request_number, row.title)
        brought.setdefault(row.service_deployment_id, []).append(change)
    return brought


def change_of(row: Row[Any]) -> Brought:
    """Return a row of CORRECTIVE as a change."""
    return Brought(row.pull_request_number, row.title, row.head_ref, corrective=True)
