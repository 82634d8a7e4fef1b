"""An organisation's prompt templates over the API: their versions, and how each has done."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.agent.prompts import checked
from bot.web.accounts import audit
from bot.web.api.asking import missing
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint, invalid
from bot.web.api.listing import Limit, Listed
from bot.web.api.typed import combined
from models.errors import Refused
from models.metrics.agent import PromptReport, prompt_reports

LARGEST_VERSION = 2**31 - 1
Template = Annotated[
    str, StringConstraints(pattern=r"^[^\x00]*\S[^\x00]*$", max_length=60_000, min_length=1)
]


class Prompt(BaseModel):
    """A version of the organisation's prompt template. `in_use`: new runs are told this one.

    Without one in use, runs are told the template that Veelocity brings; a repository's own file
    wins over both. `created_by` is an e-mail address, None where the account is gone.
    """

    version: int
    body: str
    note: str | None
    retired: bool
    in_use: bool
    created_by: str | None
    created_at: datetime


class Prompts(Listed):
    """A page of versions, newest first."""

    items: list[Prompt]


class PromptListing(Query):
    """A page of versions: those before `cursor`, the `next_cursor` of the page before."""

    cursor: Annotated[Words, Field(pattern=r"^[0-9]{1,9}$")] | None = None
    limit: Limit = 50


class NewPrompt(Strict):
    """A template, in Markdown; `note` says what is different in it."""

    body: Template
    note: Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=500)] | None = None


PromptReports = combined(
    "PromptReports",
    "How each template has done, over all its runs, the latest used first.",
    items=list[PromptReport],
)
VERSIONS = """
    select p.version, p.body, p.note, p.retired, u.email as created_by, p.created_at,
           not p.retired and p.version = (select max(version) from prompts
                                           where organization_id = p.organization_id) as in_use
      from prompts p left join users u on u.id = p.created_by
     where p.organization_id = :organization_id and {where}
     order by p.version desc limit :limit
"""
PAGE = text(VERSIONS.format(where="p.version < :before"))
ONE = text(VERSIONS.format(where="p.version = :version"))
SERIALISED = text("select pg_advisory_xact_lock(hashtextextended('prompts:' || :id, 0))")
PUT = text("""
    insert into prompts (organization_id, version, body, note, created_by)
    select :organization_id, coalesce(max(version), 0) + 1, :body, :note, :created_by
      from prompts where organization_id = :organization_id
    returning version
""")
RETIRE = text("""
    update prompts set retired = true
     where organization_id = :organization_id and version = :version
""")


@endpoint("GET", "/agent/prompts", query=PromptListing, answer=Prompts)
async def prompts(call: Call, query: PromptListing) -> Prompts:
    """List the versions of the organisation's prompt template, newest first."""
    bound = {
        "organization_id": call.member.organization_id,
        "before": int(query.cursor or LARGEST_VERSION),
        "limit": query.limit + 1,
    }
    async with call.engine.connect() as db:
        rows = (await db.execute(PAGE, bound)).mappings().all()
    items = [Prompt(**row) for row in rows[: query.limit]]
    more = len(rows) > query.limit
    return Prompts(items=items, next_cursor=str(items[-1].version) if more else None)


@endpoint("POST", "/agent/prompts", roles=("admin",), query=Query, body=NewPrompt, answer=Prompt)
async def make_prompt(call: Call, query: Query, sent: NewPrompt) -> Prompt:
    """Keep a new version of the prompt template; runs that are queued from now on are told it."""
    usable(sent.body)
    member = call.member
    bound = {"organization_id": member.organization_id, "created_by": member.user_id}
    async with call.engine.begin() as db:
        await db.execute(SERIALISED, {"id": member.organization_id})
        version = (await db.execute(PUT, {**bound, **sent.model_dump()})).scalar_one()
        await noted(db, call, "make_prompt", version)
        return await one(db, call, version)


@endpoint("POST", "/agent/prompts/{version}/retire", roles=("admin",), query=Query, answer=Prompt)
async def retire_prompt(call: Call, query: Query) -> Prompt:
    """Retire a version: it is kept for the runs that used it, and no other is told it.

    Without the newest one, runs are told the template that Veelocity brings.
    """
    version = version_named(call.path["version"])
    async with call.engine.begin() as db:
        bound = {"organization_id": call.member.organization_id, "version": version}
        await db.execute(RETIRE, bound)
        await noted(db, call, "retire_prompt", version)
        return await one(db, call, version)


@endpoint("GET", "/agent/prompts/report", query=Query, answer=PromptReports)
async def prompt_report(call: Call, query: Query) -> Any:
    """Say how each prompt template has done: runs, pull requests merged, cost."""
    async with call.engine.connect() as db:
        return {"items": await prompt_reports(db, call.member.organization_id)}


def usable(body: str) -> None:
    """Raise `Problem` 422 for a template that no run could be told."""
    try:
        checked(body)
    except Refused as refusal:
        raise invalid([{"field": "body", "detail": str(refusal)}]) from refusal


def version_named(value: str) -> int:
    """Read a version's number; raise `Problem` 404 for what cannot be one."""
    if not (value.isascii() and value.isdigit()) or len(value) > len(str(LARGEST_VERSION)) - 1:
        raise missing("version")
    return int(value)


async def one(db: AsyncConnection, call: Call, version: int) -> Prompt:
    """Return a version; raise `Problem` 404 where the organisation has no such one."""
    bound = {"organization_id": call.member.organization_id, "version": version, "limit": 1}
    row = (await db.execute(ONE, bound)).mappings().first()
    if row is None:
        raise missing("version")
    return Prompt(**row)


async def noted(db: AsyncConnection, call: Call, action: str, version: int) -> None:
    """Write down who did what to a version."""
    await audit(
        db,
        action,
        user_id=call.member.user_id,
        organization_id=call.member.organization_id,
        detail=f"version {version}",
    )
