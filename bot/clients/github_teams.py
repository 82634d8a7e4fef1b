"""An organisation's teams as GitHub lists them (https://docs.github.com/en/rest/teams)."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from pydantic import BaseModel

from bot.clients.github import PAGE, Installation, quoted
from bot.clients.github_answers import understood

MOST_PAGES = 100


class ListedTeam(BaseModel):
    """A team."""

    id: int
    name: str
    slug: str


class ListedMember(BaseModel):
    """Who belongs to a team, those of its child teams too."""

    login: str


class ListedRepository(BaseModel):
    """A repository that a team has."""

    id: int


Listed = TypeVar("Listed", bound=BaseModel)


async def teams_of(github: Installation, organization: str) -> list[ListedTeam]:
    """Return every team of an organisation that the app may see."""
    path = f"/orgs/{quoted(organization)}/teams"
    return [team async for team in every(github, path, ListedTeam)]


async def members_of(github: Installation, organization: str, slug: str) -> list[str]:
    """Return the logins of a team's members, in lower case."""
    path = f"/orgs/{quoted(organization)}/teams/{quoted(slug)}/members"
    return [member.login.lower() async for member in every(github, path, ListedMember)]


async def repositories_of(github: Installation, organization: str, slug: str) -> list[int]:
    """Return the ids of a team's repositories."""
    path = f"/orgs/{quoted(organization)}/teams/{quoted(slug)}/repos"
    return [repository.id async for repository in every(github, path, ListedRepository)]


async def every(
    github: Installation, path: str, kind: type[Listed], **params: Any
) -> AsyncIterator[Listed]:
    """Yield everything that GitHub lists at an address, page by page."""
    for page in range(1, MOST_PAGES + 1):
        told = await github.ask(path, page=page, per_page=PAGE, **params)
        listed = told if isinstance(told, list) else [told]
        for item in listed:
            yield understood(kind, item, path)
        if len(listed) < PAGE:
            return
