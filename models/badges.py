"""Badges: one figure of an organisation as a public picture, until somebody takes it back."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from models.columns import maybe_text, maybe_time, now, text
from models.errors import Refused

METRICS = (
    "deployment_frequency",
    "change_lead_time",
    "change_failure_rate",
    "failed_deployment_recovery_time",
    "rework_rate",
)
MOST = 100


class Badge(SQLModel, table=True):
    """What a badge shows to anybody who knows its address, of which only the SHA-256 is kept.

    `metric` is one of the five; `repository_id` None: of the whole organisation.
    """

    __tablename__ = "badges"

    token_hash: str = text(primary_key=True)
    organization_id: str = text(index=True)
    repository_id: str | None = maybe_text()
    metric: str = text()
    by: str = text()
    made_at: datetime | None = now()
    withdrawn_at: datetime | None = maybe_time()


@dataclass(frozen=True)
class Shown:
    """What a badge shows, and of whom. `repository_id` None: of the whole organisation."""

    organization_id: str
    repository_id: str | None
    metric: str


@dataclass(frozen=True)
class Made:
    """A badge that was made: `id` is the hash of its token, `by` who made it, by e-mail."""

    id: str
    metric: str
    repository_id: str | None
    repository: str | None
    by: str | None
    made_at: datetime


# A repository that left the organisation, or is gone, is nobody's to show.
STANDING = """
    withdrawn_at is null and (b.repository_id is null or exists (
        select from repositories r
         where r.id = b.repository_id and r.organization_id = b.organization_id
           and r.deleted_at is null))
"""
SHOWN = sql(f"""
    select organization_id, repository_id, metric from badges b
     where token_hash = :token_hash and {STANDING}
""")  # noqa: S608 - of constants only
MADE = sql(f"""
    select b.token_hash as id, b.metric, b.repository_id, r.full_name as repository,
           u.email as by, b.made_at
      from badges b left join repositories r on r.id = b.repository_id
      left join users u on u.id = b.by
     where b.organization_id = :organization_id and {STANDING}
     order by b.made_at desc, b.token_hash
""")  # noqa: S608
STAND = sql("""
    select count(*) from badges where organization_id = :organization_id and withdrawn_at is null
""")
LOCK = sql("select pg_advisory_xact_lock(hashtextextended('badges:' || :organization_id, 0))")
MAKE = sql("""
    insert into badges (token_hash, organization_id, repository_id, metric, by)
    values (:token_hash, :organization_id, :repository_id, :metric, :by)
""")
WITHDRAW = sql("""
    update badges set withdrawn_at = now()
     where token_hash = :id and organization_id = :organization_id and withdrawn_at is null
    returning metric
""")


async def shown_by(db: AsyncConnection, token_hash: str) -> Shown | None:
    """Return what the badge of a token's hash shows; None where there is none, or none any more."""
    row = (await db.execute(SHOWN, {"token_hash": token_hash})).first()
    return Shown(*row) if row else None


async def badges_of(db: AsyncConnection, organization_id: str) -> list[Made]:
    """List an organisation's badges that were not withdrawn, newest first."""
    rows = await db.execute(MADE, {"organization_id": organization_id})
    return [Made(*row) for row in rows]


async def make_badge(db: AsyncConnection, token_hash: str, what: Shown, by: str) -> None:
    """Make a badge. Refused for another metric, and beyond a hundred of an organisation."""
    if what.metric not in METRICS:
        raise Refused(f"A badge shows one of {', '.join(METRICS)}, not {what.metric[:60]!r}.")
    bound = {"organization_id": what.organization_id}
    await db.execute(LOCK, bound)
    if (await db.scalar(STAND, bound) or 0) >= MOST:
        raise Refused(f"An organisation has {MOST} badges at most: withdraw one first.")
    await db.execute(MAKE, {**vars(what), "token_hash": token_hash, "by": by})


async def withdraw_badge(db: AsyncConnection, organization_id: str, badge_id: str) -> str | None:
    """Take a badge back for ever; return its metric, None where the organisation has none such."""
    bound = {"id": badge_id, "organization_id": organization_id}
    found: str | None = await db.scalar(WITHDRAW, bound)
    return found
