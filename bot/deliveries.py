"""Settle deliveries: decide → remember → queue."""

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import NoneType
from typing import Any

import structlog
from pydantic import ValidationError
from pydantic_core import from_json
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import handlers
from bot import metrics
from handlers.events import Account, Decided
from models.deliveries import DeliveryStatus
from models.queue import (
    DELIVERY_TRIES,
    Outcome,
    Waiting,
    backoff,
    claim_deliveries,
    find_homes,
    give_back_deliveries,
    queue,
    settle_deliveries,
)
from models.store import remember

log = structlog.get_logger()

PORTION_BYTES = 32 * 1024 * 1024
PAUSES_SECONDS = (0.5, 1, 2, 4, 8, 14)
FORM = b"payload="
FORM_ENCODED = "the body is form-encoded: choose application/json as the webhook's content type"
NO_ACCOUNT = "organisation unknown: the payload names no installation, organisation or owner"
TYPES = {list: "array", str: "string", bool: "boolean", NoneType: "null"}

HOMES = text("""
    select id as key, organization_id from connections where id = any(:connections)
    union all
    select 'account:' || account_id, id from organizations where account_id = any(:accounts)
""")
CLAIM_LOGIN = text("""
    select id from organizations where account_id is null and lower(login) = lower(:login)
""")


NOBODY = Account(keys=())


class Unreadable(Exception):  # noqa: N818 - it is a sentence, as Refused is
    """A body that no handler can be asked about."""


@dataclass
class Homes:
    """The organisations that the accounts of one batch belong to, by account key."""

    known: dict[str, str] = field(default_factory=dict)

    def of(self, account: Account) -> str | None:
        """Return the organisation of an account, None where nobody knows it."""
        return next((self.known[key] for key in account.keys if key in self.known), None)


@dataclass
class Letter:
    """A claimed delivery while it is being settled. `unreadable`: why nobody can be asked."""

    waiting: Waiting
    payload: Mapping[str, Any] = field(default_factory=dict)
    account: Account = NOBODY
    organization_id: str | None = None
    unreadable: str | None = None
    decided: Decided | None = None
    outcome: Outcome | None = None


async def settle(engine: AsyncEngine, most: int = 100) -> list[Letter]:
    """Claim and settle what waits; return the letters settled, none when nothing waited.

    Who is told to stop in the middle gives back what it has claimed.
    """
    async with engine.begin() as db:
        claimed = await claim_deliveries(db, most)
    letters: list[Letter] = []
    try:
        for portion in portions(claimed):
            await patiently(partial(settle_portion, engine, portion))
            letters += portion
    except asyncio.CancelledError:
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with engine.begin() as db:
                await give_back_deliveries(db, [waiting.id for waiting in claimed])
        raise
    return letters


async def patiently(act: Callable[[], Awaitable[None]]) -> None:
    """Do something, again while Postgres is away, for half as long as a lease lasts."""
    for pause_seconds in PAUSES_SECONDS:
        try:
            return await act()
        except OperationalError as error:
            log.warning("postgres_away", error=str(error.orig).strip()[:300])
        await asyncio.sleep(pause_seconds)
    return await act()


async def settle_portion(engine: AsyncEngine, letters: list[Letter]) -> None:
    """Settle letters together, or one by one where that cannot be; forget what they said."""
    try:
        async with engine.begin() as db:
            await settle_together(db, letters)
    except Exception:
        log.warning("settling_one_by_one", deliveries=len(letters), exc_info=True)
        await settle_apart(engine, letters)
    for letter in letters:
        letter.payload = {}
        count(letter)


def portions(claimed: Iterable[Waiting]) -> Iterator[list[Letter]]:
    """Open letters and yield them in portions that fit into the memory, however long they are."""
    portion: list[Letter] = []
    size = 0
    for waiting in claimed:
        body = unpacked(waiting)
        portion.append(opened(waiting, body))
        size += len(body)
        if size > PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


async def settle_together(db: AsyncConnection, letters: list[Letter]) -> None:
    """Decide a batch and write everything that follows, in the caller's transaction."""
    homes = await homes_of(db, letters)
    for letter in letters:
        letter.organization_id = homes.of(letter.account)
        decide(letter)
    decided = [letter.decided for letter in letters if letter.decided]
    await remember(db, (row for each in decided for row in each.rows))
    for organization_id in {letter.organization_id for letter in letters}:
        theirs = (each for each in letters if each.organization_id == organization_id)
        await queue(
            db,
            (job for each in theirs if each.decided for job in each.decided.jobs),
            organization_id,
        )
    await settle_deliveries(db, (letter.outcome for letter in letters if letter.outcome))
    if any(letter.account.founding for letter in letters):
        await find_homes(db)


async def settle_apart(engine: AsyncEngine, letters: list[Letter]) -> None:
    """Settle a batch one by one, so that only what the store refuses fails."""
    for letter in letters:
        letter.decided = letter.outcome = None
        try:
            async with engine.begin() as db:
                await settle_together(db, [letter])
        except Exception as error:
            log.exception("delivery_refused", delivery=letter.waiting.delivery_id)
            letter.decided = None
            said = error.orig if isinstance(error, DBAPIError) else error
            letter.outcome = failed(letter, f"the store refused it: {said}")
            async with engine.begin() as db:
                await settle_deliveries(db, [letter.outcome])


def unpacked(waiting: Waiting) -> bytes:
    """Return a body as it was sent; an empty one where it cannot be unpacked any more."""
    try:
        return zlib.decompress(waiting.body)
    except zlib.error:
        return b""


def opened(waiting: Waiting, body: bytes) -> Letter:
    """Read a delivery's body; for one that cannot be read the letter says why."""
    try:
        payload = read(body)
    except Unreadable as error:
        return Letter(waiting, unreadable=str(error))
    return Letter(waiting, payload, handlers.account_of(waiting.source, waiting.event, payload))


def read(body: bytes) -> Mapping[str, Any]:
    """Parse a JSON object. NUL, which Postgres cannot keep, becomes U+FFFD."""
    if body.startswith(FORM):
        raise Unreadable(FORM_ENCODED)
    try:
        payload = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Unreadable(f"the body is not JSON: {error}") from error
    if not isinstance(payload, dict):
        kind = TYPES.get(type(payload), "number")
        raise Unreadable(f"the body is a JSON {kind}, not an object")
    return without_nul(payload) if b"\\u0000" in body else payload


def without_nul(value: Any) -> Any:
    """Return a JSON value whose strings and keys hold no NUL."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return value


async def homes_of(db: AsyncConnection, letters: Iterable[Letter]) -> Homes:
    """Look up the organisations of a batch; an installation founds its own where there is none."""
    letters = list(letters)
    keys = {(letter.waiting.source, key) for letter in letters for key in letter.account.keys}
    rows = await db.execute(
        HOMES,
        {
            "connections": [f"{source}:{key}" for source, key in keys],
            "accounts": [
                int(key.removeprefix("account:")) for _, key in keys if key.startswith("account:")
            ],
        },
    )
    found = {row.key: row.organization_id for row in rows}
    homes = Homes()
    for source, key in keys:
        if home := found.get(f"{source}:{key}") or found.get(key):
            homes.known[key] = home
    for letter in letters:
        if letter.account.founding and letter.account.account_id and not homes.of(letter.account):
            home = await founded(db, letter.waiting.source, letter.account)
            homes.known |= dict.fromkeys(letter.account.keys, home)
    return homes


async def founded(db: AsyncConnection, source: str, account: Account) -> str:
    """Return the organisation that an installation founds, or that a person named before it."""
    named = (await db.execute(CLAIM_LOGIN, {"login": account.login})).scalar()
    return named or f"{source}:{account.account_id}"


def decide(letter: Letter) -> None:
    """Ask the handlers and write down what became of the letter."""
    waiting, home = letter.waiting, letter.organization_id
    if letter.unreadable:
        letter.outcome = outcome(letter, DeliveryStatus.PARKED, error=letter.unreadable)
        return
    if not known(waiting, letter.payload):
        decided = handlers.decide(
            waiting.source, waiting.event, letter.payload, "", waiting.told_at
        )
        letter.outcome = outcome(letter, DeliveryStatus.IGNORED, decisions=decided.says)
        return
    if home is None and letter.account.keys:
        letter.outcome = outcome(letter, DeliveryStatus.PARKED, error=nobody(letter.account))
        return
    try:
        letter.decided = handlers.decide(
            waiting.source, waiting.event, letter.payload, home or "", waiting.told_at
        )
    except ValidationError as error:
        letter.outcome = outcome(letter, DeliveryStatus.PARKED, error=faults(error))
    except Exception as error:
        log.exception("handler_failed", delivery=waiting.delivery_id, event_name=waiting.event)
        letter.outcome = failed(letter, f"{type(error).__name__}: {error}")
    else:
        settled(letter, letter.decided)


def settled(letter: Letter, decided: Decided) -> None:
    """Settle a letter; one that tells facts of nobody's organisation is parked."""
    if decided.rows and letter.organization_id is None:
        letter.decided = None
        letter.outcome = outcome(letter, DeliveryStatus.PARKED, error=NO_ACCOUNT)
        return
    letter.outcome = outcome(letter, DeliveryStatus.SETTLED, decisions=decided.says)


def known(waiting: Waiting, payload: Mapping[str, Any]) -> bool:
    """Tell whether anybody registered for an event."""
    action = payload.get("action")
    source = handlers.SOURCES[waiting.source]
    return bool(source.registered(waiting.event, action if isinstance(action, str) else None))


def outcome(letter: Letter, status: DeliveryStatus, **more: Any) -> Outcome:
    """Return what became of a letter, with what was learnt of it."""
    action = letter.payload.get("action")
    return Outcome(
        id=letter.waiting.id,
        status=status,
        action=action[:100] if isinstance(action, str) else None,
        account=letter.account.keys[0] if letter.account.keys else None,
        organization_id=letter.organization_id,
        **more,
    )


def failed(letter: Letter, error: str) -> Outcome:
    """Have a letter tried again, or park it when its tries are used up."""
    attempts = letter.waiting.attempts
    if attempts >= DELIVERY_TRIES:
        return outcome(letter, DeliveryStatus.PARKED, error=f"{error} (after {attempts} tries)")
    return outcome(letter, DeliveryStatus.FAILED, error=error, retry_seconds=backoff(attempts))


def nobody(account: Account) -> str:
    """Say whose installation is missing."""
    who = f" of {account.login}" if account.login else ""
    return f"organisation unknown: no connection for {account.keys[0].replace(':', ' ')}{who}"


def faults(error: ValidationError) -> str:
    """Name what is wrong with a payload, at most three faults of it."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    said = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in details[:3]]
    more = f" (and {len(details) - 3} more)" if len(details) > 3 else ""
    return "payload not understood: " + "; ".join(said) + more


def count(letter: Letter) -> None:
    """Count a settled letter for Prometheus, and how long it had waited."""
    if letter.outcome:
        waiting = letter.waiting
        waited = (datetime.now(UTC) - waiting.received_at).total_seconds()
        metrics.delivered(waiting.source, waiting.event, letter.outcome.status, max(waited, 0.0))
