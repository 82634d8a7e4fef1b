"""Says a thing in a channel once, and then keeps what was said true: `notices` remember it."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import structlog
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.chat.blocks import Block
from bot.clients.slack import Slack, SlackError
from models import subscribing
from models.subscribing import Place

log = structlog.get_logger()

GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""Why a message of ours cannot be changed any more; then it stays as it is."""


class Busy(Exception):  # noqa: N818 - it is a wish, not a bug
    """Somebody else is saying the very thing just now: try again in a moment."""


@dataclass(frozen=True)
class Notice:
    """What is to be said of a thing. `about` names it: `incident:<id>`, `digest:<day>:<kind>`.

    `thread_ts`: in the thread of which message.
    """

    about: str
    place: Place
    blocks: Sequence[Block]
    text: str
    thread_ts: str | None = None

    @property
    def id(self) -> str:
        """Its key in `notices`."""
        return f"{self.about}:{self.place.channel_key}"

    @property
    def digest(self) -> str:
        """A hash of what it says."""
        return sha256(to_json([self.blocks, self.text])).hexdigest()


async def tell(engine: AsyncEngine, slack: Slack, notice: Notice) -> None:
    """Say something, or put it in the place of what was said of the same thing before.

    Raises `Busy`, and `SlackError` where Slack does not take it: then it may be tried again.
    """
    async with engine.begin() as held:
        if not await subscribing.alone(held, notice.id):
            raise Busy
        known = await subscribing.notice(held, notice.id)
        if known is not None and known["message_ts"] is not None:
            if known["digest"] != notice.digest:
                await tell_again(engine, slack, notice, known["message_ts"])
        elif await claimed(engine, notice, new=known is None):
            await tell_first(engine, slack, notice)


async def claimed(engine: AsyncEngine, notice: Notice, *, new: bool) -> bool:
    """Take a notice on oneself, for all to see before it is said; tell whether it is ours."""
    async with engine.begin() as db:
        if new:
            return await subscribing.claim_notice(db, notice.id, notice.place, notice.digest)
        return await subscribing.take_over(db, notice.id, notice.digest)


async def tell_first(engine: AsyncEngine, slack: Slack, notice: Notice) -> None:
    """Post a message, and keep Slack's id of it."""
    try:
        ts = await slack.post(
            notice.place.channel_id, notice.blocks, notice.text, thread_ts=notice.thread_ts
        )
    except SlackError:
        async with engine.begin() as db:
            await subscribing.release_notice(db, notice.id)
        raise
    async with engine.begin() as db:
        await subscribing.notice_sent(db, notice.id, ts, notice.digest)


async def tell_again(engine: AsyncEngine, slack: Slack, notice: Notice, ts: str) -> None:
    """Put other words in the place of what was said; what somebody deleted stays deleted."""
    try:
        await slack.update(notice.place.channel_id, ts, notice.blocks, notice.text)
    except SlackError as error:
        if error.code not in GONE:
            raise
        log.info("slack_message_gone", notice=notice.id, says=str(error))
    async with engine.begin() as db:
        await subscribing.notice_sent(db, notice.id, ts, notice.digest)
