"""The People screens: a team's figures, who is in it, and a person's own page.

No ranking, no score, and nobody's figures but for those who may see them (models.metrics.privacy).
"""

from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.web.auth import Member, require
from bot.web.pages import people_view as view
from bot.web.pages.asking import alone
from bot.web.pages.cards import Card
from bot.web.pages.delivery import bar, engine
from bot.web.pages.filters import Filters
from bot.web.pages.pull_requests import DURATIONS, TITLES, chosen_and_sight, seen
from bot.web.pages.pull_requests_view import duration_card, throughput_card
from bot.web.pages.render import page, utc_now
from bot.web.problems import Problem
from models import people_pages
from models.metrics import development as ask
from models.metrics.core import Bucket
from models.metrics.development import Ageing, Sight
from models.metrics.privacy import active_people, too_few
from models.persons import Person
from models.teams import teams as teams_by_name

OPEN_ROWS = 30


@require("viewer")
async def people(request: Request) -> Response:
    """`GET /people`: the figures of everybody, or of one team, and who is working on what."""
    return await screen(request)


async def screen(request: Request, refused: str | None = None) -> Response:
    """Answer with the screen; `refused` says why what was just asked for was not done."""
    member: Member = request.state.member
    now = utc_now()
    async with engine(request).connect() as db:
        known, filters, sight = await chosen_and_sight(db, request, now)
        teams = await people_pages.teams_of(db, member.organization_id)
        held = await teams_by_name(db, member.organization_id) if member.may("manager") else []
    cards, ageing = await figures(engine(request), filters, sight, now)
    return page(
        request,
        "people.html",
        blocks=("figures",),
        cards=cards,
        ageing=ageing,
        status_code=422 if refused else 200,
        path="/people",
        refused=refused,
        rows=view.rows_of(sight, teams, filters.scope.team_id),
        everybody=sorted(view.labels(sight.persons).values()) if member.may("admin") else [],
        held=held,
        logins=view.logins(sight.persons),
        sight=sight,
        **bar(filters, known, request.query_params),
    )


async def figures(
    pool: AsyncEngine, filters: Filters, sight: Sight, now: datetime
) -> tuple[list[Card], Ageing]:
    """Ask for the cards of the group, and for what waits."""
    durations, (done, ageing) = await gather(
        gather(*(alone(pool, card_of(key, filters, sight)) for key in DURATIONS)),
        alone(pool, lambda db: done_and_open(db, filters, sight, now)),
    )
    return [*durations, done], ageing


def card_of(
    key: str, filters: Filters, sight: Sight
) -> Callable[[AsyncConnection], Awaitable[Card]]:
    """Return what asks for one of the durations of the group, with its course."""
    scope, window, metric = filters.scope, filters.window, seen(key, sight)

    async def asked(db: AsyncConnection) -> Card:
        shown = await ask.headline_and_course(db, metric, scope, window, sight, Bucket.WEEK)
        return duration_card(key, *TITLES[key], *shown)

    return asked


async def done_and_open(
    db: AsyncConnection, filters: Filters, sight: Sight, now: datetime
) -> tuple[Card, Ageing]:
    """Ask for what the group got done, with its course, and for what waits."""
    scope, window = filters.scope, filters.window
    done = await ask.throughput_and_course(db, scope, window, sight, now, Bucket.WEEK)
    ageing = await ask.open_pull_requests(db, scope, sight, now, OPEN_ROWS)
    return throughput_card(*done), ageing


@require("viewer")
async def person(request: Request) -> Response:
    """`GET /people/{person}`: what somebody did, for whoever may see it."""
    member: Member = request.state.member
    now = utc_now()
    async with engine(request).connect() as db:
        known, filters, sight = await chosen_and_sight(db, request, now)
        shown = visible(sight, request.path_params["person"])
        accounts = [each.account for each in shown.accounts]
        window = filters.window
        beside = [
            *await counts(db, filters, sight, shown),
            *await medians(db, filters, sight, shown),
        ]
        did = await people_pages.activity(
            db, member.organization_id, accounts, window.start, window.end
        )
    return page(
        request,
        "person.html",
        person=shown,
        beside=beside,
        did=did,
        own=any(account in sight.own for account in accounts),
        **bar(filters, known, request.query_params),
    )


def visible(sight: Sight, person_id: str) -> Person:
    """Return somebody whose figures the viewer may see; raise `Problem` for anybody else.

    Who does not exist is refused in the same words, so that nobody can be looked for.
    """
    for each in sight.persons.people:
        if each.id == person_id and any(sight.sees(one.account) for one in each.accounts):
            return each
    raise Problem(403, "Forbidden", f"This page is not yours to see: {sight.reason}.")


async def counts(
    db: AsyncConnection, filters: Filters, sight: Sight, shown: Person
) -> list[view.Beside]:
    """Put what somebody opened, merged and completed beside the mean of those who were active."""
    scope, window = filters.scope, filters.window
    accounts = [each.account for each in shown.accounts]
    opened = await people_pages.opened(
        db, scope.organization_id, accounts, window.start, window.end
    )
    parts = await ask.throughput_by(db, scope, window, sight, "author")
    own = view.part_of(shown, parts)
    rows = seen("throughput", sight).rows(scope, window.start, window.end)
    active = await active_people(db, sight, rows)
    group = await ask.throughput(db, scope, window, sight, utc_now())
    of_people = group["by_cohort"].get("people")
    few = too_few(active) or not active or of_people is None
    merged = None if few or of_people is None else of_people["pull_requests"]
    issues = None if few or of_people is None else of_people["issues"]
    people_count = next(iter(active.values()), 0)
    return [
        view.count_beside("Pull requests opened", opened, None),
        view.count_beside(
            "Pull requests merged",
            own["pull_requests"] or 0 if own else 0,
            mean(merged, people_count),
        ),
        view.count_beside(
            "Issues completed", own["issues"] or 0 if own else 0, mean(issues, people_count)
        ),
    ]


def mean(total: int | None, people_count: int) -> float | None:
    """Return how many fall to each active person; None where that is withheld."""
    return None if total is None or not people_count else total / people_count


async def medians(
    db: AsyncConnection, filters: Filters, sight: Sight, shown: Person
) -> Sequence[view.Beside]:
    """Put somebody's medians beside those of the group."""
    scope, window, rows = filters.scope, filters.window, []
    for key in DURATIONS:
        metric = seen(key, sight)
        parts = await ask.durations_by(db, metric, scope, window, sight, "author")
        group = await ask.durations(db, metric, scope, window, sight)
        rows.append(view.duration_beside(TITLES[key][0], view.part_of(shown, parts), group))
    return rows


def routes() -> list[Route]:
    """Return the screens' routes."""
    return [
        Route("/people", people, name="people"),
        Route("/people/{person:path}", person, name="person"),
    ]
