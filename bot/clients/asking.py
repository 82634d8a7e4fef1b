"""How GitHub is asked: patiently, within its limits, and never with a secret in what is said.

<https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from bot.clients.limits import limited_until

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger()

PERMISSIONS = (
    ("/access_tokens", "an installation that is active"),
    ("/pulls", "pull_requests"),
    ("/requested_reviewers", "pull_requests"),
    ("/check-runs", "checks"),
    ("/issues", "issues"),
    ("/compare", "contents"),
    ("/contents", "contents"),
    ("/git/", "contents"),
    ("/releases", "contents"),
    ("/deployments", "deployments"),
    ("/actions/", "actions"),
)
INTEGRATION = "resource not accessible by integration"


class GitHubError(Exception):
    """What GitHub would not do, in words. `status` is None where it could not be reached at all."""

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether asking again later may help."""
        return self.status is None or self.status >= 500


class RateLimited(GitHubError):  # noqa: N818 - it is a wish, not a bug
    """GitHub takes no requests before `until`: put the work off, so that the worker stays free."""

    def __init__(self, until: datetime) -> None:
        super().__init__(
            429, f"GitHub takes no more requests before {until:%H:%M:%S} UTC (rate limit)."
        )
        self.until = until

    @property
    def passing(self) -> bool:
        """Whether asking again later may help: that is all it is about."""
        return True


class Again(Exception):  # noqa: N818 - a wish
    """An attempt failed with `error`, but another may do; after `seconds`, or as we see fit.

    `undone`: GitHub surely did nothing, so that even what must not be done twice can be tried.
    """

    def __init__(
        self, error: GitHubError, seconds: float | None = None, *, undone: bool = False
    ) -> None:
        super().__init__(str(error))
        self.error, self.seconds, self.undone = error, seconds, undone


@dataclass(frozen=True)
class Patience:
    """How long to keep trying: the pause doubles from `first_seconds`, with full jitter.

    A limit that ends within `limit_seconds` is waited for, a longer one is `RateLimited`.
    """

    tries: int = 4
    first_seconds: float = 0.5
    longest_seconds: float = 8.0
    limit_seconds: float = 3.0

    def pause(self, attempt: int) -> float:
        """Return the seconds to wait after an attempt, counted from 0."""
        return random.uniform(0, min(self.longest_seconds, self.first_seconds * 2**attempt))  # noqa: S311


@dataclass(frozen=True)
class Signer:
    """Who asks: `header` makes the Authorization, `drop` forgets a token (False: there was none).

    `account` names whose limits are used.
    """

    account: str
    header: Callable[[], Awaitable[str]]
    drop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Question:
    """One request. `said` stands for it in logs and errors, where the path holds a secret.

    `body` is sent as JSON, unless it is None. `once`: it makes something new, so that it is not
    sent again where GitHub may have done it already. `etag`: what the answer had when it was last
    asked for, so that one that is the same need not be given.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""
    once: bool = False
    body: Any = None
    etag: str = ""

    def __str__(self) -> str:
        return self.said or f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """What GitHub answered: the JSON, the headers, and the address of the next page.

    `unchanged`: it is what it was by the question's ETag, and is not given again.
    """

    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    next_url: str | None = None
    unchanged: bool = False


@dataclass
class Line:
    """A line to GitHub: asks, waits, asks again. `limits`: until when which account must wait."""

    client: "httpx.AsyncClient"
    limits: dict[str, datetime]
    patience: Patience = field(default_factory=Patience)

    async def ask(self, question: Question, signer: Signer | None = None) -> Any:
        """Return the JSON of GitHub's answer; raise `RateLimited` or `GitHubError`."""
        return (await self.answer(question, signer)).body

    async def answer(self, question: Question, signer: Signer | None = None) -> Answer:
        """Return GitHub's answer with its headers; raise `RateLimited` or `GitHubError`."""
        attempt, last = 0, self.patience.tries - 1
        while True:
            try:
                return await self.attempt(question, signer)
            except Again as again:
                if attempt >= last or (question.once and not again.undone):
                    raise again.error from None
                seconds = self.patience.pause(attempt) if again.seconds is None else again.seconds
                log.info("github_asked_again", asked=str(question), why=str(again.error))
            await asyncio.sleep(seconds)
            attempt += 1

    async def attempt(self, question: Question, signer: Signer | None) -> Answer:
        """Ask once; raise `Again` where another attempt may do."""
        account = signer.account if signer else ""
        self.wait_for(self.limits.get(account))
        response = await self.send(question, await signer.header() if signer else None)
        if until := limited_until(response.status_code, response.headers, response.content):
            self.limits[account] = until
        if response.status_code < 300:
            following = response.links.get("next", {}).get("url")
            return Answer(read(question, response), response.headers, following)
        if response.status_code == 304 and question.etag:
            return Answer(None, response.headers, unchanged=True)
        if until:
            self.wait_for(until)
            raise Again(RateLimited(until), 0, undone=True)
        error = GitHubError(response.status_code, refusal(question, response))
        if response.status_code == 401 and signer and signer.drop():
            raise Again(error, 0, undone=True)
        raise Again(error) if error.passing else error

    def wait_for(self, until: datetime | None) -> None:
        """Raise `RateLimited` where a limit lasts long, `Again` where it is soon over."""
        seconds = (until - datetime.now(UTC)).total_seconds() if until else 0
        if not until or seconds <= 0:
            return
        if seconds > self.patience.limit_seconds:
            raise RateLimited(until)
        pause = seconds + random.uniform(0, 0.1)  # noqa: S311 - jitter
        raise Again(RateLimited(until), pause, undone=True)

    async def send(self, question: Question, authorization: str | None) -> "httpx.Response":
        """Send one request; raise `Again` when nothing, or half an answer, came back."""
        import httpx

        headers = {"authorization": authorization} if authorization else {}
        headers |= {"if-none-match": question.etag} if question.etag else {}
        started = time.monotonic()
        try:
            response = await self.client.request(
                question.method,
                question.path,
                params=dict(question.params),
                headers=headers,
                json=question.body,
            )
        except httpx.RequestError as error:
            why = f"GitHub could not be reached for {question}: {type(error).__name__}."
            undone = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise Again(GitHubError(None, why), undone=undone) from None
        seconds = round(time.monotonic() - started, 3)
        log.debug("github_asked", asked=str(question), status=response.status_code, seconds=seconds)
        return response


def read(question: Question, response: "httpx.Response") -> Any:
    """Return the JSON of an answer, None of one without; one that breaks off is asked again."""
    if response.status_code == 204:
        return None
    try:
        return response.json()
    except (ValueError, RecursionError):
        why = f"GitHub's answer to {question} is no JSON."
        raise Again(GitHubError(None, why)) from None


def refusal(question: Question, response: "httpx.Response") -> str:
    """Say why GitHub refused, and what is missing where it is a permission."""
    said = message_of(response)
    if response.status_code == 403 and INTEGRATION in said.lower():
        needed = response.headers.get("x-accepted-github-permissions", "").replace("=", ": ")
        needed = needed or guessed(question)
        return (
            f"The GitHub App may not {question}: it needs the permission {needed}. "
            "Grant it in the app's settings, then accept it in the installation's."
        )
    return f"GitHub answered {question} with {response.status_code}: {said or 'no reason given'}"


def guessed(question: Question) -> str:
    """Return the permission that a request needs by its path, where GitHub does not say."""
    name = next((name for part, name in PERMISSIONS if part in question.path), "more")
    if name in ("more", PERMISSIONS[0][1]):
        return name
    return f"{name}: {'read' if question.method == 'GET' else 'write'}"


def message_of(response: "httpx.Response") -> str:
    """Return the `message` of GitHub's answer, shortened; empty where there is none."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return ""
    said = body.get("message") if isinstance(body, dict) else None
    return said[:300] if isinstance(said, str) else ""
