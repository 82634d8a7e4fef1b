"""Columns that every table of facts shares, and the column types they are made of."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, DateTime, SmallInteger, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(SQLModel):
    """A row that is made as it is told, by the thousand."""

    def __init__(self, **told: Any) -> None:
        """Take what is told, and the defaults of the rest.

        Table classes validate nothing, so this only leaves out what SQLModel does for sessions,
        which nobody opens here: setting each column through the ORM took half of settling.
        """
        constants, factories = defaults(type(self))
        made = {name: factory() for name, factory in factories.items() if name not in told}
        self.__dict__.update({**constants, **made, **told})
        self.__pydantic_fields_set__.update(told)


class Fact(Row):
    """What a source told us of one thing, under a key that the source chose (`github:42`).

    `changed_at` is the source's own clock, `rank` breaks ties of the clock (a merged pull request
    outranks an open one of the same second) and `digest`, a hash of the row's content, breaks the
    rest, so that the greatest of the three wins whatever the order of arrival.
    """

    id: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(default="", sa_type=Text)
    changed_at: datetime = Field(default=EPOCH, sa_type=DateTime(timezone=True))
    rank: int = Field(default=0, sa_type=SmallInteger)
    digest: int = Field(default=0, sa_type=BigInteger)


@cache
def defaults(
    table: type[SQLModel],
) -> tuple[Mapping[str, Any], Mapping[str, Callable[[], Any]]]:
    """Return a table's columns that need not be told: constant defaults, and what makes others."""
    fields = table.model_fields.items()
    optional = {name: field for name, field in fields if not field.is_required()}
    factories: dict[str, Any] = {
        name: field.default_factory for name, field in optional.items() if field.default_factory
    }
    constants = {name: field.default for name, field in optional.items() if name not in factories}
    return constants, factories


def text(**options: Any) -> Any:
    """A text column that must be told."""
    return Field(sa_type=Text, **options)


def maybe_text(**options: Any) -> Any:
    """A text column; None when the source did not say."""
    return Field(default=None, sa_type=Text, **options)


def time(**options: Any) -> Any:
    """An aware UTC time that must be told."""
    return Field(sa_type=DateTime(timezone=True), **options)


def maybe_time(**options: Any) -> Any:
    """An aware UTC time; None when it has not come, or is not known."""
    return Field(default=None, sa_type=DateTime(timezone=True), **options)


def now(**options: Any) -> Any:
    """A time that Postgres writes when the row is made."""
    options.setdefault("sa_column_kwargs", {"server_default": func.now()})
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=False, **options)


def number(**options: Any) -> Any:
    """A 64-bit number: GitHub's ids have outgrown 32 bits."""
    return Field(sa_type=BigInteger, **options)


def texts(**options: Any) -> Any:
    """A list of texts, in the order of the source."""
    return Field(default_factory=list, sa_type=ARRAY(Text), **options)


def document(**options: Any) -> Any:
    """A JSON document, kept as the source gave it."""
    return Field(default_factory=dict, sa_type=JSONB, **options)
