"""`announce_incident`, `announce_failure`: what channels of Slack are told as it happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.chat import alerts
from bot.chat.alerts import RECENT
from bot.chat.saying import Busy
from bot.clients.slack import RateLimited
from bot.jobs import PutOff, Surroundings, job
from handlers.events import Job
from models.queue import ClaimedJob, queue
from models.subscribing import to_tell

BUSY_SECONDS = 3
KEPT_TRUE = timedelta(days=1)
"""How long what was said follows later deployments."""

ORDERS = {
    "incident": ("announce_incident", "incident"),
    "failure": ("announce_failure", "attempt"),
}


@job
async def announce_incident(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Say in channels that want alerts that an incident opened, changed or is over."""
    told = (str(claimed.organization_id), str(claimed.arguments["incident"]))
    with patience():
        await alerts.announce_incident(surroundings, *told, datetime.now(UTC))


@job
async def announce_failure(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Say in channels that want alerts that an attempt at production failed."""
    told = (str(claimed.organization_id), str(claimed.arguments["attempt"]))
    with patience():
        await alerts.announce_failure(surroundings, *told, datetime.now(UTC))


async def queue_alerts(
    db: AsyncConnection, organization_id: str, repository_id: str, now: datetime
) -> None:
    """Queue what a repository's deployments may mean for alerts; nothing where nobody listens."""
    place = (organization_id, repository_id)
    orders = []
    for about in await to_tell(db, place, now - KEPT_TRUE, now - RECENT):
        kind, _, thing = about.partition(":")
        name, argument = ORDERS[kind]
        orders.append(Job(name, key=f"{name}:{thing}", arguments={argument: thing}))
    await queue(db, orders, organization_id)


@contextmanager
def patience() -> Iterator[None]:
    """Put a job off where Slack limits us, or where another worker says the same thing now."""
    try:
        yield
    except RateLimited as limited:
        raise PutOff(limited.until, str(limited)) from None
    except Busy:
        until = datetime.now(UTC) + timedelta(seconds=BUSY_SECONDS)
        raise PutOff(until, "another worker says it just now") from None
