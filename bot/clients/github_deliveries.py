"""GitHub's own log of an app's deliveries, which it keeps for three days.

<https://docs.github.com/en/rest/apps/webhooks>. Only the app itself may read it. Nothing here
follows an address that GitHub names: of the next page only the cursor is taken.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

from pydantic import AwareDatetime, BaseModel, Field

from bot.clients.asking import Answer, GitHubError, Question
from bot.clients.github import PAGE, GitHub
from bot.clients.github_answers import understood
from bot.clients.limits import reset

KEPT_HEADERS = (
    "content-type",
    "user-agent",
    "x-github-hook-id",
    "x-github-hook-installation-target-id",
    "x-github-hook-installation-target-type",
)
"""The headers of a delivery that are worth keeping."""

LOG = "/app/hook/deliveries"
RESERVED = 0.1
"""The share of the hour's requests that is left alone: the app renews its tokens with them."""

MOST_PAGES = 5000
ENDLESS = f"GitHub's log of deliveries goes on after {MOST_PAGES} pages."
GONE = (400, 404, 410, 422)
Name = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]


class AttemptAnswer(BaseModel):
    """One line of the log."""

    id: Annotated[int, Field(ge=1, lt=2**63)]
    guid: Name
    delivered_at: AwareDatetime
    redelivery: bool = False
    status_code: int = 0
    event: Name
    action: str | None = None


class LogAnswer(BaseModel):
    """One page of the log."""

    attempts: list[AttemptAnswer]


class RequestAnswer(BaseModel):
    """What was sent: headers by name, and the payload as JSON."""

    headers: dict[str, Any] | None = None
    payload: dict[str, Any] | None = None


class RecordedAnswer(BaseModel):
    """One attempt in full."""

    request: RequestAnswer | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver. `guid` is the delivery's id, shared with every redelivery of it."""

    id: int
    guid: str
    delivered_at: datetime
    redelivery: bool
    succeeded: bool
    event: str
    action: str | None


@dataclass(frozen=True)
class Recorded:
    """What was sent with an attempt: its payload, and those of its headers that are kept."""

    payload: dict[str, Any]
    headers: dict[str, str]


@dataclass
class DeliveryLog:
    """The log of one app. `rest_until`: GitHub still answers, but its hour is nearly used up."""

    github: GitHub
    calls: int = 0
    rest_until: datetime | None = None

    async def pages(self, *, failures: bool) -> AsyncIterator[list[Attempt]]:
        """Yield the log page by page, the newest attempts first; `failures`: those alone.

        A GitHub too old to know that filter lists all of them.
        """
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            params = {"per_page": PAGE, "status": "failure" if failures else None, "cursor": cursor}
            told = {name: value for name, value in params.items() if value is not None}
            question = Question("GET", LOG, told)
            answer = await self.ask(question)
            listed = understood(LogAnswer, {"attempts": answer.body}, question).attempts
            yield [attempt(each) for each in listed]
            following = cursor_of(answer.next_url)
            if following is None or following == cursor:
                return
            cursor = following
        raise GitHubError(None, ENDLESS)

    async def recorded(self, attempt_id: int) -> Recorded | None:
        """Return what was sent with an attempt; None where GitHub has it no more."""
        question = Question("GET", f"{LOG}/{attempt_id}")
        try:
            body = (await self.ask(question)).body
        except GitHubError as error:
            if error.status in GONE:
                return None
            raise
        request = understood(RecordedAnswer, body, question).request
        if request is None or request.payload is None:
            return None
        return Recorded(request.payload, mattering(request.headers or {}))

    async def deliver_again(self, attempt_id: int) -> bool:
        """Have GitHub send an attempt again; False where it will not."""
        try:
            await self.ask(Question("POST", f"{LOG}/{attempt_id}/attempts", once=True))
        except GitHubError as error:
            if error.status in GONE:
                return False
            raise
        return True

    async def ask(self, question: Question) -> Answer:
        """Ask as the app, and see how much of its hour is left."""
        self.calls += 1
        answer = await self.github.line.answer(question, self.github.signer)
        self.rest_until = nearly_used_up(answer.headers) or self.rest_until
        return answer


def attempt(told: AttemptAnswer) -> Attempt:
    """Return a line of the log; GitHub counts answers from 200 to 399 as success."""
    return Attempt(
        told.id,
        told.guid,
        told.delivered_at,
        told.redelivery,
        200 <= told.status_code < 400,
        told.event,
        told.action,
    )


def cursor_of(next_url: str | None) -> str | None:
    """Return the cursor in the address of the next page; None on the last."""
    query = parse_qs(urlsplit(next_url).query) if next_url else {}
    return query.get("cursor", [None])[0]


def mattering(headers: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that are kept, by their small names."""
    small = {name.lower(): value for name, value in headers.items()}
    return {name: str(small[name])[:200] for name in KEPT_HEADERS if small.get(name) is not None}


def nearly_used_up(headers: Mapping[str, str]) -> datetime | None:
    """Return when the hour begins anew, if only the reserve is left of its requests."""
    left, limit = headers.get("x-ratelimit-remaining", ""), headers.get("x-ratelimit-limit", "")
    if not (left.isdecimal() and limit.isdecimal()) or int(left) > int(limit) * RESERVED:
        return None
    return reset({**headers, "x-ratelimit-remaining": "0"}, datetime.now(UTC))
