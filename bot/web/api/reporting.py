"""Deployments that are reported: by whatever ships and tells neither GitHub nor Slack."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, StringConstraints, model_validator
from sqlalchemy import text

from bot.web.accounts import audit
from bot.web.api.asking import tell
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint, invalid
from bot.web.api.incident_bodies import AHEAD, Address, Name, Own
from bot.web.api.listing import repository_named
from handlers.events import Job
from handlers.incidents import environment_class
from models.deployments import Deployment
from models.queue import queue
from models.store import remember

Sha = Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]
KNOWN = text("""
    select created_at, repository_id from deployments
     where id = :id and organization_id = :organization
""")


class NewDeployment(Strict):
    """A finished attempt to deploy. `id`: your own for it; the same one again updates it.

    `environment`: a class (production, staging, other) or an environment's name. `sha`: the whole
    one. `created_at`: when it began, `finished_at` where it is left out, which is now by default.
    """

    id: Own | None = None
    repo_id: Words
    environment: Name = "production"
    sha: Sha
    ref: Name | None = None
    state: Literal["success", "failure"] = "success"
    created_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    url: Address | None = None

    @model_validator(mode="after")
    def in_order(self) -> "NewDeployment":
        """Nothing finishes before it began, nor in the future."""
        if self.created_at and self.finished_at and self.finished_at < self.created_at:
            raise ValueError("finished_at: it cannot finish before it began")
        for name in ("created_at", "finished_at"):
            value = getattr(self, name)
            if value and value > datetime.now(UTC) + AHEAD:
                raise ValueError(f"{name}: it is in the future")
        return self


class ReportedDeployment(BaseModel):
    """A deployment as reported. It counts where no better source tells of its service."""

    id: str
    repository_id: str
    source: str
    environment: str
    environment_class: str
    sha: str
    ref: str | None
    state: str
    created_at: datetime
    finished_at: datetime
    url: str | None


@endpoint(
    "POST",
    "/deployments",
    roles=("manager",),
    query=Query,
    body=NewDeployment,
    answer=ReportedDeployment,
)
async def report_deployment(call: Call, query: Query, sent: NewDeployment) -> ReportedDeployment:
    """Report a deployment, or update the one that was reported by the same id."""
    member = call.member
    deployment_id = f"api:{member.organization_id}:{sent.id or uuid4().hex}"
    async with call.engine.begin() as db:
        repository_id = await repository_named(db, member, sent.repo_id)
        bound = {"id": deployment_id, "organization": member.organization_id}
        known = (await db.execute(KNOWN, bound)).first()
        if known and known.repository_id != repository_id:
            detail = "this id was reported for another repository"
            raise invalid([{"field": "repo_id", "detail": detail}])
        row = reported(deployment_id, repository_id, sent, known.created_at if known else None)
        row.organization_id = member.organization_id
        await remember(db, [row])
        since = min(row.created_at, known.created_at) if known else row.created_at
        again = Job(
            "collect_changes",
            key=f"collect_changes:{repository_id}",
            arguments={"repository": repository_id},
            since=since,
        )
        await queue(db, [again], member.organization_id)
        await audit(
            db,
            "report_deployment",
            user_id=member.user_id,
            organization_id=member.organization_id,
            detail=f"{deployment_id} {sent.environment} {sent.sha} {sent.state}",
        )
    await tell(call, "deployment")
    told = {name: getattr(row, name) for name in ReportedDeployment.model_fields if name != "state"
            and name != "finished_at"}  # fmt: skip
    return ReportedDeployment(**told, state=sent.state, finished_at=row.result_at or row.created_at)


def reported(
    deployment_id: str, repository_id: str, sent: NewDeployment, began_at: datetime | None
) -> Deployment:
    """Return the row of a reported deployment; a later report is the newer one."""
    now = datetime.now(UTC)
    finished_at = sent.finished_at or max(now, sent.created_at or now)
    return Deployment(
        id=deployment_id,
        changed_at=now,
        repository_id=repository_id,
        source="api",
        environment=sent.environment,
        environment_class=environment_class(sent.environment),
        sha=sent.sha,
        ref=sent.ref,
        created_at=sent.created_at or began_at or finished_at,
        result=sent.state,
        result_at=finished_at,
        url=sent.url,
    )
