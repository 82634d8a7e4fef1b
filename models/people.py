"""Who works here: teams, and one person's accounts at GitHub, Slack and Linear."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import SQLModel

from models.columns import Fact, maybe_text, now, text

GITHUB_ACCOUNT = "github:login:"
"""What the account of a GitHub login begins with; the login follows in lower case."""


class Team(Fact, table=True):
    """A team: of GitHub (`github:team:<id>`), or made by hand (`hand:<uuid>`)."""

    __tablename__ = "teams"
    __table_args__ = (Index("teams_organization", "organization_id", "name"),)

    source: str = text()
    name: str = text()
    slug: str = text()
    deleted: bool = False


class TeamMember(Fact, table=True):
    """Whether a login of GitHub belongs to a team: `<team>:<login>`, the login in lower case."""

    __tablename__ = "team_members"

    team_id: str = text(index=True)
    login: str = text(index=True)
    member: bool = True


class TeamRepository(Fact, table=True):
    """Whether a repository belongs to a team: `<team>:<repository>`."""

    __tablename__ = "team_repositories"

    team_id: str = text(index=True)
    repository_id: str = text()
    owned: bool = True


class Identity(Fact, table=True):
    """An account somewhere: `github:login:<login>`, `slack:<team>:<user>`, `linear:<uuid>`.

    Keyed within its organisation, as `<organisation>/<account>`. `email` in lower case.
    """

    __tablename__ = "identities"
    __table_args__ = (Index("identities_email", "organization_id", "email"),)

    source: str = text()
    account: str = text()
    name: str | None = maybe_text()
    email: str | None = maybe_text()
    bot: bool = False


class IdentityMerge(SQLModel, table=True):
    """That an admin said whose an account is; it wins over e-mail.

    `identity_id` belongs to the person of `person_id`, which is another identity, or itself: then
    it is kept apart.
    """

    __tablename__ = "identity_merges"

    identity_id: str = text(primary_key=True)
    person_id: str = text()
    organization_id: str = text(index=True)
    by: str = text()
    at: datetime | None = now()


class PrivacySettings(SQLModel, table=True):
    """Who may see figures of single people: `off`, `self_only` (the default) or `team`."""

    __tablename__ = "privacy_settings"

    organization_id: str = text(primary_key=True)
    per_person: str = text(default="self_only")
