"""Alerts: incidents and failed deployments, said once in each channel that wants to hear of them.

Nothing that is over an hour old is announced, so that a replay of history is silent. What was said
is kept true afterwards, in place. Of an incident that a message in the very channel opened, the
alert goes into that message's thread.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import RowMapping

from bot import words
from bot.chat.blocks import Block, actions, context, link, page_button, said, section
from bot.chat.saying import Notice, tell
from bot.chat.showing import incident_message
from bot.clients.slack import RateLimited, SlackError, slack_for
from bot.surroundings import Surroundings
from handlers.incidents import incident_key
from models import chat_incidents, chat_pages, subscribing
from models.errors import Refused
from models.subscribing import Place

RECENT = timedelta(hours=1)
NO_INCIDENT = "{key} is no incident after all."
FAILED = "💥 Deployment failed: {what} ({where})"
MENDED = "It was deployed well {after} later."

Message = tuple[Sequence[Block], str]


async def announce_incident(
    surroundings: Surroundings, organization_id: str, incident_id: str, now: datetime
) -> None:
    """Say that an incident opened, changed or is over, where that is new or was said before."""
    about = f"incident:{incident_id}"
    async with surroundings.engine.connect() as db:
        row = await chat_incidents.incident(db, organization_id, incident_id)
        if row is None or row["dismissed"]:
            fresh, message = False, none_after_all(incident_id)
        else:
            fresh = is_recent(row["resolved_at"] or row["started_at"], now)
            url = surroundings.settings.public_url
            message = await incident_message(db, row, url, now)
    await announce(surroundings, organization_id, about, message, fresh=fresh)


def is_recent(at: datetime, now: datetime) -> bool:
    """Tell whether something is new enough to be announced; what lies ahead of us is not."""
    return now - RECENT <= at <= now + RECENT


def none_after_all(incident_id: str) -> Message:
    """Return what is said of an incident that its source, or a person, says is none."""
    told = NO_INCIDENT.format(key=incident_key(incident_id))
    return [section(told)], told


async def announce_failure(
    surroundings: Surroundings, organization_id: str, attempt_id: str, now: datetime
) -> None:
    """Say that an attempt at production failed, and later that its service was deployed well."""
    async with surroundings.engine.connect() as db:
        row = await chat_pages.failure(db, organization_id, attempt_id)
    if row is None:
        return
    fresh = is_recent(row["finished_at"], now)
    url = surroundings.settings.public_url
    about = f"failure:{attempt_id}"
    await announce(surroundings, organization_id, about, failure_message(row, url), fresh=fresh)


def failure_message(row: RowMapping, url: str) -> Message:
    """Return what is said of an attempt that failed."""
    name = f"{row['repository']} {row['sha'][:7]}"
    where = said(" ".join(dict.fromkeys((row["service"], row["environment"]))))
    told = FAILED.format(what=link(row["url"], name), where=where)
    mended = ""
    if row["mended_at"]:
        after = words.duration((row["mended_at"] - row["finished_at"]).total_seconds())
        mended = MENDED.format(after=after)
    parts = [words.clock(row["finished_at"]), said(row["ref"])]
    small = context(" · ".join(part for part in parts if part))
    opened = actions(page_button("Open page", f"{url}/delivery"))
    return [section(told, mended), small, opened], FAILED.format(what=said(name), where=where)


async def announce(
    surroundings: Surroundings, organization_id: str, about: str, message: Message, *, fresh: bool
) -> None:
    """Say something in every channel that wants to hear of it, or heard of it before.

    One channel that does not take it keeps no other from hearing. Raises `Busy`, `SlackError`.
    """
    engine = surroundings.engine
    async with engine.connect() as db:
        notices = await subscribing.notices(db, organization_id, about)
        wanted = await subscribing.subscribers(db, "alerts", organization_id) if fresh else []
    known = {row["channel_key"] for row in notices}
    channels = sorted(known | {each.channel_key for each in wanted})
    failed: list[SlackError] = []
    for channel in channels:
        place = Place(organization_id, channel)
        try:
            await say_in(surroundings, Notice(about, place, *message, thread_of(about, place)))
        except RateLimited:
            raise
        except SlackError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def thread_of(about: str, place: Place) -> str | None:
    """Return the thread that an alert goes into: that of the message in the channel itself."""
    start = f"incident:{place.channel_key}:"
    return about.removeprefix(start) if about.startswith(start) else None


async def say_in(surroundings: Surroundings, notice: Notice) -> None:
    """Say something in a channel; raise `Refused` where its workspace is connected no more."""
    held = (surroundings.engine, surroundings.settings, surroundings.vault)
    team = notice.place.channel_key.split(":")[1]
    async with slack_for(*held, notice.place.organization_id, team) as slack:
        if slack is None:
            raise Refused("The workspace of a channel that wants to hear of this is not connected.")
        await tell(surroundings.engine, slack, notice)
