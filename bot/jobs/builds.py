"""`measure_builds`: what workflow runs mean as builds, from all that was told of them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from redis.exceptions import RedisError
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.clients.github import GitHubError, Installation, RateLimited, installation_for
from bot.clients.github_actions import FileVersion, annotations, file_version
from bot.jobs import PutOff, Surroundings, job
from bot.live import publish
from handlers.builds import Run, build_of, platform_of_file
from models import JobAnnotation, WorkflowFile
from models import build_facts as facts
from models.deriving import Home, home_of
from models.errors import Refused
from models.queue import ClaimedJob
from models.store import remember

log = structlog.get_logger()

TOGETHER = 1000
MOST_JOBS = 50


@dataclass(frozen=True)
class Asking:
    """Whom to ask about which repository, when, and where to keep what is answered."""

    engine: AsyncEngine
    github: Installation
    home: Home
    now: datetime

    @property
    def repository_id(self) -> str:
        """The repository."""
        return self.home.place.repository_id


@job
async def measure_builds(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Measure a repository's builds of which something was told since the job's `since`.

    They are a function of what is remembered, so that any order of orders leaves the same. What
    only GitHub can tell, a workflow's file and why a job failed, is asked afterwards and kept.
    """
    async with surroundings.engine.connect() as db:
        home = await home_of(db, str(claimed.arguments["repository"]))
        if home is None:
            return
        since = None if claimed.arguments.get("all") else claimed.since
        workflow = claimed.arguments.get("workflow")
        ids = await facts.touched(db, home.place.repository_id, since, workflow)
    changed = await measured(surroundings.engine, home, ids)
    try:
        changed += await learned(surroundings, home, ids)
    except RateLimited as limited:
        raise PutOff(limited.until, str(limited)) from None
    except GitHubError as error:
        log.warning("github_would_not_tell", repository=home.full_name, error=str(error))
        raise Refused(str(error)) from None
    finally:
        if changed:
            with suppress(RedisError, OSError):
                await publish(surroundings.redis, home.organization_id, "build")


async def measured(engine: AsyncEngine, home: Home, ids: Sequence[str]) -> int:
    """Measure some runs, each portion in a transaction of its own; count what changed."""
    repository, changed = home.place.repository_id, 0
    for some in portions(ids):
        async with engine.begin() as db:
            await facts.lock(db, repository)
            told = await facts.runs(db, repository, some)
            builds = [build_of(Run(**row._mapping)) for row in told]
            changed += len(await facts.write(db, builds))
    return changed


def portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield ids in portions that one statement takes."""
    for start in range(0, len(ids), TOGETHER):
        yield ids[start : start + TOGETHER]


async def learned(surroundings: Surroundings, home: Home, ids: Sequence[str]) -> int:
    """Ask GitHub what only it can tell of some runs, and measure what that changes; count it."""
    if not ids:
        return 0
    async with installation_for(
        surroundings.engine, surroundings.settings, surroundings.vault, home.installation
    ) as github:
        if github is None:
            return 0
        asking = Asking(surroundings.engine, github, home, datetime.now(UTC))
        changed = await files_read(asking, ids)
        return changed + await jobs_asked(asking, ids)


async def files_read(asking: Asking, ids: Sequence[str]) -> int:
    """Read the workflow files that say what some runs build; count the builds that changed."""
    async with asking.engine.connect() as db:
        wanted = await facts.unread(db, asking.repository_id, ids, asking.now)
    changed = 0
    for row in wanted:
        found = await file_version(
            asking.github, asking.home.full_name, row.path, row.head_sha, row.etag or ""
        )
        if await keep_file(asking, row, found):
            async with asking.engine.connect() as db:
                runs = await facts.of_file(db, asking.repository_id, row.path)
            changed += await measured(asking.engine, asking.home, runs)
    return changed


async def keep_file(asking: Asking, row: Row[Any], found: FileVersion) -> bool:
    """Keep what a file says where that is news, and when it was asked for; tell whether it is."""
    repository = asking.repository_id
    news = not found.unchanged and (row.pushed or row.sha != found.sha)
    platform, evidence = platform_of_file(found.content)
    async with asking.engine.begin() as db:
        key = f"workflow_file:{repository}:{row.path}"
        await facts.keep_etag(db, key, row.organization_id, found.etag)
        if news:
            version = WorkflowFile(
                id=f"{repository}:{row.path}@{row.head_sha}",
                organization_id=row.organization_id,
                changed_at=row.started_at,
                repository_id=repository,
                path=row.path,
                sha=found.sha,
                platform=platform,
                evidence=evidence,
                missing=not found.sha,
            )
            await remember(db, [version])
    return news


async def jobs_asked(asking: Asking, ids: Sequence[str]) -> int:
    """Ask why jobs failed, of each once; count the builds that changed."""
    branch = asking.home.place.default_branch
    async with asking.engine.connect() as db:
        wanted = await facts.unexplained(db, branch, ids, asking.now, MOST_JOBS)
    for row in wanted:
        await keep_annotations(asking, row)
    return await measured(asking.engine, asking.home, [row.run_id for row in wanted])


async def keep_annotations(asking: Asking, row: Row[Any]) -> None:
    """Keep what a job says of its failure, and that it was asked."""
    number = int(row.job_id.rpartition(":")[2])
    found = await annotations(asking.github, asking.home.full_name, number)
    said = [
        JobAnnotation(
            id=f"{row.job_id}:{place:02}",
            organization_id=row.organization_id,
            changed_at=row.completed_at,
            job_id=row.job_id,
            path=each.path,
            line=each.start_line,
            message=each.words,
        )
        for place, each in enumerate(found.said)
    ]
    async with asking.engine.begin() as db:
        await facts.keep_etag(db, f"annotations:{row.job_id}", row.organization_id, found.etag)
        await remember(db, said)
