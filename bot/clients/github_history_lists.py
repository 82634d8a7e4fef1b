"""What is listed by REST alone: deployments with their statuses, releases, issues with comments.

<https://docs.github.com/en/rest/deployments>, <https://docs.github.com/en/rest/releases>,
<https://docs.github.com/en/rest/issues>
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.clients.github import PAGE
from bot.clients.github_history_pages import (
    UNCHANGED,
    HistoryPage,
    Past,
    Window,
    times,
    together,
)
from bot.clients.github_history_payloads import (
    Json,
    Told,
    nodes,
    of_deployment,
    of_issue,
    of_release,
    readable,
)
from bot.clients.github_history_pulls import fill
from bot.clients.github_reading import objects

DEPLOYMENTS = 50
DEPLOYMENT_LASTS = timedelta(days=2)
"""How long after it was made a deployment may still finish, and so be read by a later sync."""


async def deployments(past: Past, cursor: str | None, window: Window) -> HistoryPage:
    """Read a page of deployments, the newest first, each with all its statuses."""
    asked = {"per_page": DEPLOYMENTS, "page": page_number(cursor)}
    answer = await past.listed("deployments", "/deployments", first=cursor is None, **asked)
    if answer.unchanged:
        return UNCHANGED
    found = objects(answer.body, "", "/deployments")
    changed = [each for each in found if window.has(*times(each, "created_at", "updated_at"))]
    told_of = await together([statuses(past, each) for each in changed])
    told: list[Told] = []
    for deployment, listed in zip(changed, told_of, strict=True):
        told += of_deployment(past.repository, readable(deployment), readable(listed))
    reach = window.since - DEPLOYMENT_LASTS if window.since else None
    ended = all(replace(window, since=reach).past(*times(each, "created_at")) for each in found)
    more = answer.next_url is not None and not ended
    return HistoryPage(told, len(changed), str(asked["page"] + 1) if more else None)


async def statuses(past: Past, deployment: Json) -> list[dict[str, Any]]:
    """Return all statuses of a deployment, the newest first."""
    return await past.reader.listed(f"/deployments/{int(deployment['id'])}/statuses")


async def releases(past: Past, cursor: str | None, window: Window) -> HistoryPage:
    """Read a page of releases, the newest first."""
    asked = {"per_page": PAGE, "page": page_number(cursor)}
    answer = await past.listed("releases", "/releases", first=cursor is None, **asked)
    if answer.unchanged:
        return UNCHANGED
    found = objects(answer.body, "", "/releases")
    known = ("created_at", "published_at", "updated_at")
    changed = [each for each in found if window.has(*times(each, *known))]
    told = [of_release(past.repository, readable(each)) for each in changed]
    ended = all(window.past(*times(each, *known)) for each in found)
    more = answer.next_url is not None and not ended
    return HistoryPage(told, len(changed), str(asked["page"] + 1) if more else None)


async def issues(past: Past, cursor: str | None, window: Window) -> HistoryPage:
    """Read a page of issues, those first that changed last, with comments; those of pulls too."""
    asked = {"state": "all", "sort": "updated", "direction": "desc", "per_page": PAGE}
    page = page_number(cursor)
    answer = await past.listed("issues", "/issues", first=cursor is None, **asked, page=page)
    if answer.unchanged:
        return UNCHANGED
    found = objects(answer.body, "", "/issues")
    changed = [each for each in found if window.has(*times(each, "updated_at"))]
    comments = await comments_of(past, changed)
    told: list[Told] = []
    for issue in changed:
        said = readable(comments.get(str(issue.get("node_id")), []))
        told += of_issue(past.repository, readable(issue), said)
    ended = any(window.past(*times(each, "updated_at")) for each in found)
    more = answer.next_url is not None and not ended
    return HistoryPage(told, len(changed), str(page + 1) if more else None)


async def comments_of(past: Past, issues: Sequence[Json]) -> dict[str, list[Json]]:
    """Return the comments of issues and pull requests, by node.

    By GraphQL, a hundred issues at once: REST would list them all without saying whose they are.
    """
    lists: dict[tuple[str, str], dict[str, Any]] = {
        (str(issue["node_id"]), "talk" if issue.get("pull_request") else "comments"): {
            "nodes": [],
            "pageInfo": {"hasNextPage": True},
        }
        for issue in issues
        if issue.get("comments") and issue.get("node_id")
    }
    await fill(past, "issues", lists)
    return {node_id: nodes(listed) for (node_id, _), listed in lists.items()}


def page_number(cursor: str | None) -> int:
    """Read the cursor of a list that is numbered."""
    return int(cursor) if cursor and cursor.isdecimal() else 1
