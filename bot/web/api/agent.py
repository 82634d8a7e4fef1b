"""How the agent works for an organisation, over the API: its settings, its money, its schema."""

from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr, StringConstraints
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from bot.clients.outward import checked_address, leads_here
from bot.settings import Settings
from bot.web.accounts import audit
from bot.web.api.asking import surroundings_of
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint, invalid
from bot.web.api.tickets import Model, Usd
from models.errors import Refused

SCHEMA_PATH = "/schemas/veelocity.json"
SHORTEST_SECRET = 16
MOST_SHOWN = 200
Host = Annotated[
    str, StringConstraints(pattern=r"^(\*\.)?([a-z0-9-]{1,63}\.)+[a-z0-9-]{2,63}$", max_length=253)
]
Secret = Annotated[SecretStr, Field(min_length=SHORTEST_SECRET, max_length=500)]


class Effective(BaseModel):
    """What holds, whether the organisation or this Veelocity said so. Money is in US dollars."""

    ticket_budget_usd: float
    repository_day_budget_usd: float
    organization_day_budget_usd: float
    models: list[str]


class AgentSettings(BaseModel):
    """How an organisation wants its tickets developed. Money is in US dollars.

    None, or an empty list of `models`, means the setting of this Veelocity; `effective` says what
    holds. The first of `models` is the default. `setup_hosts`: what a repository's setup may reach.
    `completion_url` is told when a run ends; its secret is never shown.
    """

    ticket_budget_usd: float | None
    repository_day_budget_usd: float | None
    organization_day_budget_usd: float | None
    models: list[str]
    setup_hosts: list[str]
    similar_tickets: bool
    completion_url: str | None
    completion_secret_is_set: bool
    effective: Effective


class NewAgentSettings(Strict):
    """All settings of the agent anew: what is left out goes back to its default.

    `completion_url` begins with https:// and leads out of this network. `completion_secret` signs
    what is sent there (`X-Veelocity-Signature-256`); left out, the one that is kept stays.
    """

    ticket_budget_usd: Usd | None = None
    repository_day_budget_usd: Usd | None = None
    organization_day_budget_usd: Usd | None = None
    models: Annotated[list[Model], Field(max_length=20, default_factory=list)]
    setup_hosts: Annotated[list[Host], Field(max_length=100, default_factory=list)]
    similar_tickets: bool = True
    completion_url: Words | None = None
    completion_secret: Secret | None = None


class Spending(BaseModel):
    """One budget: what was spent, what is reserved for calls under way, and its limit, in USD."""

    name: str
    spent_usd: float
    reserved_usd: float
    limit_usd: float
    left_usd: float


class Budgets(BaseModel):
    """What may be spent, and what was. `day` is the day in UTC that the two days' budgets are of.

    `repositories`: those with money spent or reserved today. `tickets`: those that are not over,
    the dearest first; theirs is for all of their runs, whatever the day.
    """

    day: date
    organization: Spending
    repositories: list[Spending]
    tickets: list[Spending]


FIND = text("select * from agent_settings where organization_id = :organization_id")
PUT = text("""
    insert into agent_settings as s (organization_id, ticket_budget_usd,
           repository_day_budget_usd, organization_day_budget_usd, models, setup_hosts,
           similar_tickets, completion_url, completion_secret)
    values (:organization_id, :ticket_budget_usd, :repository_day_budget_usd,
           :organization_day_budget_usd, :models, :setup_hosts, :similar_tickets,
           :completion_url, :completion_secret)
    on conflict (organization_id) do update set
           ticket_budget_usd = excluded.ticket_budget_usd,
           repository_day_budget_usd = excluded.repository_day_budget_usd,
           organization_day_budget_usd = excluded.organization_day_budget_usd,
           models = excluded.models, setup_hosts = excluded.setup_hosts,
           similar_tickets = excluded.similar_tickets, completion_url = excluded.completion_url,
           completion_secret = case when excluded.completion_url is null then null
               else coalesce(excluded.completion_secret, s.completion_secret) end,
           updated_at = now()
    returning *
""")
OF_REPOSITORIES = text("""
    select r.full_name as name, b.spent_usd, b.reserved_usd
      from budgets b join repositories r on b.id = 'repository:' || r.id || ':' || :day
     where r.organization_id = :organization_id
     order by b.spent_usd + b.reserved_usd desc, r.full_name limit :most
""")
OF_TICKETS = text("""
    select coalesce(r.full_name, t.repository_id) || '#' || t.number as name, t.budget_usd,
           b.spent_usd, b.reserved_usd
      from tickets t join budgets b on b.id = 'ticket:' || t.id
      left join repositories r on r.id = t.repository_id
     where t.organization_id = :organization_id
       and t.status in ('open', 'in_progress', 'in_review')
     order by b.spent_usd + b.reserved_usd desc, t.id limit :most
""")
OF_ORGANIZATION = text("select spent_usd, reserved_usd from budgets where id = :id")


@endpoint("GET", "/agent/settings", roles=("admin",), query=Query, answer=AgentSettings)
async def agent_settings(call: Call, query: Query) -> AgentSettings:
    """Show how the organisation wants its tickets developed."""
    async with call.engine.connect() as db:
        return told(await kept(db, call), call.settings)


@endpoint(
    "PUT",
    "/agent/settings",
    roles=("admin",),
    query=Query,
    body=NewAgentSettings,
    answer=AgentSettings,
)
async def put_agent_settings(call: Call, query: Query, sent: NewAgentSettings) -> AgentSettings:
    """Set how the organisation wants its tickets developed; it holds from the next call on."""
    check_completion(sent.completion_url, call.settings)
    secret = sent.completion_secret
    sealed = surroundings_of(call).vault.seal(secret.get_secret_value()) if secret else None
    plain = sent.model_dump(exclude={"completion_secret"})
    bound = {**plain, "organization_id": call.member.organization_id, "completion_secret": sealed}
    async with call.engine.begin() as db:
        row = (await db.execute(PUT, bound)).mappings().one()
        if row["completion_url"] and not row["completion_secret"]:
            detail = "Say one: what is sent to completion_url is signed with it."
            raise invalid([{"field": "completion_secret", "detail": detail}])
        await audit(
            db,
            "put_agent_settings",
            user_id=call.member.user_id,
            organization_id=call.member.organization_id,
            detail=sent.model_dump_json(exclude={"completion_secret"})[:2000],
        )
    return told(row, call.settings)


async def kept(db: AsyncConnection, call: Call) -> RowMapping | None:
    """Return what the organisation set; None where it never did."""
    bound = {"organization_id": call.member.organization_id}
    return (await db.execute(FIND, bound)).mappings().first()


def check_completion(url: str | None, settings: Settings) -> None:
    """Raise `Problem` 422 for an address that must not be sent to: https, and not our network.

    Where this Veelocity is itself reached by loopback, as in development, loopback is fine.
    """
    if url is None:
        return
    try:
        checked_address(url, loopback=leads_here(settings.public_url))
    except Refused as refusal:
        raise invalid([{"field": "completion_url", "detail": str(refusal)}]) from refusal


def told(row: RowMapping | None, settings: Settings) -> AgentSettings:
    """Return settings without their secret, and what holds."""
    said: dict[str, Any] = (
        dict(row) if row else {"models": [], "setup_hosts": [], "similar_tickets": True}
    )
    limits = limits_of(said, settings)
    effective = Effective(
        **{name: float(usd) for name, usd in limits.items()},
        models=list(said["models"] or settings.allowed_models),
    )
    names = set(AgentSettings.model_fields) - {"effective", "completion_secret_is_set"}
    return AgentSettings(
        **{name: said.get(name) for name in names},
        completion_secret_is_set=bool(said.get("completion_secret")),
        effective=effective,
    )


def limits_of(said: dict[str, Any], settings: Settings) -> dict[str, Decimal]:
    """Return the three limits that hold, in USD."""
    defaults = {
        "ticket_budget_usd": settings.ticket_budget_usd,
        "repository_day_budget_usd": settings.repository_day_budget_usd,
        "organization_day_budget_usd": settings.organisation_day_budget_usd,
    }
    return {
        name: default if said.get(name) is None else said[name]
        for name, default in defaults.items()
    }


@endpoint("GET", "/agent/budgets", query=Query, answer=Budgets)
async def agent_budgets(call: Call, query: Query) -> Budgets:
    """Say what may be spent and what was: today, by repository, and by ticket."""
    day, owner = datetime.now(UTC).date(), call.member.organization_id
    bound = {"organization_id": owner, "day": day.isoformat(), "most": MOST_SHOWN}
    async with call.engine.connect() as db:
        limits = limits_of(dict(await kept(db, call) or {}), call.settings)
        whole = await db.execute(OF_ORGANIZATION, {"id": f"organization:{owner}:{day}"})
        repositories = (await db.execute(OF_REPOSITORIES, bound)).mappings().all()
        tickets = (await db.execute(OF_TICKETS, bound | {"day": ""})).mappings().all()
    ticket_usd, repository_usd, organization_usd = limits.values()
    return Budgets(
        day=day,
        organization=spending(
            whole.mappings().first() or {}, organization_usd, call.member.organization
        ),
        repositories=[spending(row, repository_usd) for row in repositories],
        tickets=[
            spending(row, ticket_usd if row["budget_usd"] is None else row["budget_usd"])
            for row in tickets
        ],
    )


def spending(row: Any, limit: Decimal, name: str = "") -> Spending:
    """Return one budget as it is told; nothing was spent of one that has no row."""
    spent, reserved = row.get("spent_usd", Decimal(0)), row.get("reserved_usd", Decimal(0))
    return Spending(
        name=row.get("name", name),
        spent_usd=spent,
        reserved_usd=reserved,
        limit_usd=limit,
        left_usd=max(Decimal(0), limit - spent - reserved),
    )


async def schema(request: Request) -> Response:
    """Show the JSON schema of `.github/veelocity.yml` to everybody, for editors to check with."""
    told = files("bot.agent").joinpath("configuration.schema.json").read_bytes()
    return Response(
        told, media_type="application/schema+json", headers={"cache-control": "max-age=3600"}
    )
