"""The Builds screen: how often builds pass, how long they take, and why they fail."""

from asyncio import gather
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.web.auth import Member, require
from bot.web.pages import builds_view as view
from bot.web.pages.agent_actions import noted, tell, written
from bot.web.pages.asking import alone
from bot.web.pages.cards import Card
from bot.web.pages.delivery import bar, engine, latest_event, lines
from bot.web.pages.delivery_view import EVERY, bucket_links
from bot.web.pages.explain import moment, moments
from bot.web.pages.filters import Filters, known_and_chosen
from bot.web.pages.render import page, utc_now
from bot.web.problems import Problem
from handlers.events import Job
from models.errors import Refused
from models.metrics import builds as ask
from models.metrics.build_counts import BuildCounts, build_counts
from models.metrics.core import Bucket
from models.metrics.durations import DurationBucket
from models.metrics.explanation import Metric, Page, explanation
from models.queue import queue
from models.workflow_platforms import CHOICES, choose_platform

LATEST_ROWS, MOST_REASONS = 20, 10
LONGEST_NAME = 200
PLATFORMS = {None: "All", "ios": "iOS", "android": "Android"}
METRICS = {
    "success-rate": "build_success_rate",
    "duration": "build_duration",
    "frequency": "build_frequency",
}
AUTOMATIC = "automatic"


@require("viewer")
async def builds(request: Request) -> Response:
    """`GET /builds`: the whole screen, or the part of it that changes."""
    return await screen(request)


async def screen(request: Request, refused: str | None = None) -> Response:
    """Show the screen; `refused`: why a form was not done."""
    member: Member = request.state.member
    now, platform = utc_now(), chosen_platform(request)
    async with engine(request).connect() as db:
        known, filters = await known_and_chosen(db, request, now)
        last = await latest_event(db, member.organization_id)
    filters = filters.of_medians
    figures = await measured(engine(request), filters, platform, now)
    return page(
        request,
        "builds.html",
        blocks=("pulse", "figures"),
        status_code=409 if refused else 200,
        refused=refused,
        last_event=last,
        may_manage=member.may("manager"),
        choices={
            AUTOMATIC: "as its name and file say",
            **{each: view.NAMES[each] for each in CHOICES},
        },
        **narrowed(bar(filters, known, request.query_params), filters, platform),
        **figures,
    )


def chosen_platform(request: Request) -> str | None:
    """Return which app's builds are looked at; None is all. Refused for another word."""
    said = request.query_params.get("platform") or None
    if said not in PLATFORMS:
        raise Refused(f"A platform is ios or android; {said!r} is neither.")
    return said


def narrowed(shown: Mapping[str, Any], filters: Filters, platform: str | None) -> dict[str, Any]:
    """Return what the bar shows, in which every link keeps the platform too."""
    link = shown["link"]
    return {
        **shown,
        "link": lambda **changes: link(**{"platform": platform, **changes}),
        "platform": platform,
        "platforms": PLATFORMS,
        "kept": {"platform": platform},
        "without": ("environment",),
        "scope_said": f"{filters.repository or 'all repositories'}, "
        + (f"builds for {PLATFORMS[platform]}" if platform else "all builds"),
    }


async def measured(
    pool: AsyncEngine, filters: Filters, platform: str | None, now: datetime
) -> dict[str, Any]:
    """Ask for every number of the screen, and draw it."""
    figures, courses, lists = await gather(
        alone(pool, lambda db: figures_parts(db, filters, platform, now)),
        alone(pool, lambda db: course_parts(db, filters, platform)),
        alone(pool, lambda db: list_parts(db, filters, platform)),
    )
    summary, bins = figures
    duration, counts = courses
    return {
        **lists,
        "cards": [
            view.success_card(summary["success_rate"], counts),
            view.duration_card(summary["duration"], duration, slow=False),
            view.duration_card(summary["duration"], duration, slow=True),
            view.today_card(summary["frequency"], counts, filters.bucket),
        ],
        "summary": summary,
        "reason": summary["success_rate"]["reason"],
        "success_chart": view.success_chart(summary["success_rate"], counts, filters),
        "duration_chart": view.duration_chart(summary["duration"], duration, filters),
        "histogram": view.histogram_chart(summary["duration"], bins),
        "count_chart": view.count_chart(counts, filters),
        "bucket_links": bucket_links(duration, filters),
        "every": EVERY[filters.bucket],
        "shown_bucket": filters.bucket,
    }


async def figures_parts(
    db: AsyncConnection, filters: Filters, platform: str | None, now: datetime
) -> tuple[ask.BuildFigures, list[Any]]:
    """Ask for the numbers of the cards, and how build times spread."""
    scope, window = filters.scope, filters.window
    return (
        await ask.summary(db, scope, window, platform, now),
        await ask.duration_histogram(db, scope, window, platform),
    )


async def course_parts(
    db: AsyncConnection, filters: Filters, platform: str | None
) -> tuple[list[DurationBucket], list[BuildCounts]]:
    """Ask how duration, success and number go over time."""
    scope, window, by = filters.scope, filters.window, filters.bucket
    return (
        await ask.duration_series(db, scope, window, platform, by),
        await build_counts(db, scope, window, platform, by),
    )


async def list_parts(db: AsyncConnection, filters: Filters, platform: str | None) -> dict[str, Any]:
    """Ask why builds failed, which workflows are flaky, and for the latest builds."""
    scope, window = filters.scope, filters.window
    latest = await ask.latest(db, scope, LATEST_ROWS, platform)
    some = latest or await ask.latest(db, scope, 1)
    return {
        "failures": await ask.failures_by_reason(db, scope, window, platform, MOST_REASONS),
        "flaky": await ask.flaky_workflows(db, scope, window, platform, MOST_REASONS),
        "latest": [view.build_row(each) for each in latest],
        "any_builds": bool(some),
    }


def metric_called(name: str, platform: str | None) -> Metric:
    """Return a metric by the name in its address; raise `Problem` where there is none."""
    if name not in METRICS:
        raise Problem(404, "Not Found", "There is no metric of that name.")
    return ask.metric_of(METRICS[name], platform)


@require("viewer")
async def explain(request: Request) -> Response:
    """`GET /builds/explain/{metric}`: the number, its definition and its rows."""
    key, now, platform = request.path_params["metric"], utc_now(), chosen_platform(request)
    metric, rows = metric_called(key, platform), Page(cursor=request.query_params.get("cursor"))
    async with engine(request).connect() as db:
        known, filters = await known_and_chosen(db, request, now)
        told = await ask.summary(db, filters.scope, filters.window, platform, now)
        explained = await explanation(db, metric, filters.scope, filters.window, rows)
    return page(
        request,
        "explain.html",
        crumb=("/builds", "Builds"),
        explained=explained,
        card=card_of(key, told),
        level=None,
        download=f"/builds/{key}.csv",
        rows=[moments(row) for row in explained["rows"]],
        last_event=moment(explained["last_event_at"]),
        total=explained["counted"] + sum(one["count"] for one in explained["excluded"]),
        **narrowed(bar(filters, known, request.query_params), filters, platform),
    )


def card_of(key: str, told: ask.BuildFigures) -> Card:
    """Return the number of one metric, without its course."""
    if key == "success-rate":
        return view.success_card(told["success_rate"], [])
    if key == "duration":
        return view.duration_card(told["duration"], [], slow=False)
    return view.today_card(told["frequency"], [], Bucket.DAY)


@require("viewer")
async def download(request: Request) -> Response:
    """`GET /builds/{metric}.csv`: the builds behind a number, with the filters of the screen."""
    key = request.path_params["metric"]
    metric = metric_called(key, chosen_platform(request))
    async with engine(request).connect() as db:
        _, filters = await known_and_chosen(db, request, utc_now())
    return StreamingResponse(
        lines(engine(request), metric, filters),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="builds-{key}.csv"'},
    )


@require("manager")
async def set_platform(request: Request) -> Response:
    """`POST /builds/platform`: say what a workflow builds; its builds are counted anew."""
    member: Member = request.state.member
    form = await request.form()
    try:
        workflow = written(form, "workflow", LONGEST_NAME)
        said = written(form, "platform", LONGEST_NAME)
        platform = None if said == AUTOMATIC else said
        async with engine(request).begin() as db:
            home = member.organization_id
            repository, name = await choose_platform(db, home, workflow, platform, member.user_id)
            await noted(db, request, "set_workflow_platform", f"{name} ({workflow}): {said}")
            await queue(db, [counting(repository, workflow)], home)
    except Refused as error:
        return await screen(request, str(error))
    await tell(request, "build")
    return RedirectResponse(f"/builds?{request.url.query}".rstrip("?") + "#latest", 303)


def counting(repository_id: str, workflow_id: str) -> Job:
    """Return the order to count all builds of a workflow anew."""
    arguments = {"repository": repository_id, "workflow": workflow_id}
    return Job("measure_builds", f"measure_builds:{repository_id}:{workflow_id}", arguments)


def routes() -> list[Route]:
    """Return the screen's routes."""
    return [
        Route("/builds", builds, name="builds"),
        Route("/builds/explain/{metric}", explain),
        Route("/builds/platform", set_platform, methods=["POST"]),
        Route("/builds/{metric}.csv", download),
    ]
