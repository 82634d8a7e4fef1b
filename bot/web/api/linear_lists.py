"""What was read of Linear: teams, projects, cycles, and issues with their pull requests."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from bot.web.api.endpoints import Call, Words, endpoint
from bot.web.api.listing import Listed, Listing, page

TEAMS = """
    select x.*, x.changed_at as at, m.repository_id, r.full_name as repository
      from linear_teams x
      left join linear_mappings m
        on m.organization_id = x.organization_id and m.linear_id = x.id
      left join repositories r on r.id = m.repository_id
     where x.organization_id = :organization and not x.deleted
"""
PROJECTS = """
    select x.*, x.changed_at as at, m.repository_id, r.full_name as repository
      from linear_projects x
      left join linear_mappings m
        on m.organization_id = x.organization_id and m.linear_id = x.id
      left join repositories r on r.id = m.repository_id
     where x.organization_id = :organization and not x.deleted
"""
CYCLES = """
    select x.*, x.starts_at as at, t.key as team
      from linear_cycles x left join linear_teams t on t.id = x.team_id
     where x.organization_id = :organization and not x.deleted
"""
ISSUES = """
    select x.*, x.changed_at as at, t.key as team, p.name as project, i.name as assignee,
           array(select l.pull_request_id from issue_pull_requests l
                  where l.issue_id = x.id order by 1) as pull_requests
      from linear_issues x
      left join linear_teams t on t.id = x.team_id
      left join linear_projects p on p.id = x.project_id
      left join identities i on i.id = x.organization_id || '/' || x.assignee_id
     where x.organization_id = :organization and not x.deleted
       and (cast(:state as text) is null or x.state_type = :state)
       and (cast(:team as text) is null or :team in (x.team_id, t.key))
"""


class Team(BaseModel):
    """A team. `repository_id`: where its issues are developed, None where nowhere."""

    id: str
    key: str
    name: str
    repository_id: str | None
    repository: str | None


class Teams(Listed):
    """A page of teams."""

    items: list[Team]


class Project(BaseModel):
    """A project. `repository_id`: where its issues are developed, whatever their team's is."""

    id: str
    name: str
    state: str | None
    url: str | None
    started_at: datetime | None
    completed_at: datetime | None
    repository_id: str | None
    repository: str | None


class Projects(Listed):
    """A page of projects."""

    items: list[Project]


class Cycle(BaseModel):
    """A cycle of a team; `team` is its key."""

    id: str
    team_id: str
    team: str | None
    number: int
    name: str | None
    starts_at: datetime
    ends_at: datetime
    completed_at: datetime | None


class Cycles(Listed):
    """A page of cycles."""

    items: list[Cycle]


class Issue(BaseModel):
    """An issue. `pull_requests`: those that belong to it."""

    id: str
    identifier: str
    title: str
    url: str | None
    team_id: str
    team: str | None
    project: str | None
    cycle_id: str | None
    state_name: str | None
    state_type: str | None
    labels: list[str]
    priority: int | None
    estimate: float | None
    assignee: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    canceled_at: datetime | None
    pull_requests: list[str]


class Issues(Listed):
    """A page of issues."""

    items: list[Issue]


class IssueListing(Listing):
    """Which issues: `state` is a type of states, `team` a team's id or key."""

    state: Literal["triage", "backlog", "unstarted", "started", "completed", "canceled"] | None = (
        None
    )
    team: Words | None = None


@endpoint("GET", "/connectors/linear/teams", query=Listing, answer=Teams)
async def teams(call: Call, query: Listing) -> Teams:
    """List teams, those last changed first."""
    async with call.engine.connect() as db:
        rows, cursor = await page(db, TEAMS, query, organization=call.member.organization_id)
    return Teams(items=[Team(**row) for row in rows], next_cursor=cursor)


@endpoint("GET", "/connectors/linear/projects", query=Listing, answer=Projects)
async def projects(call: Call, query: Listing) -> Projects:
    """List projects, those last changed first."""
    async with call.engine.connect() as db:
        rows, cursor = await page(db, PROJECTS, query, organization=call.member.organization_id)
    return Projects(items=[Project(**row) for row in rows], next_cursor=cursor)


@endpoint("GET", "/connectors/linear/cycles", query=Listing, answer=Cycles)
async def cycles(call: Call, query: Listing) -> Cycles:
    """List cycles, those that start last first."""
    async with call.engine.connect() as db:
        rows, cursor = await page(db, CYCLES, query, organization=call.member.organization_id)
    return Cycles(items=[Cycle(**row) for row in rows], next_cursor=cursor)


@endpoint("GET", "/connectors/linear/issues", query=IssueListing, answer=Issues)
async def issues(call: Call, query: IssueListing) -> Issues:
    """List issues with their pull requests, those last changed first."""
    bound = {"organization": call.member.organization_id, "state": query.state, "team": query.team}
    async with call.engine.connect() as db:
        rows, cursor = await page(db, ISSUES, query, **bound)
    return Issues(items=[Issue(**row) for row in rows], next_cursor=cursor)
