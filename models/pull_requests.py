"""Pull requests with what was ever seen of them: heads, turns, reviews and comments."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import SQLModel

from models.columns import Fact, maybe_text, maybe_time, text, texts, time


class PullRequest(Fact, table=True):
    """A pull request as GitHub last described it. `cohort`: people, agent or bots.

    `mentions` and `closes`: what its title, description and branch refer to, and which issues it
    says it closes (see `handlers.references`); its description itself is not kept.
    """

    __tablename__ = "pull_requests"
    __table_args__ = (
        Index("pull_requests_merge_commit", "repository_id", "merge_commit_sha"),
        Index("pull_requests_merged", "repository_id", "merged_at"),
        Index("pull_requests_number", "repository_id", "number"),
        Index("pull_requests_head", "repository_id", "head_ref"),
        Index("pull_requests_fork", "head_repository_id", "head_ref"),
        Index("pull_requests_changed", "repository_id", "changed_at"),
        Index("pull_requests_mentions", "mentions", postgresql_using="gin"),
    )

    repository_id: str = text()
    number: int
    title: str = text()
    url: str | None = maybe_text()
    state: str = text()
    draft: bool = False
    author_id: str | None = maybe_text()
    author_login: str | None = maybe_text()
    cohort: str = text()
    base_ref: str = text()
    base_is_default: bool = True
    head_ref: str = text()
    head_sha: str = text()
    head_repository_id: str | None = maybe_text()
    labels: list[str] = texts()
    opened_at: datetime = time()
    merged_at: datetime | None = maybe_time()
    closed_at: datetime | None = maybe_time()
    merge_commit_sha: str | None = maybe_text()
    commits: int | None = None
    additions: int | None = None
    deletions: int | None = None
    changed_files: int | None = None
    mentions: list[str] = texts(sa_column_kwargs={"server_default": "{}"})
    closes: list[str] = texts(sa_column_kwargs={"server_default": "{}"})


class PullRequestHead(Fact, table=True):
    """A commit that was once the head of a pull request; a force-push does not unsee it."""

    __tablename__ = "pull_request_heads"

    repository_id: str = text()
    pull_request_id: str = text(index=True)
    sha: str = text(index=True)


class PullRequestCommit(Fact, table=True):
    """A commit that GitHub listed for a pull request (asked, where pushes did not tell)."""

    __tablename__ = "pull_request_commits"

    pull_request_id: str = text(index=True)
    sha: str = text(index=True)
    authored_at: datetime = time()
    headline: str = text(default="")


class PullRequestTurn(Fact, table=True):
    """When a pull request was made ready for review, or turned back into a draft."""

    __tablename__ = "pull_request_turns"

    pull_request_id: str = text(index=True)
    action: str = text()
    at: datetime = time()


class PullRequestTime(SQLModel, table=True):
    """How long the parts of a pull request took, derived from all that is known of it.

    `first_commit_at`: the earliest author time ever seen on it, else `opened_at`. `ready_at`: when
    it was last made ready for review, else `opened_at`; None while it is a draft. `first_review_at`
    is the first review after that by somebody who is neither its author nor a bot. `answered_at`:
    when its wait for a review ended, by that review, else by its merge or closing; `opened_at`
    while it waits. `state`: open, merged or closed. `account`: its author's, as identities have it.
    """

    __tablename__ = "pull_request_times"
    __table_args__ = (
        Index(
            "pull_request_times_merged",
            "organization_id",
            "merged_at",
            postgresql_include=[
                *("repository_id", "account", "cohort", "first_commit_at", "opened_at"),
                *("ready_at", "first_review_at"),
            ],
        ),
        Index(
            "pull_request_times_answered",
            "organization_id",
            "answered_at",
            postgresql_include=[
                *("repository_id", "account", "cohort", "ready_at", "first_review_at"),
            ],
        ),
        Index("pull_request_times_opened", "organization_id", "opened_at"),
        Index("pull_request_times_open", "organization_id", postgresql_where=sql("state = 'open'")),
        Index("pull_request_times_repository", "repository_id", "merged_at"),
    )

    pull_request_id: str = text(primary_key=True)
    organization_id: str = text()
    repository_id: str = text()
    author_login: str | None = maybe_text()
    account: str | None = maybe_text()
    cohort: str = text()
    state: str = text()
    draft: bool = False
    first_commit_at: datetime = time()
    opened_at: datetime = time()
    ready_at: datetime | None = maybe_time()
    first_review_at: datetime | None = maybe_time()
    merged_at: datetime | None = maybe_time()
    closed_at: datetime | None = maybe_time()
    answered_at: datetime = time()


class Review(Fact, table=True):
    """A review somebody submitted. `cohort` is the reviewer's: people, agent or bots."""

    __tablename__ = "reviews"
    __table_args__ = (Index("reviews_submitted", "repository_id", "submitted_at"),)

    repository_id: str = text()
    pull_request_id: str = text(index=True)
    author_id: str | None = maybe_text()
    author_login: str | None = maybe_text()
    cohort: str = text()
    state: str = text()
    submitted_at: datetime = time()


class ReviewComment(Fact, table=True):
    """A remark on a line of a pull request; its words are not kept."""

    __tablename__ = "review_comments"

    repository_id: str = text()
    pull_request_id: str = text(index=True)
    author_id: str | None = maybe_text()
    author_login: str | None = maybe_text()
    cohort: str = text()
    created_at: datetime = time()
    deleted: bool = False


class Issue(Fact, table=True):
    """A GitHub issue as last described; of its description only what it refers to is kept."""

    __tablename__ = "issues"
    __table_args__ = (Index("issues_number", "repository_id", "number"),)

    repository_id: str = text(index=True)
    number: int
    title: str = text()
    url: str | None = maybe_text()
    state: str = text()
    author_login: str | None = maybe_text()
    labels: list[str] = texts()
    created_at: datetime = time()
    closed_at: datetime | None = maybe_time()
    mentions: list[str] = texts(sa_column_kwargs={"server_default": "{}"})
    deleted: bool = False


class IssueComment(Fact, table=True):
    """A comment on an issue or pull request; its words are not kept."""

    __tablename__ = "issue_comments"

    repository_id: str = text()
    issue_id: str = text(index=True)
    author_id: str | None = maybe_text()
    author_login: str | None = maybe_text()
    cohort: str = text()
    created_at: datetime = time()
    deleted: bool = False
