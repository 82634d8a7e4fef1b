"""Questions asked, and changes made, when somebody wants something of the agent."""

from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.runs import ENDED

CONSIDERED = text("""
    select exists (select from jobs where key = :key and id <> :id and status = 'done')
""")
NEWEST_PUSH = text("""
    select after from pushes
     where repository_id = :repository and ref = 'refs/heads/' || cast(:branch as text)
     order by pushed_at desc, id desc limit 1
""")
ACTIVE = text(f"""
    select id, state from runs where ticket_id = :ticket and state not in {ENDED} order by id
""")  # noqa: S608 - constants only
COST = text("""
    select count(*) as runs, coalesce(sum(cost_usd), 0) as usd from runs where ticket_id = :ticket
""")
MENDED = text("""
    select count(*) from runs
     where ticket_id = :ticket and kind = 'checks'
       and coalesce(pull_request_number, :number) = :number
""")
MENDED_COMMIT = text("""
    select exists (select from runs where ticket_id = :ticket and kind = 'checks'
                      and branch_sha = :sha)
""")
ISSUE = text("select state, labels, deleted, changed_at from issues where id = :id")
PULL_REQUEST = text("select state, merged_at, number from pull_requests where id = :id")
NUMBERED = text("""
    select state, merged_at, number from pull_requests
     where repository_id = :repository and number = :number
""")
GIVE_PULL_REQUEST = text("""
    update tickets set pull_request_number = :number, updated_at = now()
     where id = :ticket and pull_request_number is null
""")
SET_MODEL = text("update tickets set model = :model, updated_at = now() where id = :ticket")
SET_BUDGET = text("update tickets set budget_usd = :usd, updated_at = now() where id = :ticket")
ALLOW = text("""
    update tickets set allowed_paths = array_append(allowed_paths, :path), updated_at = now()
     where id = :ticket and not (:path = any(allowed_paths)) and cardinality(allowed_paths) < 50
""")
AUDIT = text("""
    insert into audit_log (organization_id, action, detail) values (:organization, :action, :detail)
""")


async def considered(db: AsyncConnection, key: str, job_id: int) -> bool:
    """Tell whether a wish was considered before: a delivery may come again under another id.

    Finished jobs are kept for a week; older wishes are not heard at all.
    """
    return bool(await db.scalar(CONSIDERED, {"key": key, "id": job_id}))


async def newest_push(db: AsyncConnection, repository_id: str, branch: str) -> str | None:
    """Return the commit that was last pushed to a branch, as far as we were told."""
    bound = {"repository": repository_id, "branch": branch}
    sha: str | None = await db.scalar(NEWEST_PUSH, bound)
    return sha


async def active_runs(db: AsyncConnection, ticket_id: str) -> list[int]:
    """Return the runs of a ticket that wait or are at work, oldest first."""
    return [row.id for row in await db.execute(ACTIVE, {"ticket": ticket_id})]


async def cost_of(db: AsyncConnection, ticket_id: str) -> tuple[int, Decimal]:
    """Return how many runs a ticket had, and what they cost together in US dollars."""
    row = (await db.execute(COST, {"ticket": ticket_id})).one()
    return int(row.runs), Decimal(row.usd)


async def mended(db: AsyncConnection, ticket_id: str, number: int) -> int:
    """Return how often checks of a pull request have led to a run."""
    bound = {"ticket": ticket_id, "number": number}
    return int(await db.scalar(MENDED, bound) or 0)


async def was_mended(db: AsyncConnection, ticket_id: str, sha: str) -> bool:
    """Tell whether the checks of this very commit have led to a run already."""
    return bool(await db.scalar(MENDED_COMMIT, {"ticket": ticket_id, "sha": sha}))


async def issue_of(db: AsyncConnection, issue_id: str) -> RowMapping | None:
    """Return an issue's state and labels as last described; None where it never was."""
    return (await db.execute(ISSUE, {"id": issue_id})).mappings().first()


async def pull_request_of(db: AsyncConnection, pull_request_id: str) -> RowMapping | None:
    """Return a pull request's state, merge and number as last described."""
    return (await db.execute(PULL_REQUEST, {"id": pull_request_id})).mappings().first()


async def numbered_pull_request(
    db: AsyncConnection, repository_id: str, number: int
) -> RowMapping | None:
    """Return the state of a repository's pull request by its number."""
    bound = {"repository": repository_id, "number": number}
    return (await db.execute(NUMBERED, bound)).mappings().first()


async def give_pull_request(db: AsyncConnection, ticket_id: str, number: int) -> None:
    """Remember a ticket's pull request, where that is not known yet."""
    await db.execute(GIVE_PULL_REQUEST, {"ticket": ticket_id, "number": number})


async def set_model(db: AsyncConnection, ticket_id: str, model: str) -> None:
    """Give a ticket a model; whoever calls has looked at the allow-list."""
    await db.execute(SET_MODEL, {"ticket": ticket_id, "model": model})


async def set_budget(db: AsyncConnection, ticket_id: str, usd: Decimal) -> None:
    """Give a ticket a budget in US dollars."""
    await db.execute(SET_BUDGET, {"ticket": ticket_id, "usd": usd})


async def allow_path(db: AsyncConnection, ticket_id: str, path: str) -> None:
    """Let a protected path change in a ticket's runs; 50 paths at most."""
    await db.execute(ALLOW, {"ticket": ticket_id, "path": path})


async def audit(db: AsyncConnection, organization_id: str, action: str, detail: str) -> None:
    """Write down what somebody on GitHub asked of the agent, or was refused."""
    bound: dict[str, Any] = {"organization": organization_id, "action": action}
    await db.execute(AUDIT, {**bound, "detail": detail[:2000]})
