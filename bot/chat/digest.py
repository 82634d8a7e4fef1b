"""The digest: what a week, or a day, came to, for the channels that want to hear of it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import words
from bot.chat.alerts import say_in
from bot.chat.blocks import Block, bold, context, header, listed, said, section
from bot.chat.figures import five
from bot.chat.numbers import pull_request
from bot.chat.saying import Notice
from bot.chat.showing import line
from bot.surroundings import Surroundings
from models import chat_incidents, chat_pages, subscribing
from models.metrics.agent import Agent, agent
from models.metrics.core import Scope, Window, measured_in, scope_body
from models.subscribing import Place, Subscriber

NINE = time(9)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
MOST_PULL_REQUESTS, MOST_INCIDENTS = 5, 5
NO_INCIDENTS = "No incident began."
NO_PULL_REQUESTS = "No pull request is open."
NO_AGENT = "The agent ended no attempt."
END = "`/veelocity subscribe digest off` ends this."


class Due(NamedTuple):
    """The latest digest that is due: since when, and of which days."""

    at: datetime
    window: Window


def due(cadence: str, now: datetime, time_zone: str) -> Due:
    """Return the latest digest that is due: at 9:00 on the zone's own clock, of what is over.

    `weekly`: on Mondays, of the ISO week before; `daily`: of the day before.
    """
    today = now.astimezone(ZoneInfo(time_zone)).date()
    step = WEEK if cadence == "weekly" else DAY
    first = today - timedelta(days=today.weekday()) if cadence == "weekly" else today
    if nine(first, time_zone) > now:
        first -= step
    return Due(nine(first, time_zone), Window(first - step, first - DAY, time_zone))


def nine(day: date, time_zone: str) -> datetime:
    """Return 9:00 of a day on a zone's own clock."""
    return datetime.combine(day, NINE, ZoneInfo(time_zone)).astimezone(UTC)


async def taken(db: AsyncConnection, now: datetime) -> list[tuple[Subscriber, str]]:
    """Take every digest that is due and that nobody took; return each with its first day.

    After a time without a worker only the latest is due. Nothing from before a subscription is.
    """
    told = []
    for each in await subscribing.subscribers(db, "digest"):
        time_zone, _ = await measured_in(db, each.organization_id)
        latest = due(each.cadence, now, time_zone)
        period = latest.window.start_date.isoformat()
        old = each.created_at >= latest.at or (each.last_period or "") >= period
        if not old and await subscribing.take_period(db, each.id, period):
            told.append((each, period))
    return told


async def send(
    surroundings: Surroundings,
    organization_id: str,
    subscription_id: int,
    period: str,
    now: datetime,
) -> None:
    """Say a digest in its channel, once; nothing where the channel wants none any more."""
    async with surroundings.engine.connect() as db:
        wanted = await subscribing.subscriber(db, organization_id, subscription_id)
        if wanted is None:
            return
        time_zone, _ = await measured_in(db, organization_id)
        first = date.fromisoformat(period)
        days = WEEK if wanted.cadence == "weekly" else DAY
        window = Window(first, first + days - DAY, time_zone)
        blocks, text = await digest(db, organization_id, window, now, surroundings)
    about = f"digest:{wanted.cadence}:{period}"
    place = Place(organization_id, wanted.channel_key)
    await say_in(surroundings, Notice(about, place, blocks, text))


async def digest(
    db: AsyncConnection,
    organization_id: str,
    window: Window,
    now: datetime,
    surroundings: Surroundings,
) -> tuple[list[Block], str]:
    """Return the digest of a window: metrics, pull requests, incidents, the agent."""
    url, scope = surroundings.settings.public_url, Scope(organization_id)
    name = (await scope_body(db, scope))["organization"] or "the organisation"
    title = f"Delivery of {name}, {days_of(window)}"
    chosen = {"start": window.start_date, "end": window.end_date, "organization": organization_id}
    lines = await five(db, scope, window, now, f"{url}/delivery?{urlencode(chosen)}")
    blocks = [
        header(title),
        section(*lines),
        *await of_pull_requests(db, organization_id, now),
        *await of_incidents(db, organization_id, window, now, url),
        section(bold("Agent"), of_agent(await agent(db, scope, window))),
        context(END),
    ]
    return blocks, said(title)


def days_of(window: Window) -> str:
    """Say a window in days."""
    last = f"{words.day(window.end_date)} {window.end_date.year}"
    return last if window.days == 1 else f"{words.day(window.start_date)} to {last}"


async def of_pull_requests(
    db: AsyncConnection, organization_id: str, now: datetime
) -> Sequence[Block]:
    """Say which pull requests have been open longest."""
    found = await chat_pages.oldest_open(db, organization_id, MOST_PULL_REQUESTS)
    if not found:
        return [section(bold("Open pull requests"), NO_PULL_REQUESTS)]
    lines = [bold("Open longest"), *(pull_request(row, now) for row in found)]
    return listed(lines, len(lines), all_of=found[0]["waiting"] + 1)


async def of_incidents(
    db: AsyncConnection, organization_id: str, window: Window, now: datetime, url: str
) -> Sequence[Block]:
    """Say which incidents began, the most severe first, with what each blames."""
    bounds = (window.start, window.end)
    found = await chat_incidents.started_within(db, organization_id, *bounds)
    if not found:
        return [section(bold("Incidents"), NO_INCIDENTS)]
    lines = [f"{bold('Incidents')}: {began(found)}"]
    lines += [line(row, url, now) for row in found[:MOST_INCIDENTS]]
    return listed(lines, len(lines), all_of=len(found) + 1)


def began(found: Sequence[RowMapping]) -> str:
    """Say how many incidents began, and how many of them go on."""
    going = sum(row["resolved_at"] is None for row in found)
    return f"{len(found)} began" + (f", {going} still open" if going else "")


def of_agent(told: Agent) -> str:
    """Say what the agent did, and what it cost."""
    if not told["runs"] and not told["cost"]["total_usd"]:
        return NO_AGENT
    merged = words.count(told["merged"], "pull request")
    cost = words.usd(told["cost"]["total_usd"])
    return f"{words.count(told['runs'], 'attempt')} ended, {merged} merged, {cost} spent."
