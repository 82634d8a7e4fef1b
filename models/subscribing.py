"""What channels of Slack want to hear, and which of it was said to them already."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

KINDS = ("digest", "alerts")

PUT = text("""
    insert into subscriptions (organization_id, channel_key, kind, cadence, by)
    values (:organization, :channel, :kind, :cadence, :by)
        on conflict (organization_id, channel_key, kind)
        do update set cadence = excluded.cadence, by = excluded.by
""")
END = text("""
    delete from subscriptions
     where organization_id = :organization and channel_key = :channel and kind = :kind
    returning id
""")
OF_KIND = text("""
    select id, organization_id, channel_key, kind, cadence, last_period, created_at
      from subscriptions
     where kind = :kind and (cast(:organization as text) is null or organization_id = :organization)
     order by id
""")
ONE = text("""
    select id, organization_id, channel_key, kind, cadence, last_period, created_at
      from subscriptions where id = :id and organization_id = :organization
""")
TAKE = text("""
    update subscriptions set last_period = :period
     where id = :id and (last_period is null or last_period < :period)
    returning id
""")
CLAIM = text("""
    insert into notices (id, organization_id, channel_key, digest)
    values (:id, :organization, :channel, :digest)
        on conflict (id) do nothing returning id
""")
TAKE_OVER = text("""
    update notices set digest = :digest, sent_at = now()
     where id = :id and message_ts is null and digest <> :digest
       and sent_at < now() - interval '2 minutes'
    returning id
""")
ALONE = text("select pg_try_advisory_xact_lock(hashtextextended('notice:' || :id, 0))")
SENT = text("update notices set message_ts = :ts, digest = :digest, sent_at = now() where id = :id")
RELEASE = text("delete from notices where id = :id and message_ts is null")
NOTICE = text("select id, channel_key, message_ts, digest, sent_at from notices where id = :id")
NOTICES = text("""
    select id, channel_key, message_ts, digest, sent_at from notices
     where organization_id = :organization and id = :about || ':' || channel_key order by id
""")
TO_TELL = text("""
    with listening as (
        select from subscriptions
         where organization_id = :organization and kind = 'alerts' limit 1),
    failed as (
        select 'failure:' || d.id as about, d.finished_at from service_deployments d
         where d.repository_id = :repository and d.state = 'failure'
           and d.environment_class = 'production' and d.finished_at >= :since
           and exists (select from listening)),
    told as (
        select distinct left(id, length(id) - length(channel_key) - 1) as about from notices
         where organization_id = :organization and sent_at >= :since and id not like 'digest:%')
    select about from failed where finished_at >= :recent or about in (select about from told)
    union
    select about from told where about like 'incident:%'
    order by about
""")
FORGET = text("delete from notices where sent_at < now() - interval '90 days'")


class Subscriber(NamedTuple):
    """One subscription of a channel. `last_period`: the first day the last digest was about."""

    id: int
    organization_id: str
    channel_key: str
    kind: str
    cadence: str
    last_period: str | None
    created_at: datetime


class Place(NamedTuple):
    """Where something is said: a channel (`slack:<team>:<channel>`) of an organisation."""

    organization_id: str
    channel_key: str

    @property
    def channel_id(self) -> str:
        """Slack's own id of the channel."""
        return self.channel_key.rpartition(":")[2]


async def subscribe(
    db: AsyncConnection, place: Place, kind: str, by: str, cadence: str = "weekly"
) -> None:
    """Have a channel hear of something; once more changes how often, and not what was said."""
    bound = {"organization": place.organization_id, "channel": place.channel_key}
    await db.execute(PUT, {**bound, "kind": kind, "cadence": cadence, "by": by})


async def unsubscribe(db: AsyncConnection, place: Place, kind: str) -> bool:
    """Have a channel hear of something no more; tell whether it did."""
    bound = {"organization": place.organization_id, "channel": place.channel_key, "kind": kind}
    return (await db.execute(END, bound)).first() is not None


async def subscribers(
    db: AsyncConnection, kind: str, organization_id: str | None = None
) -> list[Subscriber]:
    """Return who wants to hear of something, in one organisation or in all."""
    found = await db.execute(OF_KIND, {"kind": kind, "organization": organization_id})
    return [Subscriber(*row) for row in found]


async def subscriber(
    db: AsyncConnection, organization_id: str, subscription_id: int
) -> Subscriber | None:
    """Return a subscription; None where it has ended, or is another organisation's."""
    found = await db.execute(ONE, {"id": subscription_id, "organization": organization_id})
    row = found.first()
    return Subscriber(*row) if row else None


async def take_period(db: AsyncConnection, subscription_id: int, period: str) -> bool:
    """Take a period for oneself to send; False where somebody has, or a later one was sent."""
    bound = {"id": subscription_id, "period": period}
    return (await db.execute(TAKE, bound)).first() is not None


async def claim_notice(db: AsyncConnection, notice_id: str, place: Place, digest: str) -> bool:
    """Take it on oneself to say something; False where somebody has."""
    bound = {"id": notice_id, "digest": digest}
    bound |= {"organization": place.organization_id, "channel": place.channel_key}
    return (await db.execute(CLAIM, bound)).first() is not None


async def take_over(db: AsyncConnection, notice_id: str, digest: str) -> bool:
    """Take a notice over that somebody was cut off at, where there is something new to say.

    Whether Slack took what was being said is not known; the same is never said twice.
    """
    return (await db.execute(TAKE_OVER, {"id": notice_id, "digest": digest})).first() is not None


async def alone(db: AsyncConnection, notice_id: str) -> bool:
    """Have a notice for oneself until the transaction ends; False where somebody else has it."""
    return bool(await db.scalar(ALONE, {"id": notice_id}))


async def notice_sent(db: AsyncConnection, notice_id: str, ts: str, digest: str) -> None:
    """Keep Slack's id of what was said, and the digest of what it says now."""
    await db.execute(SENT, {"id": notice_id, "ts": ts, "digest": digest})


async def release_notice(db: AsyncConnection, notice_id: str) -> None:
    """Let something be said later: Slack did not take it."""
    await db.execute(RELEASE, {"id": notice_id})


async def notice(db: AsyncConnection, notice_id: str) -> RowMapping | None:
    """Return what was said; None where nothing was."""
    return (await db.execute(NOTICE, {"id": notice_id})).mappings().first()


async def notices(db: AsyncConnection, organization_id: str, about: str) -> list[RowMapping]:
    """Return what was said of one thing (`incident:api:7`), in every channel."""
    bound = {"organization": organization_id, "about": about}
    return list((await db.execute(NOTICES, bound)).mappings())


async def to_tell(
    db: AsyncConnection, place: tuple[str, str], since: datetime, recent: datetime
) -> list[str]:
    """Return what alerts may have to say of anew: `failure:<attempt>`, `incident:<id>`.

    That is what failed lately in a repository (`place`: its organisation and id), and what was said
    since then of the organisation's incidents, since a deployment may be what one of them blames.
    """
    organization_id, repository_id = place
    bound = {"organization": organization_id, "repository": repository_id}
    found = await db.execute(TO_TELL, {**bound, "since": since, "recent": recent})
    return [row.about for row in found]


async def forget_notices(db: AsyncConnection) -> None:
    """Forget what was said three months ago; nobody updates it any more."""
    await db.execute(FORGET)
