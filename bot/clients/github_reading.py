"""How history is asked for: by REST with ETags, and by GraphQL, each within our share of a limit.

<https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api>
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bot.clients.asking import Answer, GitHubError, Patience, Question, RateLimited, Signer
from bot.clients.github import PAGE, Installation, repository_path
from bot.clients.spending import Spending

log = structlog.get_logger()

REST, GRAPHQL = "core", "graphql"
AT_ONCE = 4
ENTERPRISE = "/api/v3"
UNSAID_LIMIT = timedelta(minutes=1)
HIDDEN = frozenset({"FORBIDDEN", "NOT_FOUND"})
FAILED = 502
MISSING = (
    "The GitHub App may not read the {what} of {name}: it needs the permission {permission}: read. "
    "Grant it in the app's settings, then accept it in the installation's."
)


@dataclass
class Reader:
    """Reads of one repository (`owner/name`), and counts the `calls` that were answered."""

    installation: Installation
    full_name: str
    most_of_limit: float = 0.25
    calls: int = 0
    few: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @property
    def patience(self) -> Patience:
        """How long to keep trying."""
        return self.installation.github.line.patience

    def spending(self, resource: str) -> Spending:
        """Return what was spent of one of GitHub's limits."""
        account = f"{self.installation.account}|{resource}"
        return self.installation.github.memory.spendings.setdefault(account, Spending())

    def stay_within_share(self, *resources: str) -> None:
        """Raise `RateLimited` where our share of a limit is spent."""
        for resource in resources:
            if until := self.spending(resource).until(self.most_of_limit):
                raise RateLimited(until)

    async def get(self, rest: str, *, etag: str = "", **params: Any) -> Answer:
        """Ask for something below the repository by REST; an unchanged answer costs nothing."""
        return await self.ask(repository_path(self.full_name, rest), etag=etag, **params)

    async def ask(self, path: str, *, etag: str = "", **params: Any) -> Answer:
        """Ask for anything by REST."""
        question = Question("GET", path, params, etag=etag)
        async with self.few:
            line = self.installation.github.line
            answer = await line.answer(question, self.installation.signer)
        self.calls += 1
        self.spending(REST).note(answer.headers, 0 if answer.unchanged else 1)
        return answer

    async def listed(self, rest: str, name: str = "", **params: Any) -> list[dict[str, Any]]:
        """Return everything that a list below the repository holds, page after page."""
        found: list[dict[str, Any]] = []
        for page in range(1, PAGE + 1):
            answer = await self.get(rest, page=page, per_page=PAGE, **params)
            found += objects(answer.body, name, rest)
            if answer.next_url is None:
                break
        return found

    async def graph(self, what: str, query: str, **variables: Any) -> Mapping[str, Any]:
        """Ask by GraphQL; what may not be seen is null in the answer.

        `what` names what is read, as the permission for it does. Raises `GitHubError`, which is
        `passing` where less at a time may do.
        """
        github, ours = self.installation.github, self.installation.signer
        said = f"POST /graphql ({what} of {self.full_name})"
        body = {"query": query, "variables": variables}
        question = Question("POST", graphql_url(github.api_url), said=said, once=True, body=body)
        signer = Signer(f"{ours.account}|{GRAPHQL}", ours.header, ours.drop)
        answer = await github.line.answer(question, signer)
        self.calls += 1
        told = answer.body if isinstance(answer.body, dict) else {}
        data, errors = told.get("data"), faults(told)
        self.spending(GRAPHQL).note(answer.headers, price(data))
        if any(error.get("type") == "RATE_LIMITED" for error in errors):
            until = github.line.limits.get(signer.account)
            raise RateLimited(until or datetime.now(UTC) + UNSAID_LIMIT)
        if not isinstance(data, dict) or any(each.get("type") not in HIDDEN for each in errors):
            raise GitHubError(FAILED, f"GitHub could not answer {said}: {message(errors)}")
        if "repository" in data and data["repository"] is None:
            raise self.hidden(what, errors)
        if errors:
            log.info("github_hides", asked=said, errors=len(errors), first=message(errors))
        return data

    def hidden(self, what: str, errors: Sequence[Mapping[str, Any]]) -> GitHubError:
        """Return why nothing of the repository may be seen."""
        if any(error.get("type") == "FORBIDDEN" for error in errors):
            why = MISSING.format(what=what.replace("_", " "), name=self.full_name, permission=what)
            return GitHubError(403, why)
        return GitHubError(404, f"GitHub knows no repository {self.full_name} that is open to us.")


def graphql_url(api_url: str) -> str:
    """Return where GraphQL is asked; an Enterprise Server has it beside its REST API."""
    if api_url.endswith(ENTERPRISE):
        return api_url.removesuffix("/v3") + "/graphql"
    return "/graphql"


def faults(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the errors in the body of an answer."""
    errors = told.get("errors")
    listed = errors if isinstance(errors, list) else []
    return [error for error in listed if isinstance(error, dict)]


def message(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return what the first error says, shortened."""
    said = errors[0].get("message") if errors else None
    return said[:300] if isinstance(said, str) else "no reason given"


def price(data: Any) -> int:
    """Return what a query cost of the hourly limit, as its answer says; else 1."""
    limit = data.get("rateLimit") if isinstance(data, dict) else None
    cost = limit.get("cost") if isinstance(limit, dict) else None
    return cost if isinstance(cost, int) else 1


def objects(body: Any, name: str, asked: str) -> list[dict[str, Any]]:
    """Return the objects of a list, or of the list called `name` in an object."""
    listed = body.get(name) if name and isinstance(body, dict) else body
    if not isinstance(listed, list):
        raise GitHubError(502, f"GitHub's answer to {asked} is no list.")
    return [each for each in listed if isinstance(each, dict)]
