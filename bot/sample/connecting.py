"""Ties the sample's Slack and Linear to its organisation, as its admin would on the Settings."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.sample import planning, talk
from bot.sample.repositories import PLANS
from models.organizations import Connection
from models.queue import find_homes
from models.store import remember

SLACK, LINEAR = f"slack:team:{talk.TEAM}", f"linear:organization:{planning.WORKSPACE}"

FOUND = text("select id from organizations where lower(login) = lower(:login)")
MAP = text("""
    insert into incident_channels (organization_id, channel, environment, repository_id)
    values (:organization, :channel, 'production', :repository) on conflict do nothing
""")


async def connect_sample(db: AsyncConnection, login: str) -> bool:
    """Connect its Slack and its Linear; False while the organisation is not known yet."""
    organization_id = (await db.execute(FOUND, {"login": login})).scalar()
    if organization_id is None:
        return False
    await remember(db, [connection(SLACK, organization_id), connection(LINEAR, organization_id)])
    billing = next(plan for plan in PLANS if plan.name == "billing")
    bound = {"organization": organization_id, "repository": f"github:{billing.id}"}
    await db.execute(MAP, {**bound, "channel": talk.CHANNELS[talk.BILLING_ALERTS]})
    await find_homes(db)
    return True


def connection(key: str, organization_id: str) -> Connection:
    """Return the row of a connection that has no token: it listens only."""
    source, _, external_id = key.split(":")
    return Connection(
        id=key,
        organization_id=organization_id,
        source=source,
        external_id=external_id,
        account_login="Acme",
        state="active",
    )
