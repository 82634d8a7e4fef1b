"""The services of a repository: which of its environments and paths are released together."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints, model_validator
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.accounts import audit
from bot.web.api.endpoints import Call, Query, Strict, endpoint
from bot.web.api.listing import repository_named
from bot.web.auth import Member
from handlers.events import Job
from models.deployments import Service
from models.queue import queue
from models.store import replace

Pattern = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", min_length=1, max_length=200)]


class Described(Strict):
    """A service: `environment` and `paths` are shell patterns (`prod-*`, `web/**`).

    Without paths it is made of all of the repository.
    """

    name: Pattern
    environment: Pattern
    paths: Annotated[list[Pattern], Field(max_length=100, default_factory=list)]


class Services(Strict):
    """The services of a repository. None: each environment is a service of its own."""

    services: Annotated[list[Described], Field(max_length=100)]

    @model_validator(mode="after")
    def names_are_unique(self) -> "Services":
        """Two services cannot share a name."""
        if len({service.name for service in self.services}) < len(self.services):
            raise ValueError("two services have the same name")
        return self


class KnownServices(BaseModel):
    """A repository and its services."""

    repository_id: str
    services: list[Described]


@endpoint("GET", "/repositories/{repo_id:path}/services", query=Query, answer=KnownServices)
async def services(call: Call, query: Query) -> KnownServices:
    """List the services that were described for a repository."""
    async with call.engine.connect() as db:
        repository_id = await repository_named(db, call.member, call.path["repo_id"])
        return await known(db, repository_id)


@endpoint(
    "PUT",
    "/repositories/{repo_id:path}/services",
    roles=("manager",),
    query=Query,
    body=Services,
    answer=KnownServices,
)
async def describe_services(call: Call, query: Query, sent: Services) -> KnownServices:
    """Describe the services of a repository anew; its deployments are then judged again."""
    async with call.engine.begin() as db:
        repository_id = await repository_named(db, call.member, call.path["repo_id"])
        await describe(db, call.member, repository_id, sent)
        return await known(db, repository_id)


async def describe(db: AsyncConnection, member: Member, repository_id: str, sent: Services) -> None:
    """Keep the services of a repository, order that it is measured again, and note who said so."""
    rows = [
        Service(
            repository_id=repository_id,
            organization_id=member.organization_id,
            **service.model_dump(),
        )
        for service in sent.services
    ]
    await serialised(db, repository_id)
    await replace(db, Service, rows, "repository_id = :repo", repo=repository_id)
    again = Job(
        "collect_changes",
        key=f"collect_changes:{repository_id}",
        arguments={"repository": repository_id, "all": True},
    )
    await queue(db, [again], member.organization_id)
    await audit(
        db,
        "describe_services",
        user_id=member.user_id,
        organization_id=member.organization_id,
        detail=repository_id,
    )


async def serialised(db: AsyncConnection, repository_id: str) -> None:
    """Let those who describe the same repository at once do so one after the other."""
    await db.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:key, 0))"),
        {"key": f"services:{repository_id}"},
    )


async def known(db: AsyncConnection, repository_id: str) -> KnownServices:
    """Return what was described for a repository, by name."""
    rows = await db.execute(
        text(
            "select name, environment, paths from services "
            "where repository_id = :repository_id order by name"
        ),
        {"repository_id": repository_id},
    )
    found = [Described(**row) for row in rows.mappings()]
    return KnownServices(repository_id=repository_id, services=found)
