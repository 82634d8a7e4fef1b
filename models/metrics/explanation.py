"""Why a number is what it is: its definition, what counted, what did not and why, row by row."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy.ext.asyncio import AsyncConnection

from models.errors import Refused
from models.metrics.core import Rows, Scope, ScopeBody, Window, ask, scope_body, utc

TALLY = "select counted, reason, count(*) as count from rows group by counted, reason"
LAST = "select at from rows order by at desc limit 1"
PAGE = "select * from rows order by at desc, id desc limit :limit"
NEXT_PAGE = """
select * from rows where (at, id) < (:before_at, :before_id) order by at desc, id desc limit :limit
"""


@dataclass(frozen=True)
class Metric:
    """What a number means, and where its rows come from: `rows(scope, since, until)`.

    `nothing`: why there is no value, of {environment}, {start_date} and {end_date}. `connect`: the
    next step where nothing was ever told. `columns`: of a row in CSV and explanation.
    """

    name: str
    title: str
    definition: str
    formula: str
    source: str
    rows: Callable[[Scope, datetime | None, datetime | None], Rows]
    nothing: str
    connect: str
    columns: tuple[str, ...]

    def no_data(self, scope: Scope, window: Window) -> str:
        """Why there is no value, in words."""
        return self.nothing.format(
            environment=scope.environment, start_date=window.start_date, end_date=window.end_date
        )


class Excluded(TypedDict):
    """How many rows were left out for one reason."""

    reason: str
    count: int


class Explanation(TypedDict):
    """A metric's number, taken apart. Times are ISO 8601 in UTC.

    `counted` and `excluded` are of the whole window, `rows` one page of it, newest first: each has
    what, url, value, counted, reason and the metric's own columns. `next_cursor`: None on the last
    page. `last_event_at`: the newest row in scope, ever. `next_step`: None where there is data.
    """

    metric: str
    title: str
    definition: str
    formula: str
    source: str
    start_date: str
    end_date: str
    time_zone: str
    scope: ScopeBody
    counted: int
    excluded: list[Excluded]
    rows: list[dict[str, Any]]
    next_cursor: str | None
    last_event_at: str | None
    next_step: str | None


@dataclass(frozen=True)
class Page:
    """Which rows of an explanation: at most `limit`, after the row that `cursor` names."""

    limit: int = 50
    cursor: str | None = None


async def explanation(
    db: AsyncConnection, metric: Metric, scope: Scope, window: Window, page: Page
) -> Explanation:
    """Take a metric's number apart. Refused for a cursor that was not one of ours."""
    rows = metric.rows(scope, window.start, window.end)
    tally = (await ask(db, rows, TALLY)).mappings().all()
    counted = sum(group["count"] for group in tally if group["counted"])
    excluded = [
        Excluded(reason=group["reason"], count=group["count"])
        for group in tally
        if not group["counted"]
    ]
    last = (await ask(db, metric.rows(scope, None, None), LAST)).scalar()
    shown, next_cursor = await rows_of(db, metric, rows, page)
    return Explanation(
        metric=metric.name,
        title=metric.title,
        definition=metric.definition,
        formula=metric.formula,
        source=metric.source,
        start_date=window.start_date.isoformat(),
        end_date=window.end_date.isoformat(),
        time_zone=window.time_zone,
        scope=await scope_body(db, scope),
        counted=counted,
        excluded=sorted(excluded, key=lambda left_out: (-left_out["count"], left_out["reason"])),
        rows=shown,
        next_cursor=next_cursor,
        last_event_at=utc(last) if last else None,
        next_step=None if counted else next_step(metric, bool(excluded), last),
    )


async def rows_of(
    db: AsyncConnection, metric: Metric, rows: Rows, page: Page
) -> tuple[list[dict[str, Any]], str | None]:
    """One page of rows, newest first, and the cursor of the next page or None."""
    bound: dict[str, Any] = {"limit": page.limit + 1}
    if page.cursor is not None:
        bound |= read_cursor(page.cursor)
    answer = await ask(db, rows, NEXT_PAGE if page.cursor is not None else PAGE, **bound)
    found = answer.mappings().all()
    wanted = ("id", "what", "repository_id", *metric.columns)
    shown = [{name: plain(row[name]) for name in wanted} for row in found[: page.limit]]
    more = len(found) > page.limit
    return shown, write_cursor(found[page.limit - 1]) if more else None


def plain(value: object) -> object:
    """A value as JSON can hold it."""
    return utc(value) if isinstance(value, datetime) else value


def next_step(metric: Metric, some_excluded: bool, last: datetime | None) -> str:
    """What a person can do about a number that is not there."""
    if some_excluded:
        return "None of the rows of this period counts: each says why."
    if last is None:
        return metric.connect
    return f"The last one was on {last:%Y-%m-%d}: choose a period that holds it."


def write_cursor(row: Any) -> str:
    """A row's place in the order, opaque."""
    return urlsafe_b64encode(f"{utc(row['at'])} {row['id']}".encode()).decode()


def read_cursor(cursor: str) -> dict[str, Any]:
    """The place that a cursor names."""
    try:
        at, _, row_id = urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        before = datetime.fromisoformat(at)
    except ValueError as broken:
        raise Refused("this cursor was not given by us: start again without one") from broken
    if before.tzinfo is None or "\0" in row_id:
        raise Refused("this cursor was not given by us: start again without one")
    return {"before_at": before, "before_id": row_id}
