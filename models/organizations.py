"""Organisations (the tenants), how they want to be measured, and their connections to sources."""

from datetime import datetime
from typing import Any

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from models.columns import Fact, document, maybe_text, now, number, text


class Organization(Fact, table=True):
    """One tenant: a GitHub organisation or personal account that installed the app.

    The id is `github:<account id>`, or `login:<login>` where a person named it before GitHub did.
    """

    __tablename__ = "organizations"

    login: str = text(index=True)
    name: str | None = maybe_text()
    account_id: int | None = number(default=None, unique=True)


class OrganizationSettings(SQLModel, table=True):
    """How an organisation wants to be measured; written by its admins only."""

    __tablename__ = "organization_settings"

    organization_id: str = text(primary_key=True)
    time_zone: str = Field(
        default="UTC", sa_type=Text, description="IANA zone of days, weeks and months"
    )
    level_edition: int = Field(default=2024, description="edition of DORA's levels")


class Connection(Fact, table=True):
    """What ties an account at a source to an organisation: for GitHub, one installation.

    `state` is active, suspended or deleted. `permissions` are as granted, name to read or write.
    """

    __tablename__ = "connections"

    source: str = text()
    external_id: str = text(index=True)
    account_id: int | None = number(default=None)
    account_login: str = text()
    state: str = text()
    repository_selection: str | None = maybe_text()
    permissions: dict[str, Any] = document()


class ConnectionRepository(Fact, table=True):
    """Whether one repository is open to one installation."""

    __tablename__ = "connection_repositories"

    connection_id: str = text(index=True)
    repository_id: str = text()
    full_name: str = text()
    private: bool = False
    selected: bool = True


class Credential(SQLModel, table=True):
    """A secret of the app itself (private key, webhook secret), encrypted by MultiFernet."""

    __tablename__ = "credentials"

    name: str = text(primary_key=True)
    ciphertext: str = text()
    stored_at: datetime | None = now()
