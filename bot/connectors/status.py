"""How a source stands, from what is kept of it: the part of `sync_status` that all share."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.connectors.protocol import ABSENT, CONNECTED, FAILED, LACKING, RUNNING, SyncStatus
from handlers.schedules import CHANGES, FULL, next_due
from models.schedules import zone_of
from models.sync_states import Inbox, PartState, accounts_of, inbox_of, parts_of


async def sync_status(
    db: AsyncConnection, organization_id: str, name: str, missing: Sequence[str] = ()
) -> SyncStatus:
    """Say how reading a source stands; `missing`: what its connector knows to be left to do."""
    accounts = await accounts_of(db, organization_id, name)
    inbox = await inbox_of(db, organization_id, name)
    parts = await parts_of(db, organization_id, name)
    zone, now = await zone_of(db, organization_id), datetime.now(UTC)
    missing = [*missing, *stuck(inbox)] if accounts else []
    return SyncStatus(
        source=name,
        state=state_of(accounts, parts, missing),
        accounts=accounts,
        inbox=inbox,
        parts=parts,
        next_run_at=next_due(CHANGES, now, zone, organization_id) if accounts else None,
        next_full_at=next_due(FULL, now, zone, organization_id) if accounts else None,
        missing=missing,
    )


def state_of(accounts: Sequence[str], parts: Sequence[PartState], missing: Sequence[str]) -> str:
    """Say in a word how a source stands."""
    states = {part.state for part in parts}
    if not accounts:
        return ABSENT
    if RUNNING in states:
        return RUNNING
    if FAILED in states:
        return FAILED
    return LACKING if missing else CONNECTED


def stuck(inbox: Inbox) -> list[str]:
    """Say that deliveries are stuck, where some are."""
    if not inbox.failed + inbox.parked:
        return []
    return [f"{inbox.failed + inbox.parked} deliveries could not be settled: see Deliveries."]
