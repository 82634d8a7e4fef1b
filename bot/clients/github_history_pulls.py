"""Pull requests with their commits, reviews, remarks and turns: 50 of them by one request."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.clients.asking import GitHubError
from bot.clients.github_history_pages import UNCHANGED, HistoryPage, Past, Window, times, updated
from bot.clients.github_history_payloads import Told, nodes, of_pull_request, readable
from bot.clients.github_history_queries import PULL_REQUESTS, Rest, rests

Node = dict[str, Any]
OWN_LISTS = ("commits", "reviews", "timelineItems")
PULLS = "pull_requests"


async def pull_requests(past: Past, cursor: str | None, window: Window) -> HistoryPage:
    """Read a page of pull requests, those first that changed last."""
    if cursor is None:
        asked = {"state": "all", "sort": "updated", "direction": "desc", "per_page": 1}
        newest = await past.listed(PULLS, "/pulls", first=True, **asked)
        if newest.unchanged:
            return UNCHANGED
        if not newest.body:
            return HistoryPage((), 0, None)
    data = await page_of(past, cursor, window)
    listed = data["repository"]["pullRequests"]
    found = [dict(node) for node in nodes(listed)]
    changed = [node for node in found if window.has(*times(node, "updatedAt"))]
    await complete(past, changed)
    told: list[Told] = []
    for node in changed:
        told += of_pull_request(past.repository, readable(node))
    ended = any(window.past(*times(node, "updatedAt")) for node in found)
    counted = data.get("counted") or {}
    expected = counted.get("issueCount") if window.since else listed.get("totalCount")
    return HistoryPage(told, len(changed), None if ended else following(listed), 0, expected)


async def page_of(past: Past, cursor: str | None, window: Window) -> Mapping[str, Any]:
    """Ask for a page, for a smaller one where GitHub fails at it.

    With the first of many it is asked how many there are in the time that is read.
    """
    owner, _, name = past.reader.full_name.partition("/")
    place: dict[str, Any] = {"owner": owner, "name": name, "after": cursor}
    place["count"] = past.anew(cursor) and window.since is not None
    place["within"] = f"repo:{past.reader.full_name} is:pr{updated(window.since)}"
    while True:
        try:
            data = await past.reader.graph(PULLS, PULL_REQUESTS, **place, first=past.pulls.now)
        except GitHubError as error:
            await past.pulls.failed(error, past.reader.patience)
            continue
        past.pulls.succeeded()
        return data


def following(listed: Any) -> str | None:
    """Return the cursor at which a list goes on; None at its end."""
    told = listed.get("pageInfo") if isinstance(listed, Mapping) else None
    return told.get("endCursor") if told and told.get("hasNextPage") else None


async def complete(past: Past, pulls: Sequence[Node]) -> None:
    """Read to their end the lists of pull requests, and of their reviews, that go on."""
    lists = {
        (node["id"], name): node[name] for node in pulls for name in OWN_LISTS if node.get(name)
    }
    await fill(past, PULLS, lists)
    remarks = {
        (review["id"], "remarks"): review["comments"]
        for node in pulls
        for review in nodes(node.get("reviews"))
        if review.get("comments")
    }
    await fill(past, PULLS, remarks)


async def fill(past: Past, what: str, lists: Mapping[tuple[str, str], Node]) -> None:
    """Add what is missing to lists that go on, by node and name, many by one request."""
    wanted = list(unfinished(lists))
    while wanted:
        asked = wanted[: past.rests.now]
        query, variables = rests(asked)
        try:
            data = await past.reader.graph(what, query, **variables)
        except GitHubError as error:
            await past.rests.failed(error, past.reader.patience)
            continue
        past.rests.succeeded()
        for place, rest in enumerate(asked):
            add(lists[rest.node_id, rest.name], data.get(f"r{place}"))
        wanted = list(unfinished(lists))


def unfinished(lists: Mapping[tuple[str, str], Node]) -> Iterator[Rest]:
    """Yield the rest of each list that goes on."""
    for (node_id, name), listed in lists.items():
        if listed["pageInfo"].get("hasNextPage"):
            yield Rest(node_id, name, listed["pageInfo"].get("endCursor"))


def add(listed: Node, told: Any) -> None:
    """Add one more page to a list; one that may not be seen ends it."""
    found = next(iter(told.values()), None) if isinstance(told, dict) else None
    listed["nodes"] = [*nodes(listed), *nodes(found)]
    listed["pageInfo"] = found["pageInfo"] if found else {"hasNextPage": False}
