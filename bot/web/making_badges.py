"""Makes and withdraws badges for the page and the API alike, and writes down who did."""

import secrets

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.settings import Settings
from bot.web.accounts import audit
from bot.web.auth import Member
from models.badges import Shown, make_badge, withdraw_badge
from models.users import token_hash

TOKEN_BYTES = 24


async def make(db: AsyncConnection, member: Member, what: Shown) -> str:
    """Make a badge of the member's organisation; return its token, of which only a hash is kept.

    Refused for another metric, and where there are too many.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    await make_badge(db, token_hash(token), what, member.user_id)
    detail = f"{what.metric} of {what.repository_id or 'the organisation'}"
    await noted(db, member, "make_badge", detail)
    return token


async def withdraw(db: AsyncConnection, member: Member, badge_id: str) -> bool:
    """Take a badge of the member's organisation back; say whether there was one."""
    metric = await withdraw_badge(db, member.organization_id, badge_id)
    if metric is not None:
        await noted(db, member, "withdraw_badge", f"{metric} ({badge_id[:12]})")
    return metric is not None


async def noted(db: AsyncConnection, member: Member, action: str, detail: str) -> None:
    """Write down who did what."""
    whose = {"user_id": member.user_id, "organization_id": member.organization_id}
    await audit(db, action, detail=detail, **whose)


def address(settings: Settings, token: str) -> str:
    """Return the address that a badge is shown at."""
    return f"{settings.public_url}/badges/{token}.svg"
