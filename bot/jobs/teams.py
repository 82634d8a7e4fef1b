"""`sync_teams`: which teams GitHub has, who belongs to them and which repositories are theirs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clients.github import GitHubError, Installation, RateLimited, installation_for
from bot.clients.github_teams import ListedTeam, members_of, repositories_of, teams_of
from bot.jobs import PutOff, Surroundings, job
from models import Team, TeamMember, TeamRepository
from models import teams as known
from models.columns import Fact
from models.errors import Refused
from models.queue import ClaimedJob
from models.store import remember


@dataclass(frozen=True)
class Told:
    """A team as GitHub lists it."""

    team: ListedTeam
    members: tuple[str, ...]
    repositories: tuple[int, ...]

    @property
    def key(self) -> str:
        """The key of the team."""
        return f"github:team:{self.team.id}"


@job
async def sync_teams(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Read the teams of an installation's organisation; what GitHub lists no more has ended.

    What is told by a webhook while we ask is newer than our question, and stays. Raises PutOff
    where GitHub limits us and Refused where it will not tell.
    """
    connection = str(claimed.arguments["connection"])
    async with surroundings.engine.connect() as db:
        found = await known.installations(db, connection=connection)
    clock = datetime.now(UTC)
    for at in found:
        async with installation_for(
            surroundings.engine, surroundings.settings, surroundings.vault, at.external_id
        ) as github:
            if github is None:
                continue
            try:
                told = await asked(github, at.account_login)
            except RateLimited as limited:
                raise PutOff(limited.until, str(limited)) from limited
            except GitHubError as error:
                if error.status == 404:
                    continue
                raise Refused(str(error)) from error
        async with surroundings.engine.begin() as db:
            await keep(db, at.organization_id, told, clock)


async def asked(github: Installation, organization: str) -> list[Told]:
    """Ask GitHub for every team with its members and repositories."""
    return [
        Told(
            team,
            tuple(await members_of(github, organization, team.slug)),
            tuple(await repositories_of(github, organization, team.slug)),
        )
        for team in await teams_of(github, organization)
    ]


async def keep(
    db: AsyncConnection, organization_id: str, told: Iterable[Told], clock: datetime
) -> None:
    """Remember what GitHub lists, and that what it does not list has ended."""
    told = list(told)
    rows: list[Fact] = [row for team in told for row in await facts(db, team)]
    listed = {team.key for team in told}
    rows += [
        team_row(before["id"], dict(before), deleted=True)
        for before in await known.teams_of_github(db, organization_id)
        if before["id"] not in listed
    ]
    for row in rows:
        row.organization_id, row.changed_at = organization_id, clock
    await remember(db, rows)


async def facts(db: AsyncConnection, told: Told) -> list[Fact]:
    """Return the rows of one team."""
    rows: list[Fact] = [team_row(told.key, told.team.model_dump(), deleted=False)]
    members = {f"{told.key}:{login}": login for login in told.members}
    before = await known.members(db, told.key)
    for key, login in (before | members).items():
        rows.append(TeamMember(id=key, team_id=told.key, login=login, member=key in members))
    ids = {f"{told.key}:github:{number}": f"github:{number}" for number in told.repositories}
    owned = await known.owned(db, told.key)
    for key, repository in (owned | ids).items():
        rows.append(
            TeamRepository(id=key, team_id=told.key, repository_id=repository, owned=key in ids)
        )
    return rows


def team_row(key: str, told: Mapping[str, Any], *, deleted: bool) -> Team:
    """Return the row of a team."""
    return Team(id=key, source="github", name=told["name"], slug=told["slug"], deleted=deleted)
