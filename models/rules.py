"""What an organisation says of how a repository's deployments are to be counted (METRICS.md R1)."""

from datetime import datetime

from sqlmodel import SQLModel

from models.columns import maybe_time, now, text, texts


class DeploymentRule(SQLModel, table=True):
    """How one repository's deployments count; a repository without a rule is counted by `auto`.

    `source`: auto, deployments, workflow, release, merge or api. Patterns are globs, read without
    regard to case: `production` and `ignored` of environments, `workflows` of a workflow's name or
    file; an empty list leaves it as it is by default. `applied_at`: when everything measured by the
    rule as it is now was measured again, None while that is under way.
    """

    __tablename__ = "deployment_rules"

    repository_id: str = text(primary_key=True)
    organization_id: str = text(index=True)
    source: str = text(default="auto")
    production: list[str] = texts()
    ignored: list[str] = texts()
    workflows: list[str] = texts()
    by: str = text()
    changed_at: datetime | None = now()
    applied_at: datetime | None = maybe_time()
