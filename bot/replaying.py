"""`bot replay`: deliveries decided once more, or taken from a recording, through the same inbox."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.jobs import Surroundings
from bot.web.inbox import Inbox
from bot.worker import Workshop
from models.errors import Refused
from models.queue import retry

TOGETHER = 500
LARGEST_ID = 2**63 - 1
PATIENCE_SECONDS = 60
LISTED_UNKNOWN = 5
NAME = re.compile(r"[!-~]{1,200}")

NAMED = text("""
    select id, delivery_id from deliveries
     where delivery_id = any(:names) or id = any(:ids) order by id
""")
SINCE = text("select id from deliveries where received_at >= :since order by id")
STATUSES = text("select status, count(*) from deliveries where id = any(:ids) group by status")
HOME = text("""
    select account_id as id, login from organizations where lower(login) = lower(:login)
""")

Progress = Callable[[int, int], None]
"""Told how many deliveries are done, and of how many."""


@dataclass(frozen=True)
class Replayed:
    """What became of deliveries. `repeated`: how many of a recording were in the inbox before."""

    ids: Sequence[int]
    statuses: dict[str, int]
    repeated: int = 0


@dataclass(frozen=True)
class Recorded:
    """One delivery of a recording."""

    event: str
    delivery_id: str
    body: bytes


async def again(
    surroundings: Surroundings, names: Sequence[str], since: datetime | None, progress: Progress
) -> Replayed:
    """Decide deliveries of the inbox again: those named by id, or all received since a time."""
    async with surroundings.engine.begin() as db:
        if since:
            found = await db.execute(SINCE, {"since": since.astimezone()})
            known = list(found.scalars())
        else:
            ids = [int(name) for name in names if is_id(name)]
            rows = (await db.execute(NAMED, {"names": list(names), "ids": ids})).all()
            known = [row.id for row in rows]
            missing = set(names) - {str(row.id) for row in rows} - {row[1] for row in rows}
            if missing:
                raise Refused(unknown(sorted(missing)))
        await retry(db, known)
    return Replayed(known, await settled(surroundings, known, progress))


def is_id(name: str) -> bool:
    """Tell whether a name can be the number of a row."""
    return name.isascii() and name.isdigit() and int(name) <= LARGEST_ID


def unknown(names: Sequence[str]) -> str:
    """Say which deliveries nobody knows."""
    more = f" and {len(names) - LISTED_UNKNOWN} more" if len(names) > LISTED_UNKNOWN else ""
    return f"No such delivery: {', '.join(names[:LISTED_UNKNOWN])}{more}. Nothing was replayed."


async def from_file(
    surroundings: Surroundings, path: Path, organization: str | None, progress: Progress
) -> Replayed:
    """Take recorded deliveries into the inbox and decide them; Refused for a bad recording.

    Nothing is taken from a recording with a bad line. What is in the inbox already is decided
    again.
    """
    for _ in recording(path):
        pass
    home = await account_of(surroundings.engine, organization) if organization else None
    url = surroundings.engine.url.set(drivername="postgresql").render_as_string(False)
    inbox = Inbox(url, lambda _: None)
    inbox.start()
    ids: list[int] = []
    repeats: list[int] = []
    try:
        waiting = (owned(each, home) if home else each for each in recording(path))
        while some := list(islice(waiting, TOGETHER)):
            for receipt in await asyncio.gather(*(kept(inbox, each) for each in some)):
                ids.append(receipt.id)
                if not receipt.new:
                    repeats.append(receipt.id)
    finally:
        await inbox.stop()
    async with surroundings.engine.begin() as db:
        await retry(db, repeats)
    ids = list(dict.fromkeys(ids))
    return Replayed(ids, await settled(surroundings, ids, progress), len(repeats))


async def kept(inbox: Inbox, each: Recorded) -> Any:
    """Keep one recorded delivery as if it had just come; Refused where the store is away."""
    receipt = await inbox.keep(
        b"github", each.delivery_id.encode(), each.event.encode(), b'{"replayed": true}', each.body
    )
    if receipt is None:
        raise Refused(f"The store did not keep delivery {each.delivery_id}. Try again.")
    return receipt


async def settled(
    surroundings: Surroundings, ids: Sequence[int], progress: Progress
) -> dict[str, int]:
    """Settle and work here, beside any worker, until these are done; count them by status."""
    workshop = Workshop(surroundings)
    deadline = time.monotonic() + PATIENCE_SECONDS
    statuses = await counted(surroundings.engine, ids)
    while statuses.get("received"):
        if await workshop.settle():
            deadline = time.monotonic() + PATIENCE_SECONDS
        elif time.monotonic() > deadline:
            break
        else:  # another worker has claimed them
            await asyncio.sleep(0.1)
        statuses = await counted(surroundings.engine, ids)
        progress(len(ids) - statuses.get("received", 0), len(ids))
    while await workshop.work():
        pass
    return statuses


async def counted(store: AsyncEngine, ids: Sequence[int]) -> dict[str, int]:
    """Count deliveries by status."""
    async with store.connect() as db:
        rows = await db.execute(STATUSES, {"ids": list(ids)})
        return {row["status"]: row["count"] for row in rows.mappings()}


def recording(path: Path) -> Iterator[Recorded]:
    """Yield the deliveries of an NDJSON file or of a folder of `<event>.<…>.json`."""
    if path.is_dir():
        yield from (
            Recorded(file.name.split(".")[0], f"file:{file.name}", file.read_bytes())
            for file in sorted(path.glob("*.json"))
        )
        return
    if not path.is_file():
        raise Refused(f"There is no file or folder {path}.")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield from_line(line, f"{path}, line {number}")


def from_line(line: bytes, where: str) -> Recorded:
    """Return the delivery of one line: `headers` with X-GitHub-Event, `body` object or text."""
    try:
        read = json.loads(line)
        headers = {str(key).lower(): str(value) for key, value in read["headers"].items()}
        body = read["body"]
        event = headers["x-github-event"]
    except KeyError as error:
        raise Refused(f"{where}: there is no {error.args[0]!r}.") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"{where}: not a delivery with headers and body ({error}).") from None
    content = body.encode("utf-8", "replace") if isinstance(body, str) else as_sent(body)
    fallback = f"file:{sha256(content).hexdigest()[:32]}"
    delivery_id = headers.get("x-github-delivery", fallback)
    if not (NAME.fullmatch(event) and NAME.fullmatch(delivery_id)):
        raise Refused(f"{where}: the event or the delivery's id is not a name.")
    return Recorded(event, delivery_id, content)


def as_sent(payload: Any) -> bytes:
    """Write JSON as GitHub does, whatever is in it: a lone surrogate stays the escape it was."""
    try:
        return to_json(payload)
    except ValueError:
        return json.dumps(payload, separators=(",", ":")).encode()


async def account_of(store: AsyncEngine, login: str) -> dict[str, Any]:
    """Return the account of an organisation; raise Refused for one GitHub has not told of."""
    async with store.connect() as db:
        found = (await db.execute(HOME, {"login": login})).mappings().first()
    if found is None or found["id"] is None:
        raise Refused(f"No organisation called {login!r} has installed the app.")
    return dict(found)


def owned(each: Recorded, account: Mapping[str, Any]) -> Recorded:
    """Return a delivery as one of an account, which counts where its installation is unknown.

    The account keeps its `id` and `login`: a recording must not rename it.
    """
    try:
        payload = json.loads(each.body)
    except (ValueError, RecursionError):
        return each
    if not isinstance(payload, dict) or each.event.startswith("installation"):
        return each
    named = payload.get("organization")
    organization = {**(named if isinstance(named, dict) else {}), **account}
    return Recorded(
        each.event, each.delivery_id, as_sent({**payload, "organization": organization})
    )
