"""Remember what only GitHub's API tells of a pull request: all its commits, heads and turns.

The event's name is ours (`bot.clients.github_history` tells it). It has a space, which the name of
a delivery's event must not have, so that nobody can send it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)

import models
from handlers.events import Decision
from handlers.github.payloads import (
    Name,
    Sha,
    Text,
    Time,
    User,
    collect_changes,
    measure_pull_requests,
)
from handlers.github.pull_requests import PullRequestEvent, head
from handlers.github.repositories import contributor
from handlers.github.source import github
from models.columns import EPOCH

PULL_REQUEST = "history of a pull request"


class Commit(BaseModel):
    """One of a pull request's commits. A date beyond the calendar, which git allows, is None."""

    sha: Sha
    message: Text | None = None
    authored_at: Time | None = None

    @field_validator("authored_at", mode="wrap")
    @classmethod
    def calendar(cls, value: object, read: ValidatorFunctionWrapHandler) -> datetime | None:
        """Read a date, so that one odd commit does not cost the whole pull request."""
        try:
            date: datetime | None = read(value)
        except ValidationError:
            return None
        return date


class Turn(BaseModel):
    """When a pull request became ready for review, or a draft again."""

    action: Name
    at: Time


class PullRequestHistory(PullRequestEvent):
    """What GitHub's API tells of a pull request beyond its webhooks."""

    commits: Annotated[list[Commit], Field(default_factory=list)]
    heads: Annotated[list[Sha], Field(default_factory=list)]
    turns: Annotated[list[Turn], Field(default_factory=list)]
    actors: Annotated[list[User], Field(default_factory=list)]


@github.on(PULL_REQUEST)
def pull_request_read(event: PullRequestHistory) -> Iterator[Decision]:
    """Force-pushed heads and turns may be older than our installation, and count all the same."""
    pr = event.pull_request
    for user in {user.id: user for user in event.actors}.values():
        yield contributor(user, pr.clock)
    for commit in {commit.sha: commit for commit in event.commits}.values():
        yield models.PullRequestCommit(
            id=f"{pr.key}:{commit.sha}",
            pull_request_id=pr.key,
            sha=commit.sha,
            authored_at=commit.authored_at or EPOCH,
            headline=(commit.message or "").partition("\n")[0].strip(),
        )
    for sha in dict.fromkeys(event.heads):
        yield head(event, sha)
    for turn in event.turns:
        yield models.PullRequestTurn(
            id=f"{pr.key}:{turn.action}:{turn.at.isoformat()}",
            pull_request_id=pr.key,
            action=turn.action,
            at=turn.at,
        )
    yield measure_pull_requests(event.repository, pr.clock)
    if pr.merged_at:
        yield collect_changes(event.repository, pr.merged_at)
