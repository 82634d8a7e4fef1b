"""Reading what was before we came: how far it has come, what more of it costs, and ordering it."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from bot.connectors.github import cost_of
from bot.connectors.protocol import Trouble, Wait
from bot.queue import HISTORY, nudge
from bot.web.accounts import audit
from bot.web.api.asking import surroundings_of, tell
from bot.web.api.endpoints import Call, Query, Strict, endpoint
from bot.web.problems import Problem
from handlers.github.installations import BACKFILL_DAYS, backfill
from models.backfilling import Standing, standings
from models.errors import Refused
from models.queue import queue

MOST_DAYS = 3650
NOT_OPEN = "There is no repository {named!r} that is open to the GitHub App."
NOBODY = "There is no installation of the GitHub App to ask."

Days = Annotated[int, Field(ge=1, le=MOST_DAYS)]


class CostQuery(Query):
    """How far back is to be read."""

    days: Days = BACKFILL_DAYS


class Wanted(Strict):
    """How far back is to be read, from now."""

    days: Days = BACKFILL_DAYS


class Backfill(BaseModel):
    """How far the history of a repository was read.

    `state`: unread, queued, reading, paused, read or failed. `items` of `expected` (null: not
    known) were read by `calls` requests; `since`: how far back (null: all that GitHub keeps).
    `until`: when it goes on after a limit or a failure; `says`: what that was.
    """

    repository_id: str
    repository: str
    state: str
    items: int
    expected: int | None
    calls: int
    since: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    until: datetime | None
    says: str | None


class Backfills(BaseModel):
    """Every repository that is open to the GitHub App, by name."""

    items: list[Backfill]


class ReadingCost(BaseModel):
    """What there is to read, and about how many requests of GitHub's hourly limit that takes."""

    days: int
    pull_requests: int
    runs: int
    deployments: int
    releases: int
    issues: int
    calls: int


@endpoint("GET", "/backfills", query=Query, answer=Backfills)
async def backfills(call: Call, query: Query) -> Backfills:
    """List how far the history of each repository was read."""
    async with call.engine.connect() as db:
        found = await standings(db, call.member.organization_id)
    return Backfills(items=[shown(each) for each in found])


@endpoint("GET", "/repositories/{repo_id:path}/backfill", query=Query, answer=Backfill)
async def one(call: Call, query: Query) -> Backfill:
    """Say how far the history of a repository was read."""
    return shown(await standing_of(call, call.path["repo_id"]))


@endpoint(
    "GET",
    "/repositories/{repo_id:path}/backfill/cost",
    roles=("manager",),
    query=CostQuery,
    answer=ReadingCost,
    problems=("409", "502", "503"),
)
async def cost(call: Call, query: CostQuery) -> ReadingCost:
    """Count what there is to read of the last days, and what it costs; it asks GitHub twice."""
    found = await standing_of(call, call.path["repo_id"])
    return await counted(call, found.repository_id, query.days)


@endpoint(
    "POST",
    "/repositories/{repo_id:path}/backfill",
    roles=("manager",),
    query=Query,
    body=Wanted,
    answer=Backfill,
)
async def order(call: Call, query: Query, sent: Wanted) -> Backfill:
    """Read the history of the last days. What is known already is not counted twice."""
    found = await standing_of(call, call.path["repo_id"])
    await ordered(call, found.repository_id, sent.days)
    return await one(call, query)


async def standing_of(call: Call, named: str) -> Standing:
    """Return how far an open repository was read; raise `Problem` 404 for any other."""
    async with call.engine.connect() as db:
        found = await standings(db, call.member.organization_id)
    wanted = named.lower()
    for each in found:
        if wanted in (each.repository_id, each.repository.lower()):
            return each
    raise Problem(404, "Not Found", NOT_OPEN.format(named=named))


async def counted(call: Call, repository_id: str, days: int) -> ReadingCost:
    """Ask GitHub what there is; raise `Problem` 409, 502 or 503 where it cannot be told."""
    since = datetime.now(UTC) - timedelta(days=days)
    home = call.member.organization_id
    try:
        found = await cost_of(surroundings_of(call), home, repository_id, since)
    except Wait as wait:
        raise Problem(503, "Service Unavailable", str(wait), headers=later(wait)) from None
    except Trouble as trouble:
        raise Problem(502, "Bad Gateway", str(trouble)) from None
    except Refused as refused:
        raise Problem(409, "Conflict", str(refused)) from None
    if found is None:
        raise Problem(409, "Conflict", NOBODY)
    return ReadingCost(days=days, **asdict(found))


def later(wait: Wait) -> Mapping[str, str]:
    """Say when to ask again."""
    return {"retry-after": str(max(1, int((wait.until - datetime.now(UTC)).total_seconds())))}


async def ordered(call: Call, repository_id: str, days: int) -> None:
    """Order that a repository is read, and say so to who looks."""
    member = call.member
    since = datetime.now(UTC) - timedelta(days=days)
    async with call.engine.begin() as db:
        await queue(db, [backfill(repository_id, since)], member.organization_id)
        told = {"user_id": member.user_id, "organization_id": member.organization_id}
        await audit(db, "backfill", detail=f"{repository_id}, {days} days", **told)
    await nudge(call.request.app.state.redis, HISTORY)
    await tell(call, "sync")


def shown(each: Standing) -> Backfill:
    """Return how far a repository was read, as it is answered."""
    return Backfill(**each._asdict())
