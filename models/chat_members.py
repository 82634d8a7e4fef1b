"""Who somebody in Slack is here, and how a person proves it: `/veelocity connect`."""

from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.users import Belongs, memberships, token_hash

KIND = "slack_member"
LINK_MINUTES = 10

WORKSPACE = text("""
    select organization_id from connections
     where id = 'slack:team:' || :team and source = 'slack' and state = 'active'
""")
TIED = text("""
    select user_id from slack_members where team_id = :team and slack_user_id = :slack_user
""")
BY_EMAIL = text("select id from users where email = :email")
NAME = text("select coalesce(name, split_part(email, '@', 1)) from users where id = :user")
BEGIN = text("""
    insert into connect_states (token_hash, kind, organization_id, account, expires_at)
    values (:hash, :kind, :organization, :account, now() + make_interval(mins => :minutes))
""")
BEGUN = text("""
    select organization_id, account from connect_states
     where token_hash = :hash and kind = :kind and expires_at > now()
""")
USE = text("""
    delete from connect_states where token_hash = :hash and kind = :kind and expires_at > now()
    returning organization_id, account
""")
TIE = text("""
    insert into slack_members (team_id, slack_user_id, user_id)
    values (:team, :slack_user, :user)
        on conflict (team_id, slack_user_id)
        do update set user_id = excluded.user_id, connected_at = now()
""")


class Begun(NamedTuple):
    """A tie that was begun: the account in Slack, and the organisation it is for."""

    organization_id: str
    team_id: str
    slack_user_id: str


async def workspace(db: AsyncConnection, team_id: str) -> str | None:
    """Return the organisation that a workspace is connected to; None where it is to none."""
    found: str | None = await db.scalar(WORKSPACE, {"team": team_id})
    return found


async def tied(db: AsyncConnection, team_id: str, slack_user_id: str) -> str | None:
    """Return the person whom an account in Slack was tied to; None where it was to none."""
    bound = {"team": team_id, "slack_user": slack_user_id}
    found: str | None = await db.scalar(TIED, bound)
    return found


async def with_email(db: AsyncConnection, email: str) -> str | None:
    """Return the person who has an e-mail address; None for nobody."""
    found: str | None = await db.scalar(BY_EMAIL, {"email": email.strip().lower()})
    return found


async def name_of(db: AsyncConnection, user_id: str) -> str:
    """Return what a person is called where others may read it: never the whole e-mail address."""
    return str(await db.scalar(NAME, {"user": user_id}) or "somebody")


async def membership(db: AsyncConnection, user_id: str, organization_id: str) -> Belongs | None:
    """Return a person's place in an organisation; None where they have none."""
    for belongs in await memberships(db, user_id):
        if organization_id in (belongs.organization_id, f"login:{belongs.login.lower()}"):
            return belongs
    return None


async def begin(db: AsyncConnection, token: str, begun: Begun) -> None:
    """Keep that somebody in Slack wants to be tied to a person; only the token's hash is kept."""
    bound = {
        "hash": token_hash(token),
        "kind": KIND,
        "organization": begun.organization_id,
        "account": f"{begun.team_id}:{begun.slack_user_id}",
        "minutes": LINK_MINUTES,
    }
    await db.execute(BEGIN, bound)


async def begun(db: AsyncConnection, token: str) -> Begun | None:
    """Return what a token was made for; None for one that is used, too old or never made."""
    bound = {"hash": token_hash(token), "kind": KIND}
    return read((await db.execute(BEGUN, bound)).first())


async def tie(db: AsyncConnection, token: str, user_id: str) -> Begun | None:
    """Tie the account that a token was made for to a person, which uses the token up.

    None, and nothing is tied, for a token that is used, too old or never made.
    """
    bound = {"hash": token_hash(token), "kind": KIND}
    told = read((await db.execute(USE, bound)).first())
    if told:
        tied_to = {"team": told.team_id, "slack_user": told.slack_user_id, "user": user_id}
        await db.execute(TIE, tied_to)
    return told


def read(row: Row[Any] | None) -> Begun | None:
    """Read a row of a tie that was begun."""
    if row is None:
        return None
    team_id, _, slack_user_id = row.account.partition(":")
    return Begun(row.organization_id, team_id, slack_user_id)
