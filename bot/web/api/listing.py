"""What the lists of the API share: pages by cursor, and repositories by id or name."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.api.endpoints import Query, Words
from bot.web.auth import Member
from bot.web.problems import Problem
from models.metrics.explanation import read_cursor, write_cursor

Limit = Annotated[int, Field(ge=1, le=500)]


class Listing(Query):
    """A page of a list, newest first. `cursor`: the `next_cursor` of the page before."""

    cursor: Words | None = None
    limit: Limit = 50


class RepositoryListing(Listing):
    """A page of what belongs to repositories. `repo_id`: `github:123` or `owner/name`."""

    repo_id: Words | None = None


class Listed(BaseModel):
    """A page of a list. `next_cursor` is None on the last one."""

    next_cursor: str | None


async def page(
    db: AsyncConnection, select: str, asked: Listing, **bound: Any
) -> tuple[list[Mapping[str, Any]], str | None]:
    """Return a page of a SELECT that has `at` and `id`, newest first, and the next cursor."""
    before = ""
    if asked.cursor:
        bound |= read_cursor(asked.cursor)
        before = "where (at, id) < (:before_at, :before_id)"
    statement = text(
        f"select * from ({select}) listed {before} "  # noqa: S608 - constants only
        "order by at desc, id desc limit :limit"
    )
    found = (await db.execute(statement, bound | {"limit": asked.limit + 1})).mappings().all()
    rows: list[Mapping[str, Any]] = [dict(row) for row in found[: asked.limit]]
    more = len(found) > asked.limit
    return rows, write_cursor(rows[-1]) if more else None


async def repository_named(db: AsyncConnection, member: Member, named: str) -> str:
    """Return the id of a repository of the organisation by `github:123` or `owner/name`.

    A name means the repository that has it now. Raises `Problem` 404, for those of others too.
    """
    found = await db.scalar(
        text(
            "select id from repositories where organization_id = :organization_id "
            "and (id = :named or lower(full_name) = lower(:named)) "
            "order by id = :named desc, deleted_at is null desc, changed_at desc limit 1"
        ),
        {"organization_id": member.organization_id, "named": named},
    )
    if found is None:
        raise Problem(404, "Not Found", f"There is no repository {named!r} in this organisation.")
    return str(found)


async def team_named(db: AsyncConnection, member: Member, team_id: str) -> str:
    """Return the id of a team of the organisation; raise `Problem` 404, for those of others too."""
    found = await db.scalar(
        text(
            "select id from teams "
            "where organization_id = :organization_id and id = :team_id and not deleted"
        ),
        {"organization_id": member.organization_id, "team_id": team_id},
    )
    if found is None:
        raise Problem(404, "Not Found", f"There is no team {team_id!r} in this organisation.")
    return str(found)


async def repository_filter(
    db: AsyncConnection, member: Member, asked: RepositoryListing
) -> tuple[str, dict[str, str]]:
    """Return the condition that keeps a list to the tenant, and to a repository where named."""
    bound = {"organization_id": member.organization_id}
    if asked.repo_id is None:
        return "x.organization_id = :organization_id", bound
    bound["repository_id"] = await repository_named(db, member, asked.repo_id)
    return "x.organization_id = :organization_id and x.repository_id = :repository_id", bound
