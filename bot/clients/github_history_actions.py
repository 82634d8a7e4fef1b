"""Runs of GitHub Actions' workflows, each attempt with its jobs, by REST.

A search tells of 1,000 runs at most, so that each page asks for what was made before the last run
of the page before. <https://docs.github.com/en/rest/actions/workflow-runs>
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ValidationError

from bot.clients.asking import GitHubError
from bot.clients.github_history_pages import (
    UNCHANGED,
    HistoryPage,
    Past,
    Window,
    moment,
    stamp,
    times,
    together,
)
from bot.clients.github_history_payloads import Json, Told, of_jobs, of_run, readable
from bot.clients.github_reading import objects

RUNS = 50
RERUN_WITHIN = timedelta(days=1)
"""How long after it was made a run may still be run again, and so be read by a later sync."""


class Place(BaseModel):
    """Where a page begins: at what was made until `before`, without those `seen` at that second.

    `page` is beyond 1 only where more runs than fit on one were made within that second.
    """

    before: datetime | None = None
    seen: list[int] = []
    page: int = 1


async def workflow_runs(past: Past, cursor: str | None, window: Window) -> HistoryPage:
    """Read a page of workflow runs, the newest first, with every attempt and its jobs."""
    place = place_of(cursor)
    start = window.since - RERUN_WITHIN if window.since else None
    before = place.before or window.until
    asked: dict[str, Any] = {"per_page": RUNS, "page": place.page}
    asked |= {"created": f"{stamp(start)}..{stamp(before)}"} if before else {}
    answer = await past.listed("workflow_runs", "/actions/runs", first=before is None, **asked)
    if answer.unchanged:
        return UNCHANGED
    found = objects(answer.body, "workflow_runs", "/actions/runs")
    known = ("created_at", "run_started_at", "updated_at")
    changed = [
        each for each in found if each["id"] not in place.seen and window.has(*times(each, *known))
    ]
    if changed:
        await workflows(past)
    told: list[Told] = []
    known_whole = await whole(past, changed)
    asked_of = [told_of(past, each, whole=attempt_of(each) in known_whole) for each in changed]
    for some in await together(asked_of):
        told += some
    ended = len(found) < RUNS or bool(start and (moment(found[-1]["created_at"]) or start) < start)
    expected = await counted(past, window, answer.body) if past.anew(cursor) else None
    beginning = None if ended else after(place, found).model_dump_json()
    return HistoryPage(told, len(changed), beginning, 0, expected)


async def counted(past: Past, window: Window, listed: Json) -> int | None:
    """Return how many runs there are in the time that is read."""
    if window.since:
        created = f"{stamp(window.since)}..{stamp(window.until)}"
        listed = (await past.reader.get("/actions/runs", per_page=1, created=created)).body
    total = listed.get("total_count")
    return total if isinstance(total, int) else None


def place_of(cursor: str | None) -> Place:
    """Read a cursor of ours; one that is none begins anew."""
    try:
        return Place.model_validate_json(cursor) if cursor else Place()
    except ValidationError:
        return Place()


def after(place: Place, found: Sequence[Json]) -> Place:
    """Return where the next page begins."""
    last = moment(found[-1]["created_at"])
    at_once = [each["id"] for each in found if moment(each["created_at"]) == last]
    if last == place.before:
        return Place(before=last, seen=[*place.seen, *at_once], page=place.page + 1)
    return Place(before=last, seen=at_once)


def attempt_of(run: Json) -> str:
    """Return the key of a run's last attempt, as `workflow_runs` has it."""
    return f"github:{run['id']}/{run.get('run_attempt') or 1}"


async def whole(past: Past, runs: Sequence[Json]) -> Collection[str]:
    """Return which runs need not be asked for more, for webhooks have told of them whole."""
    ended = [attempt_of(run) for run in runs if run.get("status") == "completed"]
    return await past.known_runs(ended) if past.known_runs and ended else ()


async def told_of(past: Past, run: Json, *, whole: bool) -> list[Told]:
    """Read one run: its earlier attempts, and the jobs of all, unless they are known as a whole."""
    rest, attempts, jobs = f"/actions/runs/{int(run['id'])}", [run], list[dict[str, Any]]()
    if not whole:
        numbers = range(1, int(run.get("run_attempt") or 1))
        earlier = [await there(past, f"{rest}/attempts/{number}") for number in numbers]
        attempts += [each for each in earlier if each]
        jobs = await jobs_of(past, int(run["id"]))
    workflow = (await workflows(past)).get(run.get("workflow_id") or 0)
    told = of_run(past.repository, readable(attempts), readable(workflow))
    return [*told, *of_jobs(past.repository, readable(jobs))]


async def there(past: Past, rest: str) -> Json | None:
    """Return something below the repository; None where it is gone."""
    try:
        body = (await past.reader.get(rest)).body
    except GitHubError as error:
        if error.status == 404:
            return None
        raise
    return body if isinstance(body, dict) else None


async def jobs_of(past: Past, run_id: int) -> list[dict[str, Any]]:
    """Return the jobs of all attempts of a run; none of one that is gone."""
    try:
        return await past.reader.listed(f"/actions/runs/{run_id}/jobs", "jobs", filter="all")
    except GitHubError as error:
        if error.status == 404:
            return []
        raise


async def workflows(past: Past) -> dict[int, Json]:
    """Return the repository's workflows by their ids, asked for once."""
    if past.workflows is None:
        listed = await past.reader.listed("/actions/workflows", "workflows")
        past.workflows = {each["id"]: each for each in listed}
    return past.workflows
