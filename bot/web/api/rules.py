"""How a repository's deployments are counted: its rule, and what a rule would count."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.rule_previews import preview_of
from bot.web.accounts import audit
from bot.web.api.asking import called, missing, tell
from bot.web.api.endpoints import Call, Query, Strict, endpoint
from bot.web.api.listing import repository_named
from bot.web.auth import Member
from handlers.events import Job
from handlers.rules import Rule, checked_patterns
from models.errors import Refused
from models.queue import queue
from models.rule_preview import Preview
from models.rules import keep_rule, ruled

ADDRESS = "/repositories/{repo_id:path}/deployment-rule"
STATES = {"waiting": "applying", "running": "applying", "parked": "failed"}
Source = Literal["auto", "deployments", "workflow", "release", "merge", "api"]


def patterns(told: list[str]) -> list[str]:
    """Return patterns; raise `ValueError` for what cannot be one."""
    try:
        return checked_patterns(told)
    except Refused as refused:
        raise ValueError(str(refused)) from refused


Patterns = Annotated[list[str], AfterValidator(patterns), Field(default_factory=list)]


class SentRule(Strict):
    """How a repository's deployments count; what is left out is as by default.

    `source`: `deployments` are GitHub's deployment statuses. Patterns are globs, read without
    regard to case: environments that fit `ignored` do not count, those that fit `production` are
    production; of `workflows` (names, files or their paths) the runs are deployments, and of no
    others.
    """

    source: Source = "auto"
    production: Patterns
    ignored: Patterns
    workflows: Patterns

    def rule(self) -> Rule:
        """Return it as deployments are judged by it."""
        lists = (tuple(self.production), tuple(self.ignored), tuple(self.workflows))
        return Rule(self.source, *lists)


class KnownRule(BaseModel):
    """How a repository's deployments count.

    `state`: default (nobody changed it), applying (everything is measured again), applied, or
    failed (see `error`). `applied_at`: when everything was measured by it as it is now.
    """

    repository_id: str
    repository: str
    source: Source
    production: list[str]
    ignored: list[str]
    workflows: list[str]
    state: Literal["default", "applying", "applied", "failed"]
    by: str | None
    changed_at: datetime | None
    applied_at: datetime | None
    error: str | None


@endpoint("GET", ADDRESS, query=Query, answer=KnownRule)
async def deployment_rule(call: Call, query: Query) -> KnownRule:
    """Show how a repository's deployments are counted."""
    async with call.engine.connect() as db:
        repository_id = await repository_named(db, call.member, call.path["repo_id"])
        return await known_rule(db, call.member.organization_id, repository_id)


@endpoint("PUT", ADDRESS, roles=("manager",), query=Query, body=SentRule, answer=KnownRule)
async def rule_deployments(call: Call, query: Query, sent: SentRule) -> KnownRule:
    """Say how a repository's deployments count; everything is then measured again."""
    return await ruled_anew(call, sent, "rule_deployments")


@endpoint("DELETE", ADDRESS, roles=("manager",), query=Query, answer=KnownRule)
async def unrule_deployments(call: Call, query: Query) -> KnownRule:
    """Count a repository's deployments by default again; everything is then measured again."""
    return await ruled_anew(call, SentRule.model_validate({}), "unrule_deployments")


@endpoint("POST", f"{ADDRESS}/preview", query=Query, body=SentRule, answer=Preview)
async def preview(call: Call, query: Query, sent: SentRule) -> Preview:
    """Say what the last 90 days would count under a rule, beside what counts. Nothing is kept."""
    async with call.engine.connect() as db:
        repository_id = await repository_named(db, call.member, call.path["repo_id"])
        found = await preview_of(db, repository_id, sent.rule(), datetime.now(UTC))
    if found is None:
        raise missing("repository")
    return found


async def ruled_anew(call: Call, sent: SentRule, action: str) -> KnownRule:
    """Keep a rule, and return it."""
    member = call.member
    async with call.engine.begin() as db:
        repository_id = await repository_named(db, member, call.path["repo_id"])
        await keep(db, member, repository_id, sent, action)
        kept = await known_rule(db, member.organization_id, repository_id)
    await tell(call, "deployment")
    return kept


async def keep(
    db: AsyncConnection, member: Member, repository_id: str, sent: SentRule, action: str
) -> None:
    """Keep a rule, order that everything is measured by it, and note who said so."""
    home, told = member.organization_id, asdict(sent.rule())
    lists = {name: list(each) for name, each in told.items() if isinstance(each, tuple)}
    await keep_rule(db, home, repository_id, told | lists, called(member))
    await queue(db, [measured_again(repository_id)], home)
    said = sent.model_dump_json(exclude_defaults=True)
    await audit(
        db,
        action,
        user_id=member.user_id,
        organization_id=home,
        detail=f"{repository_id} {said}"[:2000],
    )


def measured_again(repository_id: str) -> Job:
    """Order that everything of a repository is measured again."""
    return Job(
        "collect_changes",
        key=f"collect_changes:{repository_id}",
        arguments={"repository": repository_id, "all": True},
    )


async def known_rule(db: AsyncConnection, organization_id: str, repository_id: str) -> KnownRule:
    """Return how a repository's deployments count."""
    [row] = await ruled(db, organization_id, repository_id)
    return shown(row)


def shown(row: RowMapping) -> KnownRule:
    """Return a repository with its rule as it is told."""
    told = {name: row[name] for name in KnownRule.model_fields if name in row}
    state = "default" if row["changed_at"] is None else "applied"
    if row["changed_at"] is not None and row["applied_at"] is None:
        state = STATES.get(row["job"] or "waiting", "applying")
    return KnownRule(
        **told | {"repository_id": row["id"], "repository": row["full_name"], "state": state}
    )
