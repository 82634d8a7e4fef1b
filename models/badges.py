"""Badges: one figure of an organisation as a public picture, until somebody takes it back."""

from datetime import datetime

from sqlmodel import SQLModel

from models.columns import maybe_text, maybe_time, now, text


class Badge(SQLModel, table=True):
    """What a badge shows to anybody who knows its address, of which only the SHA-256 is kept.

    `metric` is one of the five; `repository_id` None: of the whole organisation.
    """

    __tablename__ = "badges"

    token_hash: str = text(primary_key=True)
    organization_id: str = text(index=True)
    repository_id: str | None = maybe_text()
    metric: str = text()
    by: str = text()
    made_at: datetime | None = now()
    withdrawn_at: datetime | None = maybe_time()
