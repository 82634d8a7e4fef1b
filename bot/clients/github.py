"""The one place that speaks to GitHub's API (https://docs.github.com/en/rest), as a GitHub App.

githubkit signs; requests go through one pool of connections of our own, because githubkit's is
bound to the task that opened it, and its models refuse real answers.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncEngine

from bot.clients.asking import GitHubError, Line, Patience, Question, RateLimited, Signer
from bot.clients.github_answers import (
    App,
    AppAnswer,
    CommitsAnswer,
    CompareAnswer,
    Compared,
    ConvertedManifest,
    InstallationAnswer,
    ListedCommit,
    understood,
)
from bot.clients.signing import Memory, Token, account_of, app_auth, app_header, read_token
from bot.settings import Settings
from bot.vault import AppCredentials, Vault, app_credentials

if TYPE_CHECKING:
    import ssl

    import httpx
    from githubkit.auth.app import AppAuth

__all__ = [
    "App",
    "AppCredentials",
    "Compared",
    "ConvertedManifest",
    "GitHub",
    "GitHubError",
    "Installation",
    "ListedCommit",
    "Patience",
    "RateLimited",
    "convert_manifest",
    "installation_for",
]

COMPARE_PAGE, PAGE = 250, 100
MOST_COMMITS, MOST_PULL_REQUEST_COMMITS = 5000, 250
MEMORY = Memory()
HEADERS = {
    "accept": "application/vnd.github+json",
    "user-agent": "Veelocity",
    "x-github-api-version": "2022-11-28",
}


@cache
def trusted() -> "ssl.SSLContext":
    """Return whose certificates are trusted: read once, since that blocks for 30 ms."""
    import httpx

    return httpx.create_ssl_context()


def web_client(api_url: str) -> "httpx.AsyncClient":
    """Open a pool of connections to GitHub's API."""
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)
    return httpx.AsyncClient(
        base_url=api_url,
        headers=HEADERS,
        verify=trusted(),
        timeout=httpx.Timeout(30, connect=5),
        limits=httpx.Limits(max_connections=20),
        follow_redirects=True,
    )


class GitHub:
    """An open line to GitHub as one app: `async with GitHub(credentials, api_url) as github`.

    `memory` holds tokens and used-up limits; the process's by default, so that a `GitHub` may be
    opened for one job. Every call raises `RateLimited` or `GitHubError`.
    """

    def __init__(
        self,
        credentials: AppCredentials,
        api_url: str = "https://api.github.com",
        *,
        patience: Patience | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.credentials, self.api_url = credentials, api_url
        self.patience = patience or Patience()
        self.memory = MEMORY if memory is None else memory
        self.installations: dict[int, Installation] = {}

    async def __aenter__(self) -> Self:
        self.auth: AppAuth = app_auth(self.credentials, self.api_url)
        self.client = web_client(self.api_url)
        self.line = Line(self.client, self.memory.limits, self.patience)
        self.signer = Signer(self.account(None), lambda: app_header(self.auth))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    def account(self, installation_id: int | None) -> str:
        """Name whose tokens and limits these are."""
        return account_of(self.credentials, self.api_url, installation_id)

    def installation(self, installation_id: int | str) -> "Installation":
        """Return the app as installed by one account; nothing is asked yet."""
        number = int(installation_id)
        return self.installations.setdefault(number, Installation(self, number))

    async def app(self) -> App:
        """Return the app itself: its slug, address, permissions and events."""
        question = Question("GET", "/app")
        body = await self.line.ask(question, self.signer)
        return understood(AppAnswer, body, question).app()

    async def installation_permissions(self, installation_id: int | str) -> dict[str, str]:
        """Return what an installation grants: name to read or write."""
        question = Question("GET", f"/app/installations/{int(installation_id)}")
        body = await self.line.ask(question, self.signer)
        return understood(InstallationAnswer, body, question).permissions

    async def new_token(self, installation_id: int) -> Token:
        """Ask for an installation's token, which lasts an hour."""
        question = Question("POST", f"/app/installations/{installation_id}/access_tokens")
        try:
            return read_token(await self.line.ask(question, self.signer))
        except GitHubError as error:
            if error.status != 404:
                raise
            why = f"GitHub knows no installation {installation_id} of this app: was it uninstalled?"
            raise GitHubError(401, why) from None


class Installation:
    """The app as one account installed it; its token is fetched when needed, and again in time."""

    def __init__(self, github: GitHub, installation_id: int) -> None:
        self.github, self.installation_id = github, installation_id
        self.account = github.account(installation_id)
        self.renewing = asyncio.Lock()
        self.signer = Signer(self.account, self.header, self.drop)

    async def header(self) -> str:
        """Return the installation's Authorization, from memory while its token lasts."""
        async with self.renewing:
            token = self.github.memory.tokens.get(self.account)
            if token is None or not token.fresh:
                token = await self.github.new_token(self.installation_id)
                self.github.memory.tokens[self.account] = token
        return f"token {token.value.get_secret_value()}"

    def drop(self) -> bool:
        """Forget a token that GitHub refused; False when there was none."""
        return self.github.memory.tokens.pop(self.account, None) is not None

    async def ask(self, path: str, **params: Any) -> Any:
        """Ask for one page of something."""
        return await self.github.line.ask(Question("GET", path, params), self.signer)

    async def send(
        self, method: str, path: str, body: Any = None, *, once: bool | None = None
    ) -> Any:
        """Have something done; return GitHub's answer, None where it is empty.

        `once`: it is not sent again where GitHub may have done it already (an answer was lost), as
        is so for every POST unless told otherwise. Then whoever asks looks before asking again.
        """
        only_once = method == "POST" if once is None else once
        question = Question(method, path, once=only_once, body=body)
        return await self.github.line.ask(question, self.signer)

    async def compare(
        self, full_name: str, base: str, head: str, limit: int = MOST_COMMITS
    ) -> Compared:
        """Return the commits of head that base has not, oldest first, page by page.

        Beyond `limit` the rest is left out and `complete` is False. `unknown`: GitHub has not both
        commits, or no common ancestor of theirs, or the repository is not open to us.
        """
        path = repository_path(full_name, f"/compare/{quoted(base)}...{quoted(head)}")
        commits: dict[str, ListedCommit] = {}
        page, status, total = 1, "unknown", 1
        while len(commits) < min(total, limit):
            try:
                body = await self.ask(path, page=page, per_page=COMPARE_PAGE)
            except GitHubError as error:
                if error.status == 404 and page == 1:
                    return Compared("unknown")
                raise
            answer = understood(CompareAnswer, body, path)
            status, total, known = answer.status, answer.total_commits, len(commits)
            commits |= {each.sha: each.listed() for each in answer.commits}
            if len(commits) == known:
                break
            page += 1
        kept = tuple(commits.values())[:limit]
        return Compared(status, tuple(each.sha for each in kept), kept, len(kept) >= total)

    async def pull_request_commits(self, full_name: str, number: int) -> tuple[ListedCommit, ...]:
        """Return a pull request's commits, oldest first; GitHub lists 250 at most."""
        path = repository_path(full_name, f"/pulls/{number}/commits")
        commits: dict[str, ListedCommit] = {}
        for page in range(1, -(-MOST_PULL_REQUEST_COMMITS // PAGE) + 1):
            body = {"commits": await self.ask(path, page=page, per_page=PAGE)}
            listed = understood(CommitsAnswer, body, path).commits
            commits |= {each.sha: each.listed() for each in listed}
            if len(listed) < PAGE:
                break
        return tuple(commits.values())


def quoted(part: str) -> str:
    """Return a part of a path, with everything special escaped."""
    return quote(part, safe="")


def repository_path(full_name: str, rest: str) -> str:
    """Return a path below a repository, `owner/name`."""
    owner, _, name = full_name.partition("/")
    return f"/repos/{quoted(owner)}/{quoted(name)}{rest}"


async def convert_manifest(code: str, api_url: str) -> ConvertedManifest:
    """Turn the code that GitHub handed back into an app and its secrets; a code works once.

    <https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>
    """
    path, said = f"/app-manifests/{quoted(code)}/conversions", "POST /app-manifests/…/conversions"
    async with web_client(api_url) as client:
        body = await Line(client, {}).ask(Question("POST", path, said=said, once=True))
    return understood(ConvertedManifest, body, said)


@asynccontextmanager
async def installation_for(
    engine: AsyncEngine, settings: Settings, vault: Vault, installation_id: int | str | None
) -> AsyncIterator[Installation | None]:
    """Open an installation with the credentials there are now; None without an app to ask as."""
    async with engine.connect() as db:
        credentials = await app_credentials(db, settings, vault) if installation_id else None
    if credentials is None or not installation_id:
        yield None
        return
    async with GitHub(credentials, settings.github_api_url) as github:
        yield github.installation(installation_id)
