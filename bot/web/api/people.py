"""Teams, persons and their accounts, and who may see figures of single people."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web import teams as by_hand
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint, invalid
from bot.web.api.listing import repository_named
from bot.web.consent import written_down
from bot.web.problems import Problem
from handlers.github.payloads import sync_teams
from models import persons as who
from models import teams as known
from models.metrics import privacy
from models.queue import queue

LONGEST = by_hand.LONGEST_NAME
Name = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", min_length=1, max_length=LONGEST)]
Login = Annotated[str, StringConstraints(pattern=by_hand.LOGIN)]


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
    async with call.engine.begin() as db:
        key = await by_hand.make(db, call.member, sent.name, sent.members)
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
        key = call.path["team_id"]
        await by_hand.rename(db, call.member, key, sent.name, sent.members)
        return await team_of(db, call, key)


@endpoint("DELETE", "/teams/{team_id}", roles=("manager",), query=Query, problems=("409",))
async def delete_team(call: Call, query: Query) -> None:
    """Delete a team made by hand; what its members did stays."""
    async with call.engine.begin() as db:
        await by_hand.delete(db, call.member, call.path["team_id"])


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
        if identity not in found.identities:
            raise Problem(404, "Not Found", f"There is no account {identity!r} of a person here.")
        if sent.person not in found.identities:
            detail = "There is no such account of a person in this organisation."
            raise invalid([{"field": "person", "detail": detail}])
        await by_hand.merge(db, call.member, found, identity, sent.person)
    return await people(call, query)


@endpoint("DELETE", "/people/{identity:path}/merge", roles=("admin",), query=Query, answer=People)
async def unmerge(call: Call, query: Query) -> People:
    """Forget what was said by hand of an account; its e-mail address decides again."""
    async with call.engine.begin() as db:
        await by_hand.unmerge(db, call.member, call.path["identity"])
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
        await written_down(db, call.member, "choose_privacy", sent.per_person)
    return sent


async def with_member(call: Call, *, belongs: bool) -> KnownTeam:
    """Write whether a login belongs to a team made by hand."""
    async with call.engine.begin() as db:
        key, login = call.path["team_id"], checked_login(call.path["login"])
        await by_hand.put_member(db, call.member, key, login, belongs=belongs)
        return await team_of(db, call, key)


async def with_repository(call: Call, *, owned: bool) -> KnownTeam:
    """Write whether a repository is a team's that was made by hand."""
    async with call.engine.begin() as db:
        key = call.path["team_id"]
        repository = await repository_named(db, call.member, call.path["repo_id"])
        await by_hand.put_repository(db, call.member, key, repository, owned=owned)
        return await team_of(db, call, key)


def checked_login(login: str) -> str:
    """Return a login of GitHub; raise `Problem` 422 for what cannot be one."""
    try:
        return NewTeam(name="-", members=[login]).members[0]
    except ValueError as wrong:
        raise invalid([{"field": "login", "detail": "That is no login of GitHub."}]) from wrong


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
