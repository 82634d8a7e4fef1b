"""`judge_again`: which deployment each incident blames, which failed, and when they recovered.

Everything here is written anew from facts, so that the order in which they came does not matter.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs import Surroundings, job
from bot.jobs.blaming import blame_again, misplaced
from bot.jobs.evidence import world_of
from bot.jobs.remedies import remedy_again
from bot.live import publish
from handlers.blame import Blaming, failure
from handlers.remedies import Remedy
from models import DeployedService, FailedDeployment
from models import blame as ask
from models.columns import EPOCH
from models.queue import ClaimedJob
from models.store import swap

TOGETHER = 1000
TIMES = frozenset({"at", "failed_at", "started_at", "resolved_at"})


@job
async def judge_again(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Judge all incidents of an organisation again, because its settings changed."""
    organization_id = str(claimed.organization_id)
    async with surroundings.engine.begin() as db:
        await judge_all(db, organization_id)
    with suppress(RedisError, OSError):
        await publish(surroundings.redis, organization_id, "incident", "deployment")


async def relink(db: AsyncConnection, incident_id: str) -> None:
    """Write anew what an incident blames, and whether the deployments concerned failed.

    An incident that is gone, or was dismissed, blames nothing.
    """
    organization_id = await ask.locked_organization(db, incident_id)
    if organization_id is None:
        return
    await blame_all(db, organization_id, [incident_id])


async def judge(
    db: AsyncConnection, organization_id: str, repository_id: str, since: datetime | None
) -> None:
    """Judge all that a repository's deployments finished since a time may change; None: all."""
    await ask.lock(db, organization_id)
    start = since or EPOCH
    bound = {"repository": repository_id, "since": start}
    taken = await remedy_again(db, organization_id, repository_id, start)
    taken |= {row.service_deployment_id for row in await ask.rows(db, ask.FAILED, **bound)}
    full_name = await full_name_of(db, repository_id)
    former = [
        row.full_name for row in await ask.rows(db, ask.FORMER_NAMES, repository=repository_id)
    ]
    changed = await services_changed(db, repository_id, full_name, start) or since is None
    incidents = await ask.rows(
        db,
        ask.AFFECTED,
        organization=organization_id,
        repository=repository_id,
        full_names=[full_name.lower(), *former],
        since=EPOCH if changed else start,
    )
    concerned = {row.id for row in incidents}
    if changed:
        concerned |= await all_misplaced(db, organization_id)
    await blame_all(db, organization_id, sorted(concerned), taken)


async def judge_all(db: AsyncConnection, organization_id: str) -> None:
    """Judge every incident of an organisation again."""
    await ask.lock(db, organization_id)
    incidents = await ask.rows(db, ask.ALL, organization=organization_id)
    await blame_all(db, organization_id, [row.id for row in incidents])


async def blame_all(
    db: AsyncConnection,
    organization_id: str,
    incidents: Sequence[str],
    deployments: Iterable[str] = (),
) -> None:
    """Write anew what incidents blame; then which failed of these and of other deployments."""
    concerned = set(deployments)
    if incidents:
        world = await world_of(db, organization_id)
        for together in batches(incidents):
            concerned |= await blame_again(db, world, together)
    for together in batches(sorted(concerned)):
        await fail_again(db, together)


def batches(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    """Cut a long list."""
    return (ids[start : start + TOGETHER] for start in range(0, len(ids), TOGETHER))


async def all_misplaced(db: AsyncConnection, organization_id: str) -> set[str]:
    """Return the incidents of an organisation that happened elsewhere than is written."""
    incidents = [row.id for row in await ask.rows(db, ask.ALL, organization=organization_id)]
    if not incidents:
        return set()
    world = await world_of(db, organization_id)
    return {
        incident
        for together in batches(incidents)
        for incident in await misplaced(db, world, together)
    }


async def full_name_of(db: AsyncConnection, repository_id: str) -> str:
    """Return a repository's name, its id where none was told."""
    told = await ask.rows(db, ask.FULL_NAME, repository=repository_id)
    return told[0].full_name if told else repository_id


async def services_changed(
    db: AsyncConnection, repository_id: str, full_name: str, since: datetime
) -> bool:
    """Write which services of a repository were ever deployed; tell whether that is news."""
    bound = {"repository": repository_id}
    before = await ask.rows(db, ask.DESCRIBED, **bound)
    now = [
        DeployedService(full_name=full_name, **row._mapping)
        for row in await ask.rows(db, ask.DEPLOYED, since=since, **bound)
    ]
    if {tuple(row) for row in before} == {tuple(described(row)) for row in now}:
        return False
    await swap(db, DeployedService, now, "repository_id = :repository", **bound)
    return True


def described(service: DeployedService) -> Iterable[str]:
    """Yield what a row of DESCRIBED holds."""
    yield from (service.id, service.organization_id, service.repository_id)
    yield from (service.full_name, service.service, service.environment_class)


async def fail_again(db: AsyncConnection, deployments: Sequence[str]) -> None:
    """Write anew which of some deployments failed, and when they recovered."""
    against = await ask.rows(db, ask.AGAINST, ids=list(deployments))
    failed = [row for each in against if (row := failed_row(each))]
    where = "service_deployment_id = any(:ids)"
    await swap(db, FailedDeployment, failed, where, ids=list(deployments))


def failed_row(row: Row[Any]) -> FailedDeployment | None:
    """Return how a deployment failed as a row, None where nothing speaks against it."""
    blames = [Blaming(**aware(told)) for told in row.blames or ()]
    remedies = [Remedy(**aware(told)) for told in row.remedies or ()]
    found = failure(row.finished_at, blames, remedies)
    if found is None:
        return None
    return FailedDeployment(
        service_deployment_id=row.id,
        organization_id=row.organization_id,
        repository_id=row.repository_id,
        service_id=row.service_id,
        environment_class=row.environment_class,
        failed_at=row.finished_at,
        evidence=found.evidence,
        reason=found.reason,
        incidents=list(found.incidents),
        remedy_id=found.remedy_id,
        recovered_at=found.recovered_at,
    )


def aware(told: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object of Postgres with its times as such."""
    return {
        name: datetime.fromisoformat(value) if value and name in TIMES else value
        for name, value in told.items()
    }
