"""`send_digest`: what a week or a day came to; the worker's sweeper queues those that are due."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.chat import digest
from bot.jobs import Surroundings, job
from bot.jobs.alerts import patience
from handlers.events import Job
from models.queue import ClaimedJob, queue


async def queue_digests(db: AsyncConnection, now: datetime) -> int:
    """Queue every digest that is due and was not yet; count them.

    A digest is taken and queued in one transaction, so that two workers queue it once.
    """
    taken = await digest.taken(db, now)
    for each, period in taken:
        key = f"send_digest:{each.id}:{period}"
        told = {"subscription": each.id, "period": period}
        await queue(db, [Job("send_digest", key=key, arguments=told)], each.organization_id)
    return len(taken)


@job
async def send_digest(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Say a digest in the channel that wants it."""
    told = claimed.arguments
    which = (int(told["subscription"]), str(told["period"]))
    with patience():
        await digest.send(surroundings, str(claimed.organization_id), *which, datetime.now(UTC))
