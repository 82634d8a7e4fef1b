"""Teams, persons and their accounts, and who may see figures of single people."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint, invalid
from bot.web.api.listing import repository_named, team_named
from bot.web.problems import Problem
from handlers.github.payloads import sync_teams
from models import Team, TeamMember, TeamRepository
from models import persons as who
from models import teams as known
from models.columns import Fact
from models.metrics import privacy
from models.queue import queue
from models.store import remember
from models.users import audit

Name = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", min_length=1, max_length=100)]
Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$")]


class NewTeam(Strict):
    """A team made by hand."""

    name: Name
    members: Annotated[list[Login], Field(default_factory=list, max_length=500)]


class KnownTeam(BaseModel):
    """A team. `source`: github, or hand; only those made by hand can be changed here.

    `members` are logins of GitHub in lower case, `repositories` ids.
    """

    id: str
    source: str
    name: str
    slug: str
    members: list[str]
    repositories: list[str]


class Teams(BaseModel):
    """The teams of an organisation, by name."""

    items: list[KnownTeam]


class Synced(BaseModel):
    """How many installations are asked for their teams."""

    queued: int


class KnownAccount(BaseModel):
    """An account. `merged_into`: the identity that an admin said it belongs to, else None."""

    id: str
    source: str
    account: str
    name: str | None
    merged_into: str | None


class KnownPerson(BaseModel):
    """A person with their accounts."""

    id: str
    name: str
    accounts: list[KnownAccount]


class People(BaseModel):
    """The persons of an organisation by name, and the accounts of bots, which are none."""

    items: list[KnownPerson]
    bots: list[KnownAccount]


class Merge(Strict):
    """Whose an account is: `person`, an identity's id; its own id keeps it apart."""

    person: Words


class Privacy(Strict):
    """Who may see figures of single people: `off` nobody, `self_only` themselves, `team` theirs.

    Figures of groups with fewer than five active people are withheld whatever this says.
    """

    per_person: Literal["off", "self_only", "team"]


@endpoint("GET", "/teams", query=Query, answer=Teams)
async def teams(call: Call, query: Query) -> Teams:
    """List the organisation's teams, by name."""
    async with call.engine.connect() as db:
        found = await known.teams(db, call.member.organization_id)
    return Teams(items=[KnownTeam(**team) for team in found])


@endpoint("POST", "/teams", roles=("manager",), query=Query, body=NewTeam, answer=KnownTeam)
async def make_team(call: Call, query: Query, sent: NewTeam) -> KnownTeam:
    """Make a team by hand; GitHub's own come with the app's events."""
    key = f"hand:{uuid4().hex}"
    slug = "-".join(sent.name.lower().split())
    made: list[Fact] = [Team(id=key, source="hand", name=sent.name, slug=slug)]
    made += [member(key, login) for login in sent.members]
    async with call.engine.begin() as db:
        await written(db, call, "make_team", key, *made)
        return await team_of(db, call, key)


@endpoint("POST", "/teams/sync", roles=("manager",), query=Query, answer=Synced)
async def sync(call: Call, query: Query) -> Synced:
    """Read the teams from GitHub again."""
    organization_id = call.member.organization_id
    async with call.engine.begin() as db:
        found = await known.installations(db, organization_id=organization_id)
        await queue(db, [sync_teams(one.id) for one in found], organization_id)
    return Synced(queued=len(found))


@endpoint(
    "PUT",
    "/teams/{team_id}",
    roles=("manager",),
    query=Query,
    body=NewTeam,
    answer=KnownTeam,
    problems=("409",),
)
async def change_team(call: Call, query: Query, sent: NewTeam) -> KnownTeam:
    """Name a team made by hand anew; the members sent are added to those it has."""
    async with call.engine.begin() as db:
        key = await made_by_hand(db, call)
        slug = "-".join(sent.name.lower().split())
        changed: list[Fact] = [Team(id=key, source="hand", name=sent.name, slug=slug)]
        changed += [member(key, login) for login in sent.members]
        await written(db, call, "change_team", key, *changed)
        return await team_of(db, call, key)


@endpoint("DELETE", "/teams/{team_id}", roles=("manager",), query=Query, problems=("409",))
async def delete_team(call: Call, query: Query) -> None:
    """Delete a team made by hand; what its members did stays."""
    async with call.engine.begin() as db:
        key = await made_by_hand(db, call)
        told = await team_of(db, call, key)
        row = Team(id=key, source="hand", name=told.name, slug=told.slug, deleted=True)
        await written(db, call, "delete_team", key, row)


@endpoint(
    "PUT",
    "/teams/{team_id}/members/{login}",
    roles=("manager",),
    query=Query,
    answer=KnownTeam,
    problems=("409",),
)
async def add_member(call: Call, query: Query) -> KnownTeam:
    """Take a login of GitHub into a team made by hand."""
    return await with_member(call, belongs=True)


@endpoint(
    "DELETE",
    "/teams/{team_id}/members/{login}",
    roles=("manager",),
    query=Query,
    answer=KnownTeam,
    problems=("409",),
)
async def remove_member(call: Call, query: Query) -> KnownTeam:
    """Take a login of GitHub out of a team made by hand."""
    return await with_member(call, belongs=False)


@endpoint(
    "PUT",
    "/teams/{team_id}/repositories/{repo_id:path}",
    roles=("manager",),
    query=Query,
    answer=KnownTeam,
    problems=("409",),
)
async def add_repository(call: Call, query: Query) -> KnownTeam:
    """Give a repository to a team made by hand."""
    return await with_repository(call, owned=True)


@endpoint(
    "DELETE",
    "/teams/{team_id}/repositories/{repo_id:path}",
    roles=("manager",),
    query=Query,
    answer=KnownTeam,
    problems=("409",),
)
async def remove_repository(call: Call, query: Query) -> KnownTeam:
    """Take a repository from a team made by hand."""
    return await with_repository(call, owned=False)


@endpoint("GET", "/people", query=Query, answer=People)
async def people(call: Call, query: Query) -> People:
    """List the organisation's persons with their accounts, by name."""
    async with call.engine.connect() as db:
        found = await who.persons(db, call.member.organization_id)
    items = [
        KnownPerson(id=one.id, name=one.name, accounts=[account(each) for each in one.accounts])
        for one in found.people
    ]
    return People(items=items, bots=[account(each) for each in found.bots])


@endpoint(
    "PUT",
    "/people/{identity:path}/merge",
    roles=("admin",),
    query=Query,
    body=Merge,
    answer=People,
)
async def merge(call: Call, query: Query, sent: Merge) -> People:
    """Say whose an account is; that wins over e-mail addresses."""
    identity = call.path["identity"]
    async with call.engine.begin() as db:
        found = await who.persons(db, call.member.organization_id)
        ids = {each.id for one in found.people for each in one.accounts}
        if identity not in ids:
            raise Problem(404, "Not Found", f"There is no account {identity!r} of a person here.")
        if sent.person not in ids:
            detail = "There is no such account of a person in this organisation."
            raise invalid([{"field": "person", "detail": detail}])
        await who.merge(db, found, identity, sent.person, call.member.user_id)
        await audited(db, call, "merge_people", f"{identity} is {sent.person}")
    return await people(call, query)


@endpoint("DELETE", "/people/{identity:path}/merge", roles=("admin",), query=Query, answer=People)
async def unmerge(call: Call, query: Query) -> People:
    """Forget what was said by hand of an account; its e-mail address decides again."""
    identity = call.path["identity"]
    async with call.engine.begin() as db:
        if not await who.unmerge(db, call.member.organization_id, identity):
            raise Problem(404, "Not Found", f"Nothing was said by hand of {identity!r}.")
        await audited(db, call, "unmerge_people", identity)
    return await people(call, query)


@endpoint("GET", "/organizations/{organization_id}/privacy", answer=Privacy)
async def organization_privacy(call: Call) -> Privacy:
    """Say who may see figures of single people."""
    async with call.engine.connect() as db:
        setting = await privacy.setting_of(db, call.member.organization_id)
    return Privacy.model_validate({"per_person": setting})


@endpoint(
    "PUT",
    "/organizations/{organization_id}/privacy",
    roles=("admin",),
    body=Privacy,
    answer=Privacy,
)
async def choose_privacy(call: Call, sent: Privacy) -> Privacy:
    """Choose who may see figures of single people."""
    async with call.engine.begin() as db:
        await privacy.choose_setting(db, call.member.organization_id, sent.per_person)
        await audited(db, call, "choose_privacy", sent.per_person)
    return sent


async def with_member(call: Call, *, belongs: bool) -> KnownTeam:
    """Write whether a login belongs to a team made by hand."""
    async with call.engine.begin() as db:
        key = await made_by_hand(db, call)
        login = checked_login(call.path["login"])
        action = "add_team_member" if belongs else "remove_team_member"
        await written(db, call, action, f"{key} {login}", member(key, login, belongs=belongs))
        return await team_of(db, call, key)


async def with_repository(call: Call, *, owned: bool) -> KnownTeam:
    """Write whether a repository is a team's that was made by hand."""
    async with call.engine.begin() as db:
        key = await made_by_hand(db, call)
        repository = await repository_named(db, call.member, call.path["repo_id"])
        row = TeamRepository(
            id=f"{key}:{repository}", team_id=key, repository_id=repository, owned=owned
        )
        action = "add_team_repository" if owned else "remove_team_repository"
        await written(db, call, action, f"{key} {repository}", row)
        return await team_of(db, call, key)


def checked_login(login: str) -> str:
    """Return a login of GitHub; raise `Problem` 422 for what cannot be one."""
    try:
        return NewTeam(name="-", members=[login]).members[0]
    except ValueError as wrong:
        raise invalid([{"field": "login", "detail": "That is no login of GitHub."}]) from wrong


def member(team_id: str, login: str, *, belongs: bool = True) -> TeamMember:
    """Return the row of a member."""
    name = login.lower()
    return TeamMember(id=f"{team_id}:{name}", team_id=team_id, login=name, member=belongs)


def account(each: who.Account) -> KnownAccount:
    """Return an account without its e-mail address, which is nobody's business here."""
    return KnownAccount(
        id=each.id,
        source=each.source,
        account=each.account,
        name=each.name,
        merged_into=each.merged_into,
    )


async def team_of(db: AsyncConnection, call: Call, key: str) -> KnownTeam:
    """Return one team as it is now."""
    (found,) = await known.teams(db, call.member.organization_id, key)
    return KnownTeam(**found)


async def made_by_hand(db: AsyncConnection, call: Call) -> str:
    """Return the id of the team in the path; raise `Problem` 404 or 409 where it is GitHub's."""
    key = await team_named(db, call.member, call.path["team_id"])
    if not key.startswith("hand:"):
        raise Problem(409, "Conflict", "This team is GitHub's: change it there, and we follow.")
    return key


async def written(db: AsyncConnection, call: Call, action: str, detail: str, *rows: Fact) -> None:
    """Write what somebody said by hand, and that they did."""
    for row in rows:
        row.organization_id, row.changed_at = call.member.organization_id, datetime.now(UTC)
    await remember(db, rows)
    await audited(db, call, action, detail)


async def audited(db: AsyncConnection, call: Call, action: str, detail: str) -> None:
    """Write down who did what."""
    member = call.member
    await audit(
        db, action, user_id=member.user_id, organization_id=member.organization_id, detail=detail
    )
