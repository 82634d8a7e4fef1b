"""How an incident looks in Slack: its state, what it blames and why, and what can be done."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot import words
from bot.chat.blocks import (
    Block,
    actions,
    bold,
    button,
    context,
    link,
    menu,
    page_button,
    said,
    section,
)
from models import chat_incidents, chat_pages

RESOLVE, LINK = "incident_resolve", "incident_link"
BETWEEN = " "
MOST_DEPLOYMENTS = 10
SIGNS = {"resolved": "✅"}
OPEN_SIGN = "🚨"
SUSPECT = "Suspected deployment: {what} · {reason}"
NO_SUSPECT = "No deployment is suspected."

Row = Mapping[Any, Any]


def page_of(url: str, row: Row) -> str:
    """Return the address of an incident's page."""
    return f"{url}/incidents/{row['key']}"


def line(row: Row, url: str, now: datetime) -> str:
    """Say an incident in a line."""
    sign = SIGNS.get("resolved" if row["resolved_at"] else "", OPEN_SIGN)
    parts = [f"{sign} {link(page_of(url, row), row['key'])} {bold(row['title'], 150)}"]
    parts += [said(row["severity"])] if row["severity"] else []
    parts += [said(row["repository"])] if row["repository"] else []
    return " · ".join([*parts, course(row, now)])


def course(row: Row, now: datetime) -> str:
    """Say how long an incident lasted, or has gone on."""
    end = row["resolved_at"] or now
    lasted = words.duration(max((end - row["started_at"]).total_seconds(), 0))
    return f"resolved after {lasted}" if row["resolved_at"] else f"{said(row['state'])}, {lasted}"


def suspects(blamed: Sequence[Row]) -> Iterator[str]:
    """Say which deployments an incident blames, and why."""
    for each in blamed:
        what = link(each["url"], f"{each['repository']} {each['sha'][:7]}")
        there = said(each["service"])
        yield SUSPECT.format(what=f"{what} ({there})", reason=said(each["reason"]))


def incident_blocks(
    row: Row, blamed: Sequence[Row], deployments: Sequence[Row], url: str
) -> list[Block]:
    """Return the message about an incident; it counts no minutes, so that it stays true."""
    resolved = row["resolved_at"] is not None
    title = link(page_of(url, row), f"{row['key']} {row['title']}", 200)
    sign = SIGNS["resolved"] if resolved else OPEN_SIGN
    small = [
        said(row["severity"]) if row["severity"] else "",
        said(row["environment"]),
        said(row["repository"]) if row["repository"] else "",
        f"since {words.clock(row['started_at'])}",
        f"resolved {words.clock(row['resolved_at'])}" if resolved else said(row["state"]),
    ]
    took = f"Resolved after {took_of(row)}." if resolved else ""
    reasons = list(suspects(blamed)) or [NO_SUSPECT]
    told = [section(f"{sign} *{title}*", took, *reasons)]
    told.append(context(" · ".join(part for part in small if part)))
    return [*told, buttons(row, deployments, url)]


def took_of(row: Row) -> str:
    """Say how long a resolved incident lasted."""
    return words.duration((row["resolved_at"] - row["started_at"]).total_seconds())


def buttons(row: Row, deployments: Sequence[Row], url: str) -> Block:
    """Return what can be done about an incident."""
    resolve = None
    if row["resolved_at"] is None:
        resolve = button("Resolve", RESOLVE, row["key"], style="primary")
    options = {
        f"{row['key']}{BETWEEN}{each['deployment_id']}": option(each) for each in deployments
    }
    linking = menu("Link to deployment", LINK, options)
    return actions(resolve, linking, page_button("Open page", page_of(url, row)))


def option(row: Row) -> str:
    """Say a deployment in a menu."""
    at = row["finished_at"].strftime("%d %b %H:%M")
    return f"{row['sha'][:7]} {at} {row['repository']} {row['service']}"


def text_of(row: Row) -> str:
    """Say an incident for notifications."""
    what = "resolved" if row["resolved_at"] else "open"
    return f"{row['key']} {what}: {said(row['title'])}"


async def incident_message(
    db: AsyncConnection, row: Row, url: str, now: datetime, by_hand: tuple[str, str] | None = None
) -> tuple[list[Block], str]:
    """Return the message about an incident as things are now, and its words for notifications.

    `by_hand`: a deployment that was just linked, and why, which nothing was derived from yet.
    """
    blamed: Sequence[Row] = await chat_incidents.blamed(db, [row["id"]])
    place = {"repository_id": row["repository_id"], "service_id": row["service_id"]}
    until = row["resolved_at"] or now
    deployments = await chat_pages.deployed(
        db, row["organization_id"], until, most=MOST_DEPLOYMENTS, **place
    )
    if by_hand:
        found = (each for each in deployments if each["deployment_id"] == by_hand[0])
        blamed = [{**each, "reason": by_hand[1]} for each in found] or blamed
    return incident_blocks(row, blamed, deployments, url), text_of(row)
