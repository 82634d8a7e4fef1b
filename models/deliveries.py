"""The inbox: every request a source sent us, and the jobs that followed from it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, LargeBinary, SmallInteger, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field, SQLModel

from models.columns import document, maybe_text, maybe_time, now, number, text


class DeliveryStatus(StrEnum):
    """What has become of a delivery."""

    RECEIVED = "received"
    SETTLED = "settled"
    IGNORED = "ignored"
    FAILED = "failed"
    PARKED = "parked"


class Delivery(SQLModel, table=True):
    """One HTTP request from a source, kept as it came. `body` is compressed by zlib.

    `account` is whom the body names (`installation:42`, `account:9`), known once it was parsed;
    a delivery for nobody known waits under it. `via`: webhook, or how it came otherwise: fetched
    from the source's own log because it had failed (`recovered`), or because nobody listens for
    webhooks here (`pulled`); then `sent_at` is when the source sent it first. `decisions` lists
    what followed, in words and keys.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("source", "delivery_id", "event", "sha256", name="deliveries_once"),
        Index(
            "deliveries_waiting",
            "next_try_at",
            "id",
            postgresql_where=sql("status in ('received', 'failed')"),
        ),
        Index("deliveries_status", "status", "id"),
        Index("deliveries_received", "received_at"),
        Index(
            "deliveries_recovered",
            "organization_id",
            "sent_at",
            postgresql_where=sql("via = 'recovered'"),
        ),
        Index("deliveries_homeless", "account", postgresql_where=sql("status = 'parked'")),
        Index(
            "deliveries_told_by_slack",
            "decisions",
            postgresql_using="gin",
            postgresql_ops={"decisions": "jsonb_path_ops"},
            postgresql_where=sql("source = 'slack'"),
        ),
    )

    id: int | None = number(default=None, primary_key=True)
    source: str = text()
    delivery_id: str = text()
    event: str = text()
    action: str | None = maybe_text()
    headers: dict[str, Any] = document()
    body: bytes = Field(sa_type=LargeBinary)
    sha256: bytes = Field(sa_type=LargeBinary)
    received_at: datetime | None = now()
    via: str = text(default="webhook", sa_column_kwargs={"server_default": "webhook"})
    sent_at: datetime | None = maybe_time()
    status: str = text(
        default=DeliveryStatus.RECEIVED, sa_column_kwargs={"server_default": "received"}
    )
    account: str | None = maybe_text()
    organization_id: str | None = maybe_text(index=True)
    attempts: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": "0"})
    next_try_at: datetime | None = now()
    leased_until: datetime | None = maybe_time()
    settled_at: datetime | None = maybe_time()
    error: str | None = maybe_text()
    decisions: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=JSONB, sa_column_kwargs={"server_default": "[]"}
    )


class JobStatus(StrEnum):
    """What has become of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    PARKED = "parked"


class QueuedJob(SQLModel, table=True):
    """An order that waits for a worker: the outbox of `settle`, and the queue itself.

    Jobs of the same `key` that still wait are one job (`since` keeps the earliest of their times).
    `lane` keeps kinds of work apart. A running job is leased; its heartbeat renews the lease.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_key", "key", unique=True, postgresql_where=sql("status = 'waiting'")),
        Index("jobs_done", "finished_at", postgresql_where=sql("status = 'done'")),
        Index(
            "jobs_waiting",
            "lane",
            "next_try_at",
            "id",
            postgresql_where=sql("status in ('waiting', 'running')"),
        ),
    )

    id: int | None = number(default=None, primary_key=True)
    organization_id: str | None = maybe_text()
    lane: str = text(default="ingest")
    name: str = text()
    key: str = text()
    arguments: dict[str, Any] = document()
    since: datetime | None = maybe_time()
    status: str = text(default=JobStatus.WAITING, sa_column_kwargs={"server_default": "waiting"})
    attempts: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": "0"})
    next_try_at: datetime | None = now()
    leased_until: datetime | None = maybe_time()
    heartbeat_at: datetime | None = maybe_time()
    created_at: datetime | None = now()
    finished_at: datetime | None = maybe_time()
    error: str | None = maybe_text()


WAS_DELIVERED = sql("""
    select exists (select from deliveries
                    where source = :source and delivery_id = :delivery and event = :event)
""")


async def was_delivered(db: AsyncConnection, source: str, delivery_id: str, event: str) -> bool:
    """Tell whether a delivery with this id, of this event, was kept before."""
    bound = {"source": source, "delivery": delivery_id, "event": event}
    return bool(await db.scalar(WAS_DELIVERED, bound))
