"""How often the right deployment is blamed, beside naive rules, and how soon it is found."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.elements import TextClause
from sqlmodel import SQLModel

from bench.causes import ORGANIZATION, Causes, Size, causes, in_batches
from bench.report import goal, milliseconds, quantile, say, table
from bench.stage import Stage, database
from bot.jobs.failures import judge, judge_all, relink
from models import DeploymentChange, Incident, ServiceDeployment
from models.store import add, engine, remember

SMALL = Size(services=4, deployments=400, incidents=60, days=60)
TIMES, WARM = 200, 20
GOAL_SECONDS, JUDGE_SECONDS = 0.005, 0.2

Blames = Mapping[str, set[str]]
NEWEST = text("""
    select i.id as incident_id,
           (select d.id from service_deployments d
             where d.organization_id = i.organization_id and d.environment_class = 'production'
               and d.finished_at <= i.started_at
             order by d.finished_at desc limit 1) as id
      from incidents i
""")
NEWEST_NEAR = text("""
    select p.incident_id,
           (select d.id from service_deployments d
             where d.repository_id = p.repository_id
               and d.finished_at between i.started_at - interval '24 hours' and i.started_at
             order by d.finished_at desc limit 1) as id
      from incident_places p join incidents i on i.id = p.incident_id
""")


@dataclass
class Figures:
    """What was found: blames by rule, and times in seconds by what was done."""

    blames: dict[str, Blames] = field(default_factory=dict)
    took: dict[str, list[float]] = field(default_factory=dict)


def run(on: Stage, *, quick: bool = False, size: Size | None = None) -> None:
    """Make histories, judge them, print."""
    size = size or (SMALL if quick else Size())
    made = causes(size)
    with database(on, "blame") as url:
        figures = asyncio.run(figures_of(url, made))
    say(
        f"blame: {len(made.deployments):,} deployments of {size.services} services, "
        f"{len(made.incidents):,} incidents in {size.days} days, of which "
        f"{sum(cause is not None for cause in made.truth.values()):,} have a known cause"
    )
    print_rules(figures, made)
    print_times(figures)


async def figures_of(url: str, made: Causes) -> Figures:
    """Write the history, judge it by every rule, and measure."""
    opened, figures = engine(url, pool_size=2, name="bench"), Figures()
    try:
        await write(opened, made)
        async with opened.begin() as db:
            await judge_all(db, ORGANIZATION)
        async with opened.connect() as db:
            await settle(await db.execution_options(isolation_level="AUTOCOMMIT"))
        await measure(opened, made, figures)
        await compare(opened, made, figures)
    finally:
        await opened.dispose()
    return figures


async def write(opened: AsyncEngine, made: Causes) -> None:
    """Write a history; every repository is judged once before there are incidents."""
    async with opened.begin() as db:
        await remember(db, made.repositories)
        for pull_requests in in_batches(made.pull_requests):
            await remember(db, pull_requests)
        await add_all(db, ServiceDeployment, made.deployments)
        await add_all(db, DeploymentChange, made.changes)
    async with opened.connect() as db:
        await settle(await db.execution_options(isolation_level="AUTOCOMMIT"))
    async with opened.begin() as db:
        for repository in made.repositories:
            await judge(db, ORGANIZATION, repository.id, None)
        await add_all(db, Incident, made.incidents)


async def add_all(db: AsyncConnection, table_of: type[SQLModel], rows: Sequence[SQLModel]) -> None:
    """Write many rows."""
    for some in in_batches(list(rows)):
        await add(db, table_of, some)


async def settle(db: AsyncConnection) -> None:
    """What autovacuum does in time."""
    await db.execute(text("vacuum (analyze)"))


async def measure(opened: AsyncEngine, made: Causes, figures: Figures) -> None:
    """Time what is done when an incident begins, and when a deployment has finished."""
    step = max(len(made.incidents) // (TIMES + WARM), 1)
    chosen = made.incidents[::step][: TIMES + WARM]
    took = [await timed_anew(opened, made, number) for number in range(len(chosen))]
    figures.took["relink a new incident"] = took[min(WARM, len(took) // 2) :]
    newest = max(made.deployments, key=lambda each: each.finished_at)
    everything: list[float] = []
    last: list[float] = []
    for _ in range(5):
        for found, since in ((everything, None), (last, newest.finished_at)):
            async with opened.begin() as db:
                began = time.perf_counter()
                await judge(db, ORGANIZATION, newest.repository_id, since)
                found.append(time.perf_counter() - began)
    figures.took["judge a repository anew"] = everything
    figures.took["judge its newest deployment"] = last


async def timed_anew(opened: AsyncEngine, made: Causes, number: int) -> float:
    """Report an incident like one that there is, and time until it is linked."""
    like = made.incidents[number * max(len(made.incidents) // (TIMES + WARM), 1)]
    told = {name: getattr(like, name) for name in Incident.model_fields}
    new = Incident(**{**told, "id": f"api:new-{number}", "key": "INC-NEW"})
    async with opened.begin() as db:
        await add(db, Incident, [new])
        began = time.perf_counter()
        await relink(db, new.id)
        return time.perf_counter() - began


async def compare(opened: AsyncEngine, made: Causes, figures: Figures) -> None:
    """Judge every incident by our rules and by simpler ones."""
    async with opened.begin() as db:
        figures.blames["Veelocity"] = await blamed(db)
        await db.execute(text("delete from remedies"))
        await judge_all(db, ORGANIZATION)
        figures.blames["the same without what ended it"] = await blamed(db)
        figures.blames["latest of the service in 24 h"] = await answers(db, NEWEST_NEAR)
        figures.blames["latest of all services"] = await answers(db, NEWEST)


async def answers(db: AsyncConnection, rule: TextClause) -> Blames:
    """Return what a simple rule blames."""
    return {row.incident_id: {row.id} for row in await db.execute(rule) if row.id}


async def blamed(db: AsyncConnection) -> Blames:
    """Return what each incident blames."""
    found: dict[str, set[str]] = {}
    asked = "select incident_id, service_deployment_id from incident_deployments"
    for incident, deployment in await db.execute(text(asked)):
        found.setdefault(incident, set()).add(deployment)
    return found


def precision(blames: Blames, truth: Mapping[str, str | None]) -> float:
    """Return the share of right ones of all that is blamed."""
    made = sum(len(blames.get(incident, ())) for incident in truth)
    return right(blames, truth) / made if made else 0.0


def recall(blames: Blames, truth: Mapping[str, str | None]) -> float:
    """Return the share of causes that were found."""
    known = sum(cause is not None for cause in truth.values())
    return right(blames, truth) / known if known else 0.0


def right(blames: Blames, truth: Mapping[str, str | None]) -> int:
    """Return how many causes were found."""
    return sum(cause in blames.get(incident, ()) for incident, cause in truth.items() if cause)


def print_rules(figures: Figures, made: Causes) -> None:
    """Print precision and recall of every rule."""
    measures: tuple[Callable[[Blames, Mapping[str, str | None]], float], ...] = precision, recall
    table(
        "",
        ("rule", "precision", "recall"),
        (
            (rule, *(f"{measured(blames, made.truth):.0%}" for measured in measures))
            for rule, blames in figures.blames.items()
        ),
    )


def print_times(figures: Figures) -> None:
    """Print quantiles with their goals."""
    goals = (GOAL_SECONDS, JUDGE_SECONDS, JUDGE_SECONDS)
    table(
        "",
        ("work", "times", "p50", "p95", "goal for p50"),
        (
            (
                what,
                str(len(took)),
                milliseconds(quantile(took, 0.5)),
                milliseconds(quantile(took, 0.95)),
                goal(f"under {milliseconds(seconds)}", quantile(took, 0.5) < seconds),
            )
            for (what, took), seconds in zip(figures.took.items(), goals, strict=True)
        ),
    )
