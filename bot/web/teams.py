"""What people say of teams and of each other's accounts, over the API and on the screen.

Each function writes in the caller's transaction, with the audit log. Only teams made by hand can be
changed: GitHub's own are changed there.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.api.listing import team_named
from bot.web.auth import Member
from bot.web.consent import written_down
from bot.web.problems import Problem
from models import Team, TeamMember, TeamRepository
from models import persons as who
from models.columns import Fact
from models.persons import Persons
from models.store import remember
from models.teams import teams

LOGIN = r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$"
"""What a login of GitHub looks like."""
LONGEST_NAME = 100
OF_GITHUB = "This team is GitHub's: change it there, and we follow."


async def make(db: AsyncConnection, member: Member, name: str, logins: Sequence[str] = ()) -> str:
    """Make a team by hand, and return its id."""
    key = f"hand:{uuid4().hex}"
    rows = [team(key, name), *(belonging(key, login) for login in logins)]
    await written(db, member, "make_team", key, rows)
    return key


async def rename(
    db: AsyncConnection, member: Member, team_id: str, name: str, logins: Sequence[str] = ()
) -> None:
    """Name a team anew; `logins` are added to those it has."""
    key = await made_by_hand(db, member, team_id)
    rows = [team(key, name), *(belonging(key, login) for login in logins)]
    await written(db, member, "change_team", key, rows)


async def delete(db: AsyncConnection, member: Member, team_id: str) -> None:
    """Delete a team; what its members did stays."""
    key = await made_by_hand(db, member, team_id)
    (known,) = await teams(db, member.organization_id, key)
    await written(db, member, "delete_team", key, [team(key, known["name"], deleted=True)])


async def put_member(
    db: AsyncConnection, member: Member, team_id: str, login: str, *, belongs: bool
) -> None:
    """Keep whether a login of GitHub belongs to a team."""
    key = await made_by_hand(db, member, team_id)
    action = "add_team_member" if belongs else "remove_team_member"
    row = belonging(key, login, belongs=belongs)
    await written(db, member, action, f"{key} {login}", [row])


async def put_repository(
    db: AsyncConnection, member: Member, team_id: str, repository_id: str, *, owned: bool
) -> None:
    """Keep whether a repository of the organisation is a team's."""
    key = await made_by_hand(db, member, team_id)
    row = TeamRepository(
        id=f"{key}:{repository_id}", team_id=key, repository_id=repository_id, owned=owned
    )
    action = "add_team_repository" if owned else "remove_team_repository"
    await written(db, member, action, f"{key} {repository_id}", [row])


async def merge(
    db: AsyncConnection, member: Member, persons: Persons, identity_id: str, person_id: str
) -> None:
    """Keep whose an account is; both are of `persons`, and its own id keeps it apart."""
    await who.merge(db, persons, identity_id, person_id, member.user_id)
    await written_down(db, member, "merge_people", f"{identity_id} is {person_id}")


async def unmerge(db: AsyncConnection, member: Member, identity_id: str) -> None:
    """Forget what was said by hand of an account; raise `Problem` 404 where nothing was."""
    if not await who.unmerge(db, member.organization_id, identity_id):
        raise Problem(404, "Not Found", f"Nothing was said by hand of {identity_id!r}.")
    await written_down(db, member, "unmerge_people", identity_id)


async def made_by_hand(db: AsyncConnection, member: Member, team_id: str) -> str:
    """Return the id of a team made by hand; raise `Problem` 404, or 409 where it is GitHub's."""
    key = await team_named(db, member, team_id)
    if not key.startswith("hand:"):
        raise Problem(409, "Conflict", OF_GITHUB)
    return key


def team(key: str, name: str, *, deleted: bool = False) -> Team:
    """Return the row of a team."""
    slug = "-".join(name.lower().split())
    return Team(id=key, source="hand", name=name, slug=slug, deleted=deleted)


def belonging(team_id: str, login: str, *, belongs: bool = True) -> TeamMember:
    """Return the row of a member."""
    name = login.lower()
    return TeamMember(id=f"{team_id}:{name}", team_id=team_id, login=name, member=belongs)


async def written(
    db: AsyncConnection, member: Member, action: str, detail: str, rows: Sequence[Fact]
) -> None:
    """Write what somebody said by hand, and that they did."""
    for row in rows:
        row.organization_id, row.changed_at = member.organization_id, datetime.now(UTC)
    await remember(db, rows)
    await written_down(db, member, action, detail)
