"""One command in Slack: who asks, where, and whether they may. Whatever is in doubt is refused."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.chat.blocks import Block, said, section
from bot.clients.slack import slack_for
from bot.surroundings import Surroundings
from handlers.slash import Commands
from models import chat_members
from models.errors import Refused
from models.subscribing import Place
from models.users import ROLES

log = structlog.get_logger()

NOT_CONNECTED = "This workspace is not connected to Veelocity: an admin can connect it in Settings."
UNKNOWN = (
    "Veelocity does not know who you are here. `/veelocity connect` ties your account in Slack"
    " to your account there."
)
NEEDS = "This needs the role {needed}; yours is {role}."
NO_REPOSITORY = "There is no repository `{named}` in this organisation."
WHICH = "Which `{named}` do you mean: {names}?"

NOT_A_MEMBER = ("deleted", "is_bot", "is_stranger")

REPOSITORIES = text("""
    select id, full_name from repositories
     where organization_id = :organization
       and deleted_at is null
       and lower(:named) in (lower(full_name), lower(split_part(full_name, '/', 2)))
     order by changed_at desc limit 5
""")


@dataclass(frozen=True)
class Asker:
    """Who asks: a member of the organisation that the workspace is connected to."""

    user_id: str
    name: str
    role: str

    def may(self, role: str) -> bool:
        """Tell whether this is a role, or a higher one."""
        return self.role in ROLES and ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Account:
    """An account in Slack, in the workspace that asks."""

    team_id: str
    user_id: str
    channel_id: str = ""


@dataclass(frozen=True)
class Call:
    """One command, as its function is given it. `asker` is None where anybody may ask."""

    surroundings: Surroundings
    organization_id: str
    account: Account
    now: datetime
    words: Sequence[str] = ()
    asker: Asker | None = None

    @property
    def by(self) -> Asker:
        """Who asks."""
        assert self.asker is not None  # noqa: S101 - the command's role saw to it
        return self.asker

    @property
    def place(self) -> Place:
        """The channel that it was asked in."""
        key = f"slack:{self.account.team_id}:{self.account.channel_id}"
        return Place(self.organization_id, key)

    @property
    def url(self) -> str:
        """The address of our pages."""
        return self.surroundings.settings.public_url


@dataclass(frozen=True)
class Said:
    """The answer to a command; `text` is what notifications say. `private`: it is never shared."""

    blocks: Sequence[Block]
    text: str
    private: bool = False


def sentence(words: str) -> Said:
    """Return an answer of one sentence."""
    told = said(words, 2000)
    return Said([section(told)], told)


Answers = Callable[[Call], Awaitable[Said]]
commands: Commands[Answers] = Commands()


async def organization_of(surroundings: Surroundings, team_id: str) -> str:
    """Return the organisation of a workspace; raise `Refused` where it is connected to none."""
    async with surroundings.engine.connect() as db:
        found = await chat_members.workspace(db, team_id)
    if found is None:
        raise Refused(NOT_CONNECTED)
    return found


async def admitted(
    surroundings: Surroundings, organization_id: str, account: Account, role: str
) -> Asker:
    """Return who asks; raise `Refused` for somebody unknown, or of another role or organisation."""
    user_id = await user_of(surroundings, organization_id, account)
    async with surroundings.engine.connect() as db:
        belongs = user_id and await chat_members.membership(db, user_id, organization_id)
        if not user_id or not belongs:
            raise Refused(UNKNOWN)
        asker = Asker(user_id, await chat_members.name_of(db, user_id), belongs.role)
    if not asker.may(role):
        raise Refused(NEEDS.format(needed=role, role=asker.role))
    return asker


async def user_of(surroundings: Surroundings, organization_id: str, account: Account) -> str | None:
    """Return the person that an account in Slack is: as tied, else who has its e-mail address."""
    async with surroundings.engine.connect() as db:
        known = await chat_members.tied(db, account.team_id, account.user_id)
    if known:
        return known
    email = await email_of(surroundings, organization_id, account)
    if not email:
        return None
    async with surroundings.engine.connect() as db:
        return await chat_members.with_email(db, email)


async def email_of(
    surroundings: Surroundings, organization_id: str, account: Account
) -> str | None:
    """Return the e-mail address that Slack vouches for; None in any doubt."""
    told = await slack_user(surroundings, organization_id, account)
    return vouched(told, account)


async def slack_user(
    surroundings: Surroundings, organization_id: str, account: Account
) -> Mapping[str, Any]:
    """Return what Slack says of an account; nothing where it cannot be asked."""
    held = (surroundings.engine, surroundings.settings, surroundings.vault)
    try:
        async with slack_for(*held, organization_id, account.team_id) as slack:
            told = await slack.read("users.info", user=account.user_id) if slack else {}
    except Refused as error:
        log.warning("slack_user_unknown", says=str(error))
        return {}
    user = told.get("user")
    return user if isinstance(user, Mapping) else {}


def vouched(user: Mapping[str, Any], account: Account) -> str | None:
    """Return the e-mail address of a person of the workspace itself, if it was confirmed.

    Somebody of another workspace, in a channel that both share, may call themselves anything.
    """
    profile, elsewhere = user.get("profile"), user.get("enterprise_user")
    teams = [user.get("team_id")]
    if isinstance(elsewhere, Mapping):
        teams += list(elsewhere.get("teams") or ())
    if user.get("id") != account.user_id or account.team_id not in teams:
        return None
    if any(user.get(name) for name in NOT_A_MEMBER) or user.get("is_email_confirmed") is False:
        return None
    email = profile.get("email") if isinstance(profile, Mapping) else None
    return email if isinstance(email, str) and email.strip() else None


async def repository_of(db: AsyncConnection, organization_id: str, named: str) -> tuple[str, str]:
    """Return the id and full name of a repository, by `owner/name` or by its name alone.

    Raises `Refused` where the organisation has none of this name, or several.
    """
    bound = {"organization": organization_id, "named": named}
    found = (await db.execute(REPOSITORIES, bound)).all()
    if not found:
        raise Refused(NO_REPOSITORY.format(named=named))
    if len({row.full_name.lower() for row in found}) > 1:
        names = ", ".join(sorted({row.full_name for row in found}))
        raise Refused(WHICH.format(named=named, names=names))
    return found[0].id, found[0].full_name
