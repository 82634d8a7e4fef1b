"""Linear as a connector: its workspace, what was read of it, and which repository is whose."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clients.linear import LinearSecret
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint, invalid
from bot.web.api.listing import repository_named
from bot.web.consent import proven, sendable, written_down
from bot.web.linear_connecting import connect, disconnect, installed, sync_job
from bot.web.problems import Problem
from models import linear_connections as connections
from models.linear_mapping import keep_mappings
from models.queue import queue
from models.syncing import sync_logs

COUNTS = text("""
    select count(*) filter (where status = 'received') as waiting,
           count(*) filter (where status = 'failed') as failed,
           count(*) filter (where status = 'parked') as parked
      from deliveries where source = 'linear' and organization_id = :organization
""")
NO_KEY = "Send api_key (lin_api_…), or set LINEAR_API_KEY."
NOT_CONNECTED = "No workspace of Linear is connected."


class Synchronisation(BaseModel):
    """The last reading of the workspace. `state`: running, done or failed."""

    state: str
    items: int
    error: str | None
    started_at: datetime
    finished_at: datetime | None


class LinearStatus(BaseModel):
    """Whether Linear reaches us, and we Linear; a time is None when it never did.

    `connected`: a workspace is. `way`: oauth, api_key or settings (LINEAR_API_KEY). `webhooks`:
    LINEAR_WEBHOOK_SECRET is set. `install`: one can be connected by consent, at `/connect/linear`.
    `waiting`, `failed`, `parked` count deliveries not settled.
    """

    connected: bool
    workspace: str | None
    way: str | None
    webhooks: bool
    install: bool
    synchronisation: Synchronisation | None
    last_event_at: datetime | None
    waiting: int
    failed: int
    parked: int


class LinearConnect(Strict):
    """A personal API key; without one LINEAR_API_KEY is used."""

    api_key: SecretStr | None = None


class LinearSync(Strict):
    """What to read. `full`: every issue, not only those that changed since the last time."""

    full: bool = False


class Asked(BaseModel):
    """That something was begun."""

    status: Literal["queued"] = "queued"


class Mapping(BaseModel):
    """A team or project, and the repository in which its issues are developed.

    `kind`: team or project. `by`: who mapped it.
    """

    linear_id: str
    kind: str | None
    name: str | None
    repository_id: str
    repository: str | None
    by: str
    at: datetime


class Mappings(BaseModel):
    """Every mapping."""

    items: list[Mapping]


class Wanted(Strict):
    """One mapping: `linear_id` as listed; `repo_id`: `github:123` or `owner/name`, None: none."""

    linear_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    repo_id: Words | None = None


class WantedMappings(Strict):
    """Mappings to make or take away; what is not named stays."""

    mappings: Annotated[list[Wanted], Field(min_length=1, max_length=200)]


@endpoint("GET", "/connectors/linear/status", query=Query, answer=LinearStatus)
async def linear_status(call: Call, query: Query) -> LinearStatus:
    """Say whether Linear is connected, when it was heard last, and how far it was read."""
    home, settings = call.member.organization_id, call.settings
    async with call.engine.connect() as db:
        found = await connections.linear_connection(db, home)
        syncs = await sync_logs(db, home, source="linear", limit=1)
        last = await connections.last_delivery(db, home)
        counts = dict((await db.execute(COUNTS, {"organization": home})).mappings().one())
        row = await permissions(db, str(found["id"])) if found else {}
    connected = found is not None and found["state"] == "active"
    return LinearStatus(
        connected=connected,
        workspace=str(found["account_login"]) if found else None,
        way=row.get("way") if connected else None,
        webhooks=bool(settings.linear_webhook_secret.get_secret_value()),
        install=bool(settings.linear_client_id and settings.linear_client_secret),
        synchronisation=Synchronisation(**syncs[0]) if syncs else None,
        last_event_at=last,
        **counts,
    )


async def permissions(db: AsyncConnection, connection_id: str) -> dict[str, str]:
    """Return what was granted to a connection, and by which way it came."""
    told = await db.scalar(
        text("select permissions from connections where id = :id"), {"id": connection_id}
    )
    return dict(told or {})


@endpoint(
    "POST",
    "/connectors/linear/connect",
    roles=("admin",),
    query=Query,
    body=LinearConnect,
    answer=LinearStatus,
    problems=("409", "502"),
)
async def connect_linear(call: Call, query: Query, body: LinearConnect) -> LinearStatus:
    """Connect a workspace by a personal API key, and read it."""
    key = body.api_key or call.settings.linear_api_key
    if key is None or not key.get_secret_value().strip():
        raise invalid([{"field": "api_key", "detail": NO_KEY}])
    if body.api_key is None:
        async with call.engine.connect() as db:
            await proven(db, call.member)
    secret = LinearSecret(api_key=sendable(key))
    kept = None if body.api_key else LinearSecret()
    told = await installed(call.settings, secret, kept=kept)
    await connect(call.request, call.member, told)
    return await linear_status(call, query)


@endpoint(
    "POST",
    "/connectors/linear/disconnect",
    roles=("admin",),
    query=Query,
    answer=LinearStatus,
)
async def disconnect_linear(call: Call, query: Query) -> LinearStatus:
    """Let the workspace go: its secret is forgotten and its events wait; what it told stays."""
    async with call.engine.connect() as db:
        found = await connections.linear_connection(db, call.member.organization_id)
    if found is None or found["state"] != "active":
        raise Problem(404, "Not Found", NOT_CONNECTED)
    name = str(found["account_login"])
    await disconnect(call.request, call.member, str(found["external_id"]), name)
    return await linear_status(call, query)


@endpoint(
    "POST",
    "/connectors/linear/sync",
    roles=("admin",),
    query=Query,
    body=LinearSync,
    answer=Asked,
)
async def sync_linear(call: Call, query: Query, body: LinearSync) -> Asked:
    """Read what changed in Linear since the last time, or everything."""
    home = call.member.organization_id
    async with call.engine.begin() as db:
        found = await connections.linear_connection(db, home)
        if found is None or found["state"] != "active":
            raise Problem(404, "Not Found", NOT_CONNECTED)
        await queue(db, [sync_job(home, full=body.full)], home)
    return Asked()


@endpoint("GET", "/connectors/linear/mappings", query=Query, answer=Mappings)
async def linear_mappings(call: Call, query: Query) -> Mappings:
    """List which team or project is developed in which repository."""
    async with call.engine.connect() as db:
        rows = await connections.mappings(db, call.member.organization_id)
    return Mappings(items=[Mapping(**row) for row in rows])


@endpoint(
    "PUT",
    "/connectors/linear/mappings",
    roles=("admin",),
    query=Query,
    body=WantedMappings,
    answer=Mappings,
)
async def map_linear(call: Call, query: Query, body: WantedMappings) -> Mappings:
    """Say in which repository the issues of a team or project are developed.

    Incidents that Linear told of are read anew by it.
    """
    member = call.member
    home = member.organization_id
    async with call.engine.begin() as db:
        ids = [each.linear_id for each in body.mappings]
        known = await connections.known_places(db, home, ids)
        wanted: dict[str, str | None] = {}
        for number, each in enumerate(body.mappings):
            if each.repo_id is None:
                wanted[each.linear_id] = None
                continue
            if each.linear_id not in known:
                detail = f"There is no team or project {each.linear_id!r}: synchronise first."
                raise invalid([{"field": f"mappings.{number}.linear_id", "detail": detail}])
            wanted[each.linear_id] = await repository_named(db, member, each.repo_id)
        await keep_mappings(db, home, wanted, member.user_id)
        said = ", ".join(f"{each.linear_id} → {each.repo_id}" for each in body.mappings)
        await written_down(db, member, "linear_mapped", said[:2000])
    return await linear_mappings(call, query)
