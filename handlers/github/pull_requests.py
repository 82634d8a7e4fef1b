"""Remember pull requests, every head they ever had, and when they were ready for review."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel

import models
from handlers.events import Decision
from handlers.github.cohorts import cohort
from handlers.github.payloads import (
    Count,
    Event,
    Id,
    Label,
    Name,
    Sha,
    Text,
    Time,
    User,
    collect_changes,
    key,
    latest,
    link_issues,
    login,
    measure_pull_requests,
)
from handlers.github.repositories import seen
from handlers.github.source import github
from handlers.references import branch_identifiers, closing, references

OPEN, CLOSED, MERGED = 10, 20, 30
FIRST, LATER, MOVED = 0, 1, 2
TURNS = frozenset({"ready_for_review", "converted_to_draft"})
TELLING = TURNS | {"opened", "reopened", "synchronize"}
USUAL_BRANCHES = frozenset({"main", "master"})


class EndRepository(BaseModel):
    """The repository at one end of a pull request."""

    id: Id
    default_branch: Name | None = None


class End(BaseModel):
    """The head or base of a pull request. `repo` is None when a fork was deleted."""

    ref: Name
    sha: Sha | None = None
    repo: EndRepository | None = None


class Head(End):
    """The head: its SHA is what is merged and deployed."""

    sha: Sha


class Described(BaseModel):
    """A pull request as its own events describe it."""

    id: Id
    number: Count
    title: Text | None = None
    body: Text | None = None
    html_url: Text | None = None
    state: Name
    draft: bool | None = None
    user: User | None = None
    head: Head
    base: End
    labels: list[Label] | None = None
    created_at: Time
    updated_at: Time | None = None
    closed_at: Time | None = None
    merged_at: Time | None = None
    merge_commit_sha: Sha | None = None
    commits: Count | None = None
    additions: Count | None = None
    deletions: Count | None = None
    changed_files: Count | None = None

    @property
    def key(self) -> str:
        """The key of the pull request."""
        return f"github:{self.id}"

    @property
    def clock(self) -> datetime:
        """When this was the pull request's state."""
        known = self.updated_at or latest(self.closed_at, self.merged_at)
        return known or self.created_at


class PullRequestEvent(Event):
    """`pull_request.*`."""

    pull_request: Described
    before: Sha | None = None
    after: Sha | None = None


@github.on("pull_request")
def pull_request_changed(event: PullRequestEvent) -> Iterator[Decision]:
    """A merge, or a new head, may change how long changes took to reach production."""
    pr, at = event.pull_request, event.pull_request.clock
    yield from seen(event, at, pr.user)
    yield remembered(event)
    for sha in dict.fromkeys((event.before, event.after, pr.head.sha)):
        if sha:
            yield head(event, sha)
    if event.action in TURNS:
        yield turn(event)
    yield measure_pull_requests(event.repository, at)
    if pr.merged_at:
        yield collect_changes(event.repository, pr.merged_at)
    elif event.action in TELLING:
        yield collect_changes(event.repository, at)
    yield link_issues(event.repository, at)


def remembered(event: PullRequestEvent) -> models.PullRequest:
    """Return the row. Until it is merged, GitHub's merge commit is only a trial."""
    pr, name = event.pull_request, event.repository.full_name
    words = f"{pr.title or ''}\n{pr.body or ''}"
    closes = closing(words, repository=name)
    mentions = (*closes, *branch_identifiers(pr.head.ref), *references(words, repository=name))
    return models.PullRequest(
        id=pr.key,
        changed_at=pr.clock,
        rank=rank(event),
        repository_id=event.repository.key,
        number=pr.number,
        title=pr.title or "",
        url=pr.html_url,
        state=pr.state,
        draft=bool(pr.draft),
        author_id=key(pr.user),
        author_login=login(pr.user),
        cohort=cohort(pr.user, pr.head.ref),
        base_ref=pr.base.ref,
        base_is_default=base_is_default(event),
        head_ref=pr.head.ref,
        head_sha=pr.head.sha,
        head_repository_id=f"github:{pr.head.repo.id}" if pr.head.repo else None,
        labels=[label.name for label in pr.labels or ()],
        opened_at=pr.created_at,
        merged_at=pr.merged_at,
        closed_at=pr.closed_at,
        merge_commit_sha=pr.merge_commit_sha if pr.merged_at else None,
        commits=pr.commits,
        additions=pr.additions,
        deletions=pr.deletions,
        changed_files=pr.changed_files,
        mentions=list(dict.fromkeys(mentions)),
        closes=closes,
    )


def rank(event: PullRequestEvent) -> int:
    """Order what happened within one second: merged, closed, open; then a new head, the first."""
    pr = event.pull_request
    state = MERGED if pr.merged_at else CLOSED if pr.state == "closed" else OPEN
    if event.action == "opened":
        return state + FIRST
    return state + (MOVED if event.action == "synchronize" else LATER)


def base_is_default(event: PullRequestEvent) -> bool:
    """Say whether the pull request goes to the repository's default branch."""
    base = event.pull_request.base
    default = (base.repo and base.repo.default_branch) or event.repository.default_branch
    return base.ref == default if default else base.ref in USUAL_BRANCHES


def head(event: PullRequestEvent, sha: str) -> models.PullRequestHead:
    """Return the row of a commit that was once the head."""
    pull_request_id = event.pull_request.key
    return models.PullRequestHead(
        id=f"{pull_request_id}:{sha}",
        repository_id=event.repository.key,
        pull_request_id=pull_request_id,
        sha=sha,
    )


def turn(event: PullRequestEvent) -> models.PullRequestTurn:
    """Return the row of a turn to ready for review, or back to a draft."""
    pr, at = event.pull_request, event.pull_request.clock
    return models.PullRequestTurn(
        id=f"{pr.key}:{event.action}:{at.isoformat()}",
        pull_request_id=pr.key,
        action=event.action,
        at=at,
    )
