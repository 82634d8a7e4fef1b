"""GitHub as a connector: repositories, and what happened in each, read as its webhooks told it.

What follows is decided by the same handlers as of webhooks. Only what derives figures anew is
ordered: nobody is answered for what they asked long ago.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import yaml
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clients.github import GitHub, GitHubError
from bot.clients.github_history import Cost, cost
from bot.connectors import github_reading as reading
from bot.connectors import status
from bot.connectors.github_reading import ACTIONS, HISTORY, PRS, REPOS, Line, Reading, Spot
from bot.connectors.protocol import EVERYTHING, Condition, Page, SyncStatus, Wish, in_words
from bot.surroundings import Surroundings
from bot.vault import app_credentials
from models.teams import installations

name: str = "github"
title: str = "GitHub"
parts: tuple[str, ...] = (REPOS, PRS, ACTIONS, HISTORY)
supported_metrics: frozenset[str] = frozenset(
    {
        "deployment-frequency",
        "lead-time",
        "change-failure-rate",
        "time-to-restore",
        "rework-rate",
        "pr-review-time",
        "cycle-time",
        "throughput",
        "success-rate",
        "duration",
        "frequency",
    }
)

MANIFEST = Path(__file__).parents[2] / "app.yml"
NOT_INSTALLED = "The GitHub App is not installed, or not set up yet."
ENOUGH = {"read": ("read", "write", "admin"), "write": ("write", "admin"), "admin": ("admin",)}


@asynccontextmanager
async def authenticate(
    surroundings: Surroundings, organization_id: str
) -> AsyncIterator[Line | None]:
    """Open a line as the app that an organisation installed; None where it did not.

    The sample's GitHub keeps no history, so that it is not asked for any.
    """
    settings, engine = surroundings.settings, surroundings.engine
    async with engine.connect() as db:
        found = [
            (each.id, each.external_id)
            for each in await installations(db, organization_id=organization_id)
        ]
        credentials = await app_credentials(db, settings, surroundings.vault)
    if credentials is None or not found or settings.sample_data:
        yield None
        return
    async with GitHub(credentials, settings.github_api_url) as github:
        yield Line(engine, github, organization_id, found)


async def test_connection(surroundings: Surroundings, organization_id: str) -> Condition:
    """Ask GitHub what each installation grants, and say what of `app.yml` is missing."""
    granted: list[Mapping[str, str]] = []
    async with authenticate(surroundings, organization_id) as line:
        if line is None:
            return Condition(connected=False, says=NOT_INSTALLED)
        try:
            for _, number in line.installations:
                granted.append(await line.github.installation_permissions(number))
        except GitHubError as error:
            return Condition(connected=False, says=str(error))
    lacking = tuple(dict.fromkeys(each for one in granted for each in missing(one)))
    return Condition(connected=True, says=said(lacking), missing=lacking)


def missing(granted: Mapping[str, str]) -> list[str]:
    """Return the permissions that the app asks for and an installation does not grant."""
    return [
        f"{permission}: {level}"
        for permission, level in wanted().items()
        if granted.get(permission) not in ENOUGH[level]
    ]


def said(lacking: tuple[str, ...]) -> str:
    """Say whether an installation grants all that the app asks for."""
    if not lacking:
        return "GitHub answers, and grants everything that is asked for."
    return (
        f"GitHub answers, but does not grant {', '.join(lacking)}. An owner of the organisation"
        " accepts it in the installation's settings."
    )


@cache
def wanted() -> Mapping[str, str]:
    """Return the permissions that the app asks for: name to read or write."""
    told: dict[str, str] = yaml.safe_load(MANIFEST.read_text())["default_permissions"]
    return told


async def fetch(line: Line, wish: Wish, cursor: str | None) -> AsyncIterator[Page]:
    """Read repositories, then the history of each, from where a page said."""
    spot = Spot.model_validate_json(cursor) if cursor else Spot(began_at=datetime.now(UTC))
    under_way = Reading(line, wish, spot)
    with in_words(GitHubError):
        if wish.part in (REPOS, EVERYTHING) and wish.repository_id is None:
            async for page in reading.read_lists(under_way):
                yield page
        if wish.part != REPOS:
            async for page in reading.read_repositories(under_way):
                yield page
    yield Page(cursor=None, trouble=" ".join(spot.troubles) or None)


async def sync_status(db: AsyncConnection, organization_id: str) -> SyncStatus:
    """Say how reading GitHub stands."""
    return await status.sync_status(db, organization_id, name)


async def cost_of(
    surroundings: Surroundings, organization_id: str, repository_id: str, since: datetime | None
) -> Cost | None:
    """Count what there is to read of a repository since a time; None without anybody to ask.

    Raises `Wait`, and `Trouble` where GitHub would not tell.
    """
    async with authenticate(surroundings, organization_id) as line:
        if line is None:
            return None
        with in_words(GitHubError):
            for each in await line.open(repository_id):
                return await cost(line.installation(each.installation), each.full_name, since)
    return None
