"""A small organisation in the tables, so that pages have something to show."""

import json
import random
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from models.columns import Fact
from models.deliveries import Delivery
from models.deployments import DeployedService, DeploymentChange, ServiceDeployment
from models.linear import LinearProject, LinearTeam
from models.organizations import Connection, Organization
from models.people import Identity, Team, TeamMember, TeamRepository
from models.repositories import Repository
from models.store import remember
from tests.browser import build_seeds, incident_seeds

ORGANIZATION = "github:1"
REPOSITORIES = ("acme/api", "acme/mobile", "acme/site")
KINDS = ("new",) * 12 + ("redeploy", "rollback", "rollforward")
PEOPLE = ("ada", "grace", "linus", "margaret")


def facts() -> Iterator[Fact]:
    """Yield the organisation and its repositories."""
    yield Organization(id=ORGANIZATION, login="acme", account_id=1)
    yield Connection(
        id="github:installation:1",
        organization_id=ORGANIZATION,
        source="github",
        external_id="1",
        account_login="acme",
        state="active",
    )
    for number, name in enumerate(REPOSITORIES):
        yield Repository(
            id=f"github:1{number}",
            organization_id=ORGANIZATION,
            full_name=name,
            owner_login="acme",
            url=f"https://github.com/{name}",
        )


def who_and_where() -> Iterator[Fact]:
    """Yield people with their accounts, a team of GitHub and one by hand, and Linear's places."""
    accounts = [f"github:login:{name}" for name in PEOPLE] + ["slack:T1:U2", "linear:u3"]
    for account in accounts:
        name = {"slack:T1:U2": "grace", "linear:u3": "linus"}.get(account)
        email = f"{name or account.rpartition(':')[2]}@example.org"
        yield Identity(
            id=f"{ORGANIZATION}/{account}",
            organization_id=ORGANIZATION,
            source=account.partition(":")[0],
            account=account,
            name=name.title() if name else None,
            email=email,
        )
    for key, source, name in (("github:team:1", "github", "Platform"), ("hand:1", "hand", "Shop")):
        shared = {"organization_id": ORGANIZATION}
        yield Team(id=key, source=source, name=name, slug=name.lower(), **shared)
        for login in PEOPLE[:2]:
            yield TeamMember(id=f"{key}:{login}", team_id=key, login=login, **shared)
        owned = {"team_id": key, "repository_id": "github:10"}
        yield TeamRepository(id=f"{key}:github:10", **owned, **shared)
    yield LinearTeam(id="linear:t1", key="ENG", name="Engineering", organization_id=ORGANIZATION)
    yield LinearProject(id="linear:p1", name="Billing, anew", organization_id=ORGANIZATION)


def deployment(number: int, finished_at: datetime, kind: str | None = "new") -> ServiceDeployment:
    """Return an attempt to deploy; without a kind it failed."""
    repository_id = f"github:1{number % len(REPOSITORIES)}"
    return ServiceDeployment(
        id=f"sd:{number}",
        organization_id=ORGANIZATION,
        repository_id=repository_id,
        service_id=f"{repository_id}:production",
        service="production",
        environment="production",
        environment_class="production",
        deployment_id=f"github:{number}",
        source="deployment_status",
        sha=sha256(str(number).encode()).hexdigest()[:40],
        creator_login=PEOPLE[number % len(PEOPLE)],
        state="success" if kind else "failure",
        kind=kind,
        counted=kind in ("new", "rollback", "rollforward"),
        started_at=finished_at - timedelta(minutes=4),
        finished_at=finished_at,
        url="https://github.com/acme/api/actions/runs/1",
    )


def service(of: ServiceDeployment) -> DeployedService:
    """Return the service that was deployed."""
    return DeployedService(
        id=of.service_id,
        organization_id=ORGANIZATION,
        repository_id=of.repository_id,
        full_name=REPOSITORIES[int(of.repository_id.removeprefix("github:1"))],
        service=of.service,
        environment_class=of.environment_class,
    )


def change(number: int, of: ServiceDeployment, hours: float) -> DeploymentChange:
    """Return a change that a deployment brought, `hours` after its first commit."""
    seconds = hours * 3600
    begun = of.finished_at - timedelta(seconds=seconds)
    return DeploymentChange(
        id=f"dc:{number}",
        organization_id=ORGANIZATION,
        repository_id=of.repository_id,
        service_id=of.service_id,
        environment_class="production",
        service_deployment_id=of.id,
        change_id=f"github:pr:{number}",
        pull_request_number=number,
        sha=of.sha,
        title=f"Change number {number}",
        author_login=PEOPLE[number % len(PEOPLE)],
        cohort="agent" if number % 9 == 0 else "bots" if number % 11 == 0 else "people",
        url=f"https://github.com/acme/api/pull/{number}",
        evidence="push",
        first_commit_at=begun,
        merged_at=of.finished_at - timedelta(seconds=seconds * 0.1),
        deployed_at=of.finished_at,
        lead_seconds=seconds,
        coding_seconds=seconds * 0.45,
        pickup_seconds=seconds * 0.25,
        review_seconds=seconds * 0.2,
        deploy_seconds=seconds * 0.1,
    )


def story(now: datetime, days: int = 190) -> Iterator[SQLModel]:
    """Yield deployments and their changes of the last days, the same for the same time."""
    chance, number = random.Random(7), 0
    for back in range(days, 0, -1):
        day = now - timedelta(days=back)
        busy = 1 if day.weekday() > 4 else 5 + (days - back) // 60
        for _ in range(chance.randrange(busy + 1)):
            number += 1
            finished = day + timedelta(minutes=chance.randrange(600))
            kind = None if chance.random() < 0.07 else chance.choice(KINDS)
            made = deployment(number, finished, kind)
            yield made
            if kind == "new":
                for turn in range(chance.randrange(1, 4)):
                    yield change(number * 10 + turn, made, chance.lognormvariate(2.9, 1.1))


def deliveries(now: datetime) -> Iterator[Delivery]:
    """Yield an inbox with every status."""
    for number, status in enumerate(("settled", "ignored", "failed", "parked", "settled")):
        body = json.dumps({"action": "created", "words": "<script>alert(1)</script>"}).encode()
        yield Delivery(
            source="github",
            delivery_id=f"d-{number}",
            event="deployment_status",
            action="created",
            headers={"x-github-event": "deployment_status"},
            body=zlib.compress(body, 1),
            sha256=sha256(body).digest(),
            received_at=now - timedelta(seconds=90 - number),
            status=status,
            organization_id=ORGANIZATION,
            attempts=1,
            settled_at=now if status == "settled" else None,
            error="no repository" if status in ("failed", "parked") else None,
            decisions=[
                {"handler": "deployment_finished", "remember": "deployments", "id": "github:1"},
                {"handler": "deployment_finished", "job": "collect_changes", "key": "github:1"},
            ],
        )


async def plant(db: AsyncConnection) -> None:
    """Write the whole story."""
    now = datetime.now(UTC)
    await remember(db, [*facts(), *who_and_where(), *build_seeds.workflows()])
    told = list(story(now))
    shipped = [row for row in told if isinstance(row, ServiceDeployment)]
    services = {row.service_id: service(row) for row in shipped}
    others = (*incident_seeds.story(shipped), *build_seeds.story(now), *deliveries(now))
    await write(db, [*services.values(), *told, *others])


async def plant_small(db: AsyncConnection) -> None:
    """Write the organisation and a deployment of acme/api an hour ago."""
    await remember(db, facts())
    one = deployment(3, datetime.now(UTC) - timedelta(hours=1))
    await write(db, [service(one), one])


async def write(db: AsyncConnection, rows: list[SQLModel]) -> None:
    """Insert rows of tables that are not facts."""
    by_table: dict[type[SQLModel], list[dict[str, object]]] = {}
    for row in rows:
        said = row.model_dump(exclude_none=True)
        known = by_table.setdefault(type(row), [])
        known.append(said)
    for table, said in by_table.items():
        columns = {name for row in said for name in row}
        padded = [{name: row.get(name) for name in columns} for row in said]
        await db.execute(SQLModel.metadata.tables[str(table.__tablename__)].insert(), padded)
