"""The durable inbox: requests that come together share one INSERT and one commit."""

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from operator import attrgetter
from typing import Any

import psycopg
import structlog
from isal import isal_zlib
from psycopg.adapt import Dumper
from psycopg.pq import Format

log = structlog.get_logger()

FLUSHERS = 2
TOGETHER = 128
TOGETHER_BYTES = 32 * 1024 * 1024
PATIENCE_SECONDS = 9
BOUND_LETTERS = 4_000
BOUND_BYTES = 256 * 1024 * 1024
WEBHOOK = "webhook"
TEXT, BYTEA, TEXTS, BYTEAS = 25, 17, 1009, 1001

# What was taken from the source's own log is laid out otherwise, and is the same delivery.
INSERT = """
    insert into deliveries (source, delivery_id, event, headers, body, sha256)
    select s, d, e, cast(h as jsonb), b, x
      from unnest(%b, %b, %b, %b, %b, %b) as t(s, d, e, h, b, x)
     where (select id from deliveries k
             where k.source = s and k.delivery_id = d and k.event = e and k.via <> 'webhook'
             limit 1) is null
        on conflict on constraint deliveries_once do nothing
    returning id, source, delivery_id, event, sha256
"""
SEEN = """
    select id, source, delivery_id, event, sha256, via from deliveries
     where delivery_id = any(%s) and source = any(%s)
"""


@dataclass(frozen=True)
class Receipt:
    """The row a request has become. `new` is False for a repeat."""

    id: int
    new: bool


@dataclass(frozen=True)
class Envelope:
    """One request on its way into the table; `kept` resolves to its receipt, or None.

    `tried`: a connection broke while it was written, so it may be there already.
    """

    source: bytes
    delivery_id: bytes
    event: bytes
    headers: bytes
    body: bytes
    digest: bytes
    kept: asyncio.Future[Receipt | None]
    tried: bool = False

    @property
    def key(self) -> tuple[bytes, bytes, bytes, bytes]:
        """What makes it the same delivery as another."""
        return self.source, self.delivery_id, self.event, self.digest


class Packed(bytes):
    """An array in Postgres' binary form, made by `packed`."""


class PackedTexts(Packed):
    """A binary array of texts."""


class PackedByteas(Packed):
    """A binary array of byte strings."""


class PackedDumper(Dumper):
    """Hands a packed array to Postgres as it is."""

    format = Format.BINARY

    def dump(self, obj: Packed) -> bytes:
        """Return the array's bytes."""
        return obj


class PackedTextsDumper(PackedDumper):
    """The dumper of text[]."""

    oid = TEXTS


class PackedByteasDumper(PackedDumper):
    """The dumper of bytea[]."""

    oid = BYTEAS


def packed(element: int, items: Sequence[bytes]) -> bytes:
    """Return a one-dimensional array without nulls in Postgres' binary form."""
    length = struct.Struct("!i").pack
    parts = [struct.pack("!iiIii", 1, 0, element, len(items), 1)]
    for item in items:
        parts += (length(len(item)), item)
    return b"".join(parts)


def columns_of(envelopes: Sequence[Envelope]) -> tuple[Packed, ...]:
    """Return a batch as one array a column."""
    texts = zip(*((e.source, e.delivery_id, e.event, e.headers) for e in envelopes), strict=True)
    bodies = [isal_zlib.compress(e.body, 1) for e in envelopes]
    return (
        *(PackedTexts(packed(TEXT, column)) for column in texts),
        PackedByteas(packed(BYTEA, bodies)),
        PackedByteas(packed(BYTEA, [e.digest for e in envelopes])),
    )


@dataclass
class Inbox:
    """Keeps deliveries in Postgres before they are answered.

    `on_kept` is called after each commit with the number of new rows; it must not block.
    """

    url: str
    on_kept: Callable[[int], None]
    waiting: deque[Envelope] = field(default_factory=deque)
    waiting_bytes: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    flushers: list[asyncio.Task[None]] = field(default_factory=list)
    stopping: bool = False

    async def keep(
        self,
        source: bytes,
        delivery_id: bytes,
        event: bytes,
        headers: bytes,
        body: bytes,
        *,
        digest: bytes | None = None,
    ) -> Receipt | None:
        """Keep one request; None when it could not be kept, so the sender must try again.

        A sender is answered before GitHub's patience ends, even where Postgres has frozen; its
        request may be written later all the same, and is then a repeat when it comes again.
        `digest` tells repeats from others of the same delivery id; None: that of the body.
        """
        if len(self.waiting) >= BOUND_LETTERS or self.waiting_bytes >= BOUND_BYTES:
            return None
        loop = asyncio.get_running_loop()
        kept: asyncio.Future[Receipt | None] = loop.create_future()
        digest = digest or sha256(body).digest()
        self.waiting.append(Envelope(source, delivery_id, event, headers, body, digest, kept))
        self.waiting_bytes += len(body)
        self.arrived.set()
        patience = loop.call_later(PATIENCE_SECONDS, refuse, kept)
        try:
            return await kept
        finally:
            patience.cancel()

    def start(self) -> None:
        """Start the flushers."""
        self.flushers = [asyncio.create_task(self.flush_for_ever()) for _ in range(FLUSHERS)]

    async def stop(self) -> None:
        """Keep what still waits, then stop."""
        self.stopping = True
        self.arrived.set()
        await asyncio.gather(*self.flushers)

    async def flush_for_ever(self) -> None:
        """Hold a connection and flush through it; while there is none, what waits is refused."""
        while self.waiting or not self.stopping:
            try:
                db = await connected(self.url)
            except (psycopg.Error, OSError) as error:
                log.warning("inbox_without_database", error=str(error).strip())
                self.refuse_all()
                await asyncio.sleep(0.2)
                continue
            try:
                async with db:
                    await self.flush(db)
            except (psycopg.Error, OSError) as error:
                log.warning("inbox_connection_lost", error=str(error).strip())
            except Exception:
                log.exception("inbox_failed")
                await asyncio.sleep(0.2)

    async def flush(self, db: psycopg.AsyncConnection[Any]) -> None:
        """Flush batch after batch, for as long as `db` holds."""
        while self.waiting or not self.stopping:
            if not self.waiting:
                self.arrived.clear()
                await self.arrived.wait()
                continue
            batch = self.batch()
            try:
                receipts = await stored(db, batch)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self.give_back(batch)
                raise
            except psycopg.Error as error:
                log.exception("inbox_batch_refused", error=str(error))
                resolve(batch, {})
                continue
            except BaseException:
                resolve(batch, {})
                raise
            new = sum(receipt.new for receipt in receipts.values())
            resolve(batch, receipts)
            self.on_kept(new)

    def batch(self) -> list[Envelope]:
        """Take what waits and is written together: at most 128, and not beyond 32 MiB."""
        batch: list[Envelope] = []
        size = 0
        while self.waiting and len(batch) < TOGETHER and size < TOGETHER_BYTES:
            batch.append(self.waiting.popleft())
            size += len(batch[-1].body)
        self.waiting_bytes -= size
        return batch

    def give_back(self, batch: Sequence[Envelope]) -> None:
        """Put what a broken connection took first in line again; what was tried before is refused.

        A Postgres that was restarted so costs nobody an answer once it is back.
        """
        resolve([envelope for envelope in batch if envelope.tried], {})
        fresh = [replace(envelope, tried=True) for envelope in batch if not envelope.tried]
        self.waiting.extendleft(reversed(fresh))
        self.waiting_bytes += sum(len(envelope.body) for envelope in fresh)

    def refuse_all(self) -> None:
        """Tell everyone who waits to try again."""
        batch = list(self.waiting)
        self.waiting.clear()
        self.waiting_bytes = 0
        resolve(batch, {})


async def connected(url: str) -> psycopg.AsyncConnection[Any]:
    """Open a connection whose commits are on disk when they return.

    It looks for repeats by the index at all times: a plan that was made while the table was empty
    would read all of it later.
    """
    db = await psycopg.AsyncConnection.connect(
        url,
        autocommit=True,
        connect_timeout=5,
        tcp_user_timeout=8000,
        application_name="veelocity-inbox",
        options="-c synchronous_commit=on -c statement_timeout=8s -c enable_seqscan=off",
    )
    db.adapters.register_dumper(PackedTexts, PackedTextsDumper)
    db.adapters.register_dumper(PackedByteas, PackedByteasDumper)
    return db


async def stored(
    db: psycopg.AsyncConnection[Any], batch: Sequence[Envelope]
) -> dict[tuple[bytes, ...], Receipt]:
    """Write a batch; return the receipts by key.

    Two batches with the same repeats in another order lock each other out. Postgres ends one,
    which tries again in an order that all who do so share.
    """
    while True:
        with contextlib.suppress(psycopg.errors.DeadlockDetected):
            return await written(db, batch)
        batch = sorted(batch, key=attrgetter("key"))


async def written(
    db: psycopg.AsyncConnection[Any], batch: Sequence[Envelope]
) -> dict[tuple[bytes, ...], Receipt]:
    """Write a batch in one statement; return the receipts by key."""
    inserted = await db.execute(INSERT, columns_of(batch), prepare=True)
    receipts = {key_of(row): Receipt(row[0], new=True) for row in await inserted.fetchall()}
    repeats = [envelope for envelope in batch if envelope.key not in receipts]
    if repeats:
        ids = [envelope.delivery_id.decode() for envelope in repeats]
        sources = list({envelope.source.decode() for envelope in repeats})
        seen = await (await db.execute(SEEN, (ids, sources))).fetchall()
        for row in seen:
            receipts.setdefault(key_of(row), Receipt(row[0], new=False))
        taken = {key_of(row)[:3]: Receipt(row[0], new=False) for row in seen if row[5] != WEBHOOK}
        for key in {envelope.key for envelope in repeats} - receipts.keys():
            if key[:3] in taken:
                receipts[key] = taken[key[:3]]
    return receipts


def key_of(row: Sequence[Any]) -> tuple[bytes, ...]:
    """Return the key of a row of INSERT or SEEN."""
    return row[1].encode(), row[2].encode(), row[3].encode(), bytes(row[4])


def refuse(kept: asyncio.Future[Receipt | None]) -> None:
    """Tell somebody to try again, unless they have been answered."""
    if not kept.done():
        kept.set_result(None)


def resolve(batch: Sequence[Envelope], receipts: dict[tuple[bytes, ...], Receipt]) -> None:
    """Hand out receipts; of equal envelopes in one batch only the first is new."""
    for envelope in batch:
        receipt = receipts.get(envelope.key)
        with contextlib.suppress(asyncio.InvalidStateError):
            envelope.kept.set_result(receipt)
        if receipt:
            receipts[envelope.key] = Receipt(receipt.id, new=False)
