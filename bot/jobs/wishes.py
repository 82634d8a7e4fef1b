"""What all wishes for the agent have in common: who asks, where, whether they may, what is said."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bot.agent.tickets import pinned, tell
from bot.clients import github_work
from bot.clients.github import GitHubError, Installation, RateLimited, installation_for
from bot.jobs import PutOff, Surroundings
from models import wishes
from models.deriving import Home, home_of
from models.errors import Refused
from models.queue import ClaimedJob

log = structlog.get_logger()

MOST_AGE = timedelta(days=6)
"""How old a wish may be: less than finished jobs are kept, which say what was considered."""

CONFIGURATION = ".github/veelocity.yml"
ANSWER = "<!-- veelocity:answer -->"
REFUSED, ASKED = "agent_refused", "agent_asked"


@dataclass(frozen=True)
class Wish:
    """Somebody wants something of the agent: `by_id` and `by_login` are theirs on GitHub."""

    home: Home
    told: Mapping[str, Any]
    at: datetime
    by_id: int
    by_login: str

    @property
    def name(self) -> str:
        """The repository, `owner/name`."""
        return self.home.full_name

    @property
    def issue(self) -> Mapping[str, Any]:
        """The issue as it was when they asked."""
        issue: Mapping[str, Any] = self.told["issue"]
        return issue

    @property
    def by(self) -> dict[str, str]:
        """Who asks, as runs and tickets keep it."""
        return {
            "requested_by_id": f"github:{self.by_id}",
            "requested_by_login": self.by_login,
        }


async def heard(surroundings: Surroundings, claimed: ClaimedJob) -> Wish | None:
    """Read a wish; None for one that is too old, was considered before, or is of nobody's.

    A delivery can be sent again under another id, since its signature covers the body alone; the
    wish in it is the same.
    """
    told = claimed.arguments
    at = datetime.fromisoformat(str(told["at"]))
    async with surroundings.engine.connect() as db:
        home = await home_of(db, str(told["repository"]))
        again = await wishes.considered(db, claimed.key, claimed.id)
    if home is None or home.installation is None or again:
        return None
    if home.organization_id != claimed.organization_id or datetime.now(UTC) - at > MOST_AGE:
        return None
    by = told.get("by") or {"id": 0, "login": ""}
    return Wish(home, told, at, int(by["id"]), str(by["login"]))


@asynccontextmanager
async def speaking(surroundings: Surroundings, home: Home) -> AsyncIterator[Installation | None]:
    """Open GitHub for a job; None where there is no app to ask as.

    Raises `PutOff` where GitHub limits us, `Refused` where it will not do what is asked.
    """
    try:
        async with installation_for(
            surroundings.engine, surroundings.settings, surroundings.vault, home.installation
        ) as github:
            yield github
    except RateLimited as limited:
        raise PutOff(limited.until, str(limited)) from None
    except GitHubError as error:
        raise Refused(str(error)) from None


async def may(github: Installation, wish: Wish) -> bool:
    """Tell whether whoever asks may: a person with write access, by GitHub's own word of now."""
    return await github_work.may_write(github, wish.name, wish.by_login, wish.by_id)


async def refuse(surroundings: Surroundings, github: Installation, wish: Wish) -> None:
    """Turn somebody away: a thumb down where they asked, and a line in the audit log."""
    await noted(surroundings, wish, REFUSED)
    await react(github, wish, github_work.NO)


async def noted(surroundings: Surroundings, wish: Wish, action: str, more: str = "") -> None:
    """Write down who asked for what."""
    told = wish.told
    what = next((f"{each} {told[each]}" for each in ("label", "assignee") if told.get(each)), "")
    if "command" in told:
        command = told["command"]
        what = f"/claude {command['verb']} {command['value']}".strip()
    number = told["issue"]["number"] if "issue" in told else told.get("number")
    who = f"{wish.by_login} (github:{wish.by_id})"
    detail = f"{who} on {wish.name}#{number}: {what or 'review'} {more}".strip()
    async with surroundings.engine.begin() as db:
        await wishes.audit(db, wish.home.organization_id, action, detail)


async def react(github: Installation, wish: Wish, content: str) -> None:
    """React where somebody asked: on their comment, else on the issue.

    Without the permission to react the work is still done, so that is only logged.
    """
    where = {"comment": wish.told.get("comment")}
    if where["comment"] is None:
        where = {"issue": wish.issue["number"]}
    try:
        await github_work.react(github, wish.name, content, **where)
    except GitHubError as error:
        if error.passing:
            raise
        log.warning("not_reacted", repository=wish.name, why=str(error))


async def answer(github: Installation, wish: Wish, words: str) -> None:
    """Answer a command: one comment of ours an issue, edited for each answer."""
    body, number = f"{ANSWER}\n@{wish.by_login} {words}", int(wish.issue["number"])
    found = await github_work.find_comment(github, wish.name, number, ANSWER)
    if found is None:
        await github_work.create_comment(github, wish.name, number, body)
        return
    await github_work.edit_comment(github, wish.name, found, body)


async def configured(github: Installation, home: Home) -> tuple[str, Any]:
    """Return the default branch's commit, and the repository's configuration in it."""
    from bot.agent.configuration import read_configuration

    commit = await pinned(github, home)
    body = await github_work.file_at(github, home.full_name, CONFIGURATION, commit)
    return commit, read_configuration(body)[0]


async def changed(surroundings: Surroundings, wish: Wish) -> None:
    """Tell open pages that tickets and runs changed."""
    await tell(surroundings, wish.home.organization_id)
