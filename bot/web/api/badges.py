"""Badges over the API: made, listed and withdrawn by managers; the pictures are public."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint
from bot.web.api.listing import repository_named
from bot.web.badges import TITLES
from bot.web.making_badges import address, make, withdraw
from bot.web.problems import Problem
from models.badges import Shown, badges_of
from models.errors import Refused

Metric = Literal[
    "deployment_frequency",
    "change_lead_time",
    "change_failure_rate",
    "failed_deployment_recovery_time",
    "rework_rate",
]


class SentBadge(Strict):
    """What a badge is to show. `repo_id`: `github:123` or `owner/name`; None: the organisation."""

    metric: Metric
    repo_id: Words | None = None


class Badge(BaseModel):
    """A badge that stands. `repository_id` is None for one of the whole organisation."""

    id: str
    metric: Metric
    repository_id: str | None
    repository: str | None
    by: str | None
    made_at: datetime


class Badges(BaseModel):
    """An organisation's badges, newest first."""

    badges: list[Badge]


class NewBadge(BaseModel):
    """A badge that was made. Its `url` is told now and never again: only a hash of it is kept."""

    metric: Metric
    repository_id: str | None
    url: str
    markdown: str


@endpoint("GET", "/badges", roles=("manager",), query=Query, answer=Badges)
async def badges(call: Call, query: Query) -> Any:
    """List the badges that were not withdrawn."""
    async with call.engine.connect() as db:
        made = await badges_of(db, call.member.organization_id)
    return {"badges": [vars(each) for each in made]}


@endpoint(
    "POST", "/badges", roles=("manager",), query=Query, body=SentBadge, answer=NewBadge,
    problems=("409",),
)  # fmt: skip
async def make_badge(call: Call, query: Query, sent: SentBadge) -> NewBadge:
    """Make a badge: one of the five metrics of the last 30 days, public at its own address."""
    member = call.member
    async with call.engine.begin() as db:
        repository = await repository_named(db, member, sent.repo_id) if sent.repo_id else None
        shown = Shown(member.organization_id, repository, sent.metric)
        try:
            token = await make(db, member, shown)
        except Refused as refused:
            raise Problem(409, "Conflict", str(refused)) from refused
    url = address(call.settings, token)
    return NewBadge(
        metric=sent.metric,
        repository_id=repository,
        url=url,
        markdown=f"![{TITLES[sent.metric]}]({url})",
    )


@endpoint("DELETE", "/badges/{badge_id}", roles=("manager",), query=Query)
async def withdraw_badge(call: Call, query: Query) -> None:
    """Withdraw a badge for ever: its address answers 404 from then on."""
    async with call.engine.begin() as db:
        done = await withdraw(db, call.member, call.path["badge_id"])
    if not done:
        raise Problem(404, "Not Found", "There is no such badge.")
