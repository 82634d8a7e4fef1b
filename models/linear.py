"""Linear as it tells us: teams, projects, cycles, issues, and what ties issues to pull requests."""

from datetime import datetime

from sqlalchemy import Float, Index
from sqlmodel import Field, SQLModel

from models.columns import Fact, maybe_text, maybe_time, now, text, texts, time


class LinearTeam(Fact, table=True):
    """A team, keyed `linear:<uuid>`; `key` is what its issues' identifiers begin with."""

    __tablename__ = "linear_teams"

    key: str = text()
    name: str = text()
    deleted: bool = False


class LinearProject(Fact, table=True):
    """A project. `state`: backlog, planned, started, paused, completed or canceled."""

    __tablename__ = "linear_projects"

    name: str = text()
    state: str | None = maybe_text()
    url: str | None = maybe_text()
    started_at: datetime | None = maybe_time()
    completed_at: datetime | None = maybe_time()
    deleted: bool = False


class LinearCycle(Fact, table=True):
    """A cycle of a team."""

    __tablename__ = "linear_cycles"

    team_id: str = text()
    number: int
    name: str | None = maybe_text()
    starts_at: datetime = time()
    ends_at: datetime = time()
    completed_at: datetime | None = maybe_time()
    deleted: bool = False


class LinearLabel(Fact, table=True):
    """A label of issues."""

    __tablename__ = "linear_labels"

    name: str = text()
    deleted: bool = False


class LinearIssue(Fact, table=True):
    """An issue as last described; its description is not kept, only what it refers to.

    `state_type`: triage, backlog, unstarted, started, completed or canceled. `mentions`: references
    in title and description (see `handlers.references`). `previous_identifiers`: those it had in
    other teams.
    """

    __tablename__ = "linear_issues"
    __table_args__ = (
        Index("linear_issues_identifier", "organization_id", "identifier"),
        Index("linear_issues_completed", "organization_id", "completed_at"),
    )

    identifier: str = text()
    number: int
    title: str = text()
    url: str | None = maybe_text()
    team_id: str = text()
    project_id: str | None = maybe_text()
    cycle_id: str | None = maybe_text()
    state_name: str | None = maybe_text()
    state_type: str | None = maybe_text()
    labels: list[str] = texts()
    priority: int | None = None
    estimate: float | None = Field(default=None, sa_type=Float)
    assignee_id: str | None = maybe_text()
    creator_id: str | None = maybe_text()
    previous_identifiers: list[str] = texts()
    mentions: list[str] = texts()
    created_at: datetime = time()
    started_at: datetime | None = maybe_time()
    completed_at: datetime | None = maybe_time()
    canceled_at: datetime | None = maybe_time()
    deleted: bool = False


class LinearAttachment(Fact, table=True):
    """What Linear attached to an issue, such as a pull request's address."""

    __tablename__ = "linear_attachments"

    issue_id: str = text(index=True)
    url: str = text(index=True)
    deleted: bool = False


class LinearComment(Fact, table=True):
    """That somebody commented on an issue; the words are not kept."""

    __tablename__ = "linear_comments"

    issue_id: str = text(index=True)
    author_id: str | None = maybe_text()
    created_at: datetime = time()
    deleted: bool = False


class LinearMapping(SQLModel, table=True):
    """The repository in which the issues of a Linear team or project are developed."""

    __tablename__ = "linear_mappings"

    organization_id: str = text(primary_key=True)
    linear_id: str = text(primary_key=True)
    repository_id: str = text()
    by: str = text()
    at: datetime | None = now()


class LinearTicket(SQLModel, table=True):
    """The GitHub issue that stands for a Linear issue while the agent works on it.

    `told`: the last outcome that was written back to Linear, so that none is written twice.
    """

    __tablename__ = "linear_tickets"

    linear_issue_id: str = text(primary_key=True)
    organization_id: str = text()
    repository_id: str = text()
    issue_id: str | None = maybe_text(index=True)
    issue_number: int | None = None
    told: str | None = maybe_text()
    created_at: datetime | None = now()


class IssuePullRequest(SQLModel, table=True):
    """That a pull request belongs to an issue of GitHub or Linear, and how we know.

    Derived. `evidence`: closes, branch, mention or attachment, the strongest of them.
    """

    __tablename__ = "issue_pull_requests"
    __table_args__ = (Index("issue_pull_requests_pull_request", "pull_request_id"),)

    issue_id: str = text(primary_key=True)
    pull_request_id: str = text(primary_key=True)
    organization_id: str = text(index=True)
    source: str = text()
    evidence: str = text()
