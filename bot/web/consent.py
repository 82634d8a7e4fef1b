"""What tying any source to an organisation needs: consents of one's own, and nobody else's things.

A consent is OAuth's `state`: it is used up once, within ten minutes, by whoever began it.
"""

import re

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from bot.web.auth import Member, Person, admitted, current_person
from bot.web.problems import Problem
from bot.web.sessions import new_token, token_hash
from models.chat import ConnectState, begin_consent, ended_consent
from models.users import audit

STALE = "This consent was begun more than ten minutes ago, or was used. Begin again."
NOT_YOURS = "This consent was begun by somebody else. Begin again as yourself."
TAKEN = "This workspace is connected to another organisation here. It must be disconnected there."
NOT_PROVEN = (
    "Several organisations use this Veelocity, so a workspace is connected by its own token, or by "
    "an operator: nothing else proves whose it is."
)

UNSENDABLE = "A token has letters, digits and signs of ASCII only, no spaces: paste it again."
TOKEN = re.compile(r"[!-~]{1,500}")

OWNER = text("select organization_id, state from connections where id = :id")
ORGANIZATIONS = text("""
    select count(*) from organizations o
     where not (o.id like 'login:%' and exists (
           select from organizations g
            where g.id like 'github:%' and lower(g.login) = lower(o.login)))
""")


async def begun(request: Request, kind: str) -> str:
    """Begin a consent for the member that asks; return the state to send along."""
    token, member = new_token(), request.state.member
    state = ConnectState(
        token_hash=token_hash(token),
        kind=kind,
        organization_id=member.organization_id,
        user_id=member.user_id,
    )
    async with request.app.state.engine.begin() as db:
        await begin_consent(db, state)
    return token


async def consenting(request: Request, kind: str) -> Member:
    """Use the state up and return who began; raise `Problem` for a state that is not theirs."""
    token = request.query_params.get("state", "")
    async with request.app.state.engine.begin() as db:
        state = await ended_consent(db, kind, token_hash(token))
    if state is None:
        raise Problem(400, "The consent is too old", STALE)
    person: Person | None = await current_person(request)
    if person is None or person.id != state.user_id:
        raise Problem(403, "Not your consent", NOT_YOURS)
    return admitted(person, state.organization_id, ("admin",))


async def owned_by_nobody_else(db: AsyncConnection, connection_id: str, home: str) -> None:
    """Raise `Problem` 409 for a workspace that another organisation is connected to."""
    await db.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:id, 0))"), {"id": connection_id}
    )
    row = (await db.execute(OWNER, {"id": connection_id})).one_or_none()
    if row and row.organization_id != home and row.state != "deleted":
        raise Problem(409, "Conflict", TAKEN)


async def proven(db: AsyncConnection, member: Member) -> None:
    """Raise `Problem` 403 where what is not one's own could be claimed: only operators may."""
    if not member.operator and int(await db.scalar(ORGANIZATIONS) or 0) > 1:
        raise Problem(403, "Forbidden", NOT_PROVEN)


def sendable(token: SecretStr) -> SecretStr:
    """Return a token as it is sent; raise `Problem` 422, never with it, for what can be none."""
    cleaned = token.get_secret_value().strip()
    if not TOKEN.fullmatch(cleaned):
        raise Problem(422, "Unprocessable Content", UNSENDABLE)
    return SecretStr(cleaned)


async def written_down(db: AsyncConnection, member: Member, action: str, detail: str) -> None:
    """Keep in the audit log who did it."""
    home = member.organization_id
    await audit(db, action, user_id=member.user_id, organization_id=home, detail=detail)
