"""`bot replay`: deliveries decided once more, or taken from a recording, through the same inbox."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from fakeredis import FakeAsyncRedis
from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import deliveries
from bot.jobs import Surroundings, work
from bot.queue import INGEST
from bot.settings import Settings
from bot.vault import Vault
from bot.web.inbox import Inbox
from models.errors import Refused
from models.queue import retry

NAMED = text("select id from deliveries where delivery_id = any(:names) or id = any(:ids)")
SINCE = text("select id from deliveries where received_at >= :since order by id")
STATUSES = text("select status, count(*) from deliveries where id = any(:ids) group by status")
HOME = text("select account_id from organizations where lower(login) = lower(:login)")


@dataclass(frozen=True)
class Recorded:
    """One delivery of a recording."""

    event: str
    delivery_id: str
    body: bytes


async def again(
    store: AsyncEngine, settings: Settings, names: Sequence[str], since: datetime | None
) -> dict[str, int]:
    """Decide deliveries of the inbox again; return how many ended in each status."""
    async with store.begin() as db:
        if since:
            found = await db.execute(SINCE, {"since": since.astimezone()})
        else:
            ids = [int(name) for name in names if name.isdecimal()]
            found = await db.execute(NAMED, {"names": list(names), "ids": ids})
        known = list(found.scalars())
        if not since and len(known) < len(set(names)):
            raise Refused(f"Only {len(known)} of {len(set(names))} deliveries are known.")
        await retry(db, known)
    return await settled(store, settings, known)


async def from_file(
    store: AsyncEngine, settings: Settings, path: Path, organization: str | None
) -> dict[str, int]:
    """Take recorded deliveries into the inbox and decide them; Refused for a bad recording."""
    recorded = list(recording(path))
    if organization:
        recorded = [owned(each, await account_of(store, organization)) for each in recorded]
    inbox = Inbox(store.url.set(drivername="postgresql").render_as_string(False), lambda _: None)
    inbox.start()
    try:
        receipts = await asyncio.gather(*(kept(inbox, each) for each in recorded))
    finally:
        await inbox.stop()
    ids = [receipt.id for receipt in receipts if receipt]
    return await settled(store, settings, ids)


async def kept(inbox: Inbox, each: Recorded) -> Any:
    """Keep one recorded delivery as if it had just come."""
    return await inbox.keep(
        b"github", each.delivery_id.encode(), each.event.encode(), b'{"replayed": true}', each.body
    )


async def settled(store: AsyncEngine, settings: Settings, ids: Sequence[int]) -> dict[str, int]:
    """Settle and work here until nothing is left, then count what became of some deliveries."""
    vault = Vault(settings.secret_keys)
    surroundings = Surroundings(settings, store, FakeAsyncRedis(), vault)
    while await deliveries.settle(store):
        pass
    while await work(surroundings, INGEST, 4):
        pass
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
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line.strip():
            yield from_line(line, f"{path}, line {number}")


def from_line(line: str, where: str) -> Recorded:
    """Return the delivery of one line: `headers` with X-GitHub-Event, `body` object or text."""
    try:
        read = json.loads(line)
        headers = {str(key).lower(): str(value) for key, value in read["headers"].items()}
        body = read["body"]
        event = headers["x-github-event"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{where}: not a delivery with headers and body ({error!r}).") from error
    content = body.encode() if isinstance(body, str) else to_json(body)
    fallback = f"file:{sha256(content).hexdigest()[:32]}"
    return Recorded(event, headers.get("x-github-delivery", fallback), content)


async def account_of(store: AsyncEngine, login: str) -> int:
    """Return the account of an organisation; raise Refused for one GitHub has not told of."""
    async with store.connect() as db:
        found = (await db.execute(HOME, {"login": login})).scalar()
    if found is None:
        raise Refused(f"No organisation called {login!r} has installed the app.")
    return int(found)


def owned(each: Recorded, account_id: int) -> Recorded:
    """Return a delivery as one of an account, which counts where its installation is unknown."""
    try:
        payload = json.loads(each.body)
    except ValueError:
        return each
    if not isinstance(payload, dict) or each.event.startswith("installation"):
        return each
    organization = {**(payload.get("organization") or {}), "id": account_id}
    return Recorded(
        each.event, each.delivery_id, to_json({**payload, "organization": organization})
    )
