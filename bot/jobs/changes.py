"""`collect_changes`: which changes each deployment brought, asked of GitHub where nobody told."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clients.github import Compared, GitHubError, Installation, RateLimited, installation_for
from bot.jobs import PutOff, Surroundings, job
from bot.jobs.alerts import queue_alerts
from bot.jobs.derive import Known, derive, look, ranges_of
from bot.jobs.failures import judge
from bot.jobs.history import History, history_of
from bot.jobs.pull_requests import measured
from bot.live import publish
from models import Commit, Comparison, DeploymentChange, PullRequestCommit, ServiceDeployment
from models import deriving as ask
from models.columns import Fact
from models.errors import Refused
from models.graph import SLACK
from models.pull_request_times import with_heads
from models.queue import ClaimedJob
from models.rules import applied
from models.store import remember, replace

log = structlog.get_logger()

ROUNDS = 3


@dataclass(frozen=True)
class Wanted:
    """What only GitHub can tell: ranges (base, head), and pull requests (id, number)."""

    ranges: Sequence[tuple[str, str]] = ()
    pull_requests: Sequence[tuple[str, int]] = ()

    def __bool__(self) -> bool:
        return bool(self.ranges or self.pull_requests)


@dataclass
class Trouble:
    """Why GitHub could not be asked everything; what was derived is from what is known."""

    until: datetime | None = None
    says: list[str] = field(default_factory=list)


@job
async def collect_changes(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Derive a repository's deployments and changes again, from the job's `since` on.

    Raises PutOff where GitHub limits us and Refused where it will not tell; what is known by then
    has been derived all the same.
    """
    repository_id = str(claimed.arguments["repository"])
    since = claimed.since - SLACK if claimed.since else None
    if claimed.arguments.get("all"):
        since = None
    async with surroundings.engine.connect() as db:
        home = await ask.home_of(db, repository_id)
        if home is None or (since and not await ask.touched(db, repository_id, since)):
            return
    trouble = await collect(surroundings, home, since)
    with suppress(RedisError, OSError):
        await publish(surroundings.redis, home.organization_id, "deployment", "incident")
    if trouble.until:
        raise PutOff(trouble.until, "; ".join(trouble.says))
    if trouble.says:
        raise Refused("; ".join(trouble.says))


async def collect(surroundings: Surroundings, home: ask.Home, since: datetime | None) -> Trouble:
    """Derive a repository, after GitHub was asked for what only it can tell."""
    trouble, unknown = Trouble(), set[tuple[str, str]]()
    async with installation_for(
        surroundings.engine, surroundings.settings, surroundings.vault, home.installation
    ) as github:
        for left in reversed(range(ROUNDS + 1)):
            asking = github if left and not trouble.says else None
            async with surroundings.engine.begin() as db:
                wanted = await derived(db, home, since, None if asking is None else unknown)
            if not wanted or asking is None:
                break
            try:
                unknown |= await fetch(surroundings, asking, home, wanted)
            except RateLimited as limited:
                trouble = Trouble(limited.until, [str(limited)])
            except GitHubError as error:
                log.warning("github_would_not_tell", repository=home.full_name, error=str(error))
                trouble = Trouble(None, [str(error)])
    return trouble


async def derived(
    db: AsyncConnection,
    home: ask.Home,
    since: datetime | None,
    unknown: Collection[tuple[str, str]] | None,
) -> Wanted:
    """Derive a repository from what is known, unless GitHub is to be asked for something first.

    Returns what that is. `unknown`: ranges that GitHub has just said it does not know either;
    None where it is not to be asked.
    """
    repository_id = home.place.repository_id
    await ask.lock(db, repository_id)
    history = await history_of(db, home, since)
    known = await ranges_of(db, history)
    if unknown is not None:
        ranges = [pair for pair in known.lacking if pair not in unknown]
        if ranges:
            return Wanted(ranges=ranges)
    await look(db, history, known)
    if unknown is not None and (thinner := await thin(db, known)):
        return Wanted(pull_requests=sorted(thinner.items()))
    deployments, changes = await derive(db, history, known)
    await put_in_place(db, history, deployments, changes)
    await judge(db, home.organization_id, repository_id, history.since)
    await queue_alerts(db, home.organization_id, repository_id, datetime.now(UTC))
    if history.since is None and history.rule.changed_at:
        await applied(db, repository_id, history.rule.changed_at)
    return Wanted()


async def put_in_place(
    db: AsyncConnection,
    history: History,
    deployments: Sequence[ServiceDeployment],
    changes: Sequence[DeploymentChange],
) -> None:
    """Write derived rows in the place of those from `since` on, and mark who was first."""
    bound = {"repository": history.place.repository_id, "since": history.start}
    gone = await ask.rows(db, ask.CHANGES_SINCE, **bound)
    where = "repository_id = :repository and finished_at >= :since"
    await replace(db, ServiceDeployment, deployments, where, **bound)
    where = "repository_id = :repository and deployed_at >= :since"
    await replace(db, DeploymentChange, changes, where, **bound)
    ids = {row.change_id for row in gone} | {change.change_id for change in changes}
    await ask.mark_first(db, history.place.repository_id, sorted(ids))


async def thin(db: AsyncConnection, known: Known) -> dict[str, int]:
    """Return the pull requests (id to number) of which we know fewer commits than GitHub counts."""
    fewer = {
        owner: row.number
        for span, told in known.told.items()
        for owner, row in told.items()
        if row.commits
        and (owner not in known.seen[span] or known.seen[span][owner].commits < row.commits)
    }
    if not fewer:
        return {}
    asked = {row.pull_request_id for row in await ask.rows(db, ask.LISTED, ids=list(fewer))}
    return {owner: number for owner, number in fewer.items() if owner not in asked}


async def fetch(
    surroundings: Surroundings, github: Installation, home: ask.Home, wanted: Wanted
) -> set[tuple[str, str]]:
    """Ask GitHub, answer by answer, so that what was told before a failure is kept.

    Returns the ranges that GitHub does not know. They are not remembered: a repository that was
    closed to the app answers so too, and may be opened later.
    """
    unknown = set()
    for base, head in wanted.ranges:
        compared = await github.compare(home.full_name, base, head)
        if compared.status == "unknown":
            unknown.add((base, head))
        else:
            await keep(surroundings, compared_facts(home, base, head, compared))
            await measure_heads(surroundings, home, compared.shas)
    for owner, number in wanted.pull_requests:
        listed = await github.pull_request_commits(home.full_name, number)
        rows = [
            PullRequestCommit(
                id=f"{owner}:{commit.sha}",
                organization_id=home.organization_id,
                pull_request_id=owner,
                sha=commit.sha,
                authored_at=commit.authored_at,
                headline=commit.headline,
            )
            for commit in listed
        ]
        await keep(surroundings, rows)
        async with surroundings.engine.begin() as db:
            await measured(db, home, [owner])
    return unknown


async def measure_heads(surroundings: Surroundings, home: ask.Home, shas: Sequence[str]) -> None:
    """Measure the pull requests again of whose heads GitHub has just told when they were made."""
    async with surroundings.engine.begin() as db:
        ids = await with_heads(db, home.place.repository_id, shas)
        await measured(db, home, ids)


async def keep(surroundings: Surroundings, rows: Sequence[Fact]) -> None:
    """Remember rows in a transaction of their own."""
    async with surroundings.engine.begin() as db:
        await remember(db, rows)


def compared_facts(home: ask.Home, base: str, head: str, compared: Compared) -> list[Fact]:
    """Return GitHub's answer as rows: the range, and its commits (which a push may outrank)."""
    place = home.place
    answer = Comparison(
        id=f"{place.repository_id}:{base}...{head}",
        organization_id=home.organization_id,
        repository_id=place.repository_id,
        base=base,
        head=head,
        status=compared.status,
        complete=compared.complete,
        shas=list(compared.shas),
    )
    commits = [
        Commit(
            id=f"{place.repository_id}:{commit.sha}",
            organization_id=home.organization_id,
            repository_id=place.repository_id,
            sha=commit.sha,
            authored_at=commit.authored_at,
            headline=commit.headline,
            author_name=commit.author_name,
            author_login=commit.author_login,
        )
        for commit in compared.commits
    ]
    return [answer, *commits]
