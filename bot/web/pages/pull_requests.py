"""The Pull requests screen: how long their parts take, what is merged, and what has waited."""

from asyncio import gather
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bot.web.auth import Member, require
from bot.web.pages import pull_requests_view as view
from bot.web.pages.asking import alone
from bot.web.pages.cards import Card
from bot.web.pages.delivery import bar, engine, latest_event, lines
from bot.web.pages.delivery_view import EVERY, bucket_links
from bot.web.pages.explain import moment, moments
from bot.web.pages.filters import Filters, Repositories, known_and_chosen
from bot.web.pages.render import page, utc_now
from bot.web.problems import Problem
from models.metrics import development as ask
from models.metrics.development import METRICS, Sight, metric_seen_by, sight_of
from models.metrics.explanation import Metric, Page

OPEN_ROWS = 30
DURATIONS = ("pr-review-time", "pr-merge-time", "cycle-time")
GROUPED = {"repo": "repository", "team": "team"}
TITLES = {
    "pr-review-time": ("PR review time", "pull request"),
    "pr-merge-time": ("PR merge time", "pull request"),
    "cycle-time": ("Cycle time", "issue"),
    "throughput": ("Throughput", "pull request"),
}


@require("viewer")
async def pull_requests(request: Request) -> Response:
    """`GET /pull-requests`: the whole screen, or the part of it that changes."""
    member: Member = request.state.member
    now = utc_now()
    async with engine(request).connect() as db:
        known, filters, sight = await chosen_and_sight(db, request, now)
        last = await latest_event(db, member.organization_id)
    figures = await measured(engine(request), filters.of_medians, sight, now)
    return page(
        request,
        "pull_requests.html",
        blocks=("pulse", "figures"),
        last_event=last,
        **bar(filters, known, request.query_params),
        **figures,
    )


async def chosen_and_sight(
    db: AsyncConnection, request: Request, now: datetime
) -> tuple[Repositories, Filters, Sight]:
    """Return what can be chosen, what was, and what the member may see of single people."""
    member: Member = request.state.member
    known, filters = await known_and_chosen(db, request, now)
    sight = await sight_of(db, member.organization_id, member.email, member.user_id)
    return known, filters, sight


async def measured(
    pool: AsyncEngine, filters: Filters, sight: Sight, now: datetime
) -> dict[str, Any]:
    """Ask for every number of the screen, and draw it."""
    reviews, merges, stages, rest = await gather(
        alone(pool, lambda db: review_parts(db, filters, sight)),
        alone(pool, lambda db: merge_parts(db, filters, sight)),
        alone(pool, lambda db: ask.review_stages(db, filters.scope, filters.window, sight)),
        alone(pool, lambda db: done_parts(db, filters, sight, now)),
    )
    told: dict[str, Any] = reviews | merges | rest
    done, series = told["throughput"], told["series"]
    return told | {
        "cards": [
            *(told[f"{key}_card"] for key in DURATIONS),
            view.throughput_card(done, series),
        ],
        "stages": stages,
        "stages_chart": view.stages_chart(stages),
        "throughput_chart": view.throughput_chart(done, series, filters),
        "bucket_links": bucket_links(series, filters),
        "every": EVERY[filters.bucket],
        "shown_bucket": filters.bucket,
    }


async def review_parts(db: AsyncConnection, filters: Filters, sight: Sight) -> dict[str, Any]:
    """Ask for PR review time, its course, and how it spreads."""
    shown = await duration(db, filters, sight, "pr-review-time")
    metric = seen("pr-review-time", sight)
    bins = await ask.duration_bins(db, metric, filters.scope, filters.window, sight)
    return shown | {"histogram": view.histogram_chart(shown["pr_review_time"], bins)}


async def merge_parts(db: AsyncConnection, filters: Filters, sight: Sight) -> dict[str, Any]:
    """Ask for PR merge time, for cycle time, and for their courses."""
    merges = await duration(db, filters, sight, "pr-merge-time")
    return merges | await duration(db, filters, sight, "cycle-time")


async def done_parts(
    db: AsyncConnection, filters: Filters, sight: Sight, now: datetime
) -> dict[str, Any]:
    """Ask for what was done, and for what waits."""
    scope, window = filters.scope, filters.window
    done, series = await ask.throughput_and_course(db, scope, window, sight, now, filters.bucket)
    ageing = await ask.open_pull_requests(db, scope, sight, now, OPEN_ROWS)
    return {"throughput": done, "series": series, "ageing": ageing}


async def duration(db: AsyncConnection, filters: Filters, sight: Sight, key: str) -> dict[str, Any]:
    """Ask for one of the durations and its course, and draw it."""
    scope, window, metric = filters.scope, filters.window, seen(key, sight)
    (title, noun), name = TITLES[key], key.replace("-", "_")
    told, series = await ask.headline_and_course(db, metric, scope, window, sight, filters.bucket)
    return {
        name: told,
        f"{key}_card": view.duration_card(key, title, noun, told, series),
        f"{name}_chart": view.course_chart(f"{key}-chart", title, told, series, filters),
    }


@require("viewer")
async def groups(request: Request) -> Response:
    """`GET /pull-requests/groups`: what repositories and teams got done, and how long it took.

    The screen fetches it for itself when the rest is there; without script it is one of its own.
    """
    async with engine(request).connect() as db:
        known, filters, sight = await chosen_and_sight(db, request, utc_now())
    pool = engine(request)
    done, reviewed, merged = await gather(
        alone(pool, lambda db: done_by(db, filters, sight)),
        alone(pool, lambda db: durations_by(db, filters, sight, "pr-review-time")),
        alone(pool, lambda db: durations_by(db, filters, sight, "pr-merge-time")),
    )
    rows = {
        name: view.groups(done[group], reviewed[group], merged[group])
        for group, name in GROUPED.items()
    }
    return page(
        request,
        "pull_request_groups.html",
        blocks=("groups",),
        by_repository=rows["repository"],
        by_team=rows["team"],
        **bar(filters, known, request.query_params),
    )


async def done_by(
    db: AsyncConnection, filters: Filters, sight: Sight
) -> dict[str, list[ask.ThroughputOf]]:
    """Ask for what repositories and teams got done."""
    return {
        group: await ask.throughput_by(db, filters.scope, filters.window, sight, group)
        for group in GROUPED
    }


async def durations_by(
    db: AsyncConnection, filters: Filters, sight: Sight, key: str
) -> dict[str, list[ask.SpreadOf]]:
    """Ask for one of the durations of repositories and teams."""
    metric = seen(key, sight)
    return {
        group: await ask.durations_by(db, metric, filters.scope, filters.window, sight, group)
        for group in GROUPED
    }


def seen(key: str, sight: Sight) -> Metric:
    """Return a metric by the name in its address; raise `Problem` where there is none."""
    name = key.replace("-", "_")
    if name not in METRICS:
        raise Problem(404, "Not Found", "There is no metric of that name.")
    return metric_seen_by(name, sight)


@require("viewer")
async def explain(request: Request) -> Response:
    """`GET /pull-requests/explain/{metric}`: the number, its definition and its rows."""
    key, now = request.path_params["metric"], utc_now()
    rows = Page(cursor=request.query_params.get("cursor"))
    async with engine(request).connect() as db:
        known, filters, sight = await chosen_and_sight(db, request, now)
        metric = seen(key, sight)
        card = await card_of(db, key, filters, sight, now)
        explained = await ask.development_explanation(
            db, metric, filters.scope, filters.window, sight, rows
        )
    return page(
        request,
        "explain.html",
        crumb=("/pull-requests", "Pull requests"),
        explained=explained,
        card=card,
        level=None,
        download=f"/pull-requests/{key}.csv",
        rows=[moments(row) for row in explained["rows"]],
        last_event=moment(explained["last_event_at"]),
        total=explained["counted"] + sum(one["count"] for one in explained["excluded"]),
        **bar(filters, known, request.query_params),
    )


async def card_of(
    db: AsyncConnection, key: str, filters: Filters, sight: Sight, now: datetime
) -> Card:
    """Return the number of one metric, without its course."""
    scope, window = filters.scope, filters.window
    if key == "throughput":
        return view.throughput_card(await ask.throughput(db, scope, window, sight, now), [])
    told = await ask.durations(db, seen(key, sight), scope, window, sight)
    return view.duration_card(key, *TITLES[key], told, [])


@require("viewer")
async def download(request: Request) -> Response:
    """`GET /pull-requests/{metric}.csv`: a metric's rows, as far as whoever asks may see them."""
    key = request.path_params["metric"]
    async with engine(request).connect() as db:
        _, filters, sight = await chosen_and_sight(db, request, utc_now())
        metric = await withheld(db, seen(key, sight), filters, sight)
    return StreamingResponse(
        lines(engine(request), metric, filters),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{key}.csv"'},
    )


async def withheld(db: AsyncConnection, metric: Metric, filters: Filters, sight: Sight) -> Metric:
    """Return a metric as it may be downloaded: without rows where its figure is withheld."""
    if await ask.why_withheld(db, metric, filters.scope, filters.window, sight):
        return ask.withheld_metric(metric)
    return metric


def routes() -> list[Route]:
    """Return the screen's routes."""
    return [
        Route("/pull-requests", pull_requests, name="pull_requests"),
        Route("/pull-requests/groups", groups),
        Route("/pull-requests/explain/{metric}", explain),
        Route("/pull-requests/{metric}.csv", download),
    ]
