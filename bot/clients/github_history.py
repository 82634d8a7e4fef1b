"""What happened in a repository, read as the payloads that GitHub's webhooks would have sent.

So backfill and webhooks make the same rows by construction: `told` goes to `handlers.decide`.
<https://docs.github.com/en/rest>, <https://docs.github.com/en/graphql>
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.clients.asking import Question
from bot.clients.github import PAGE, Installation, repository_path
from bot.clients.github_history_actions import RUNS, workflow_runs
from bot.clients.github_history_lists import (
    DEPLOYMENTS,
    deployments,
    issues,
    page_number,
    releases,
)
from bot.clients.github_history_pages import (
    HistoryPage,
    KnownRuns,
    Past,
    Window,
    stamp,
    times,
    updated,
)
from bot.clients.github_history_payloads import READ, Told, nodes, readable
from bot.clients.github_history_pulls import pull_requests
from bot.clients.github_history_queries import COUNTS
from bot.clients.github_reading import GRAPHQL, REST, Reader, objects

__all__ = ["PARTS", "Cost", "History", "HistoryPage", "Told", "cost", "repositories", "repository"]

READERS: Mapping[str, Callable[[Past, str | None, Window], Awaitable[HistoryPage]]] = {
    "pull_requests": pull_requests,
    "deployments": deployments,
    "workflow_runs": workflow_runs,
    "releases": releases,
    "issues": issues,
}
PARTS = tuple(READERS)
"""What can be read of a repository; repositories themselves are listed by `repositories`."""


@dataclass(frozen=True)
class Cost:
    """How much there is to read of a repository since a time, and how many requests that takes.

    `deployments` and `releases` are those of all times, where more than 100 are in that time.
    """

    pull_requests: int
    runs: int
    deployments: int
    releases: int
    issues: int
    calls: int


class History:
    """What happened in one repository: `repository` is as the API or a webhook describes it.

    `etags` are those that lists had when they were last read to their end: a list that is still the
    same is not read again (`unchanged`). Give none to read everything. Keep what is in `etags`
    afterwards only when all parts were read to their end. At most `most_of_limit` of GitHub's
    hourly limit is spent, by our own count, and never the last fifth of it, unless all of it is
    given (1.0): then `RateLimited` is raised before a page, with the time to go on. `known_runs`
    spares two requests or more for each run that webhooks told of whole (`models.workflows`).
    """

    def __init__(
        self,
        installation: Installation,
        repository: Mapping[str, Any],
        etags: Mapping[str, str] | None = None,
        *,
        most_of_limit: float = 0.25,
        known_runs: KnownRuns | None = None,
    ) -> None:
        self.etags: dict[str, str] = dict(etags or {})
        reader = Reader(installation, str(repository["full_name"]), most_of_limit)
        described, known = readable(dict(repository)), dict(self.etags)
        self.past = Past(reader, described, self.etags, known, known_runs)

    async def page(
        self,
        part: str,
        cursor: str | None,
        *,
        since: datetime | None,
        until: datetime | None = None,
    ) -> HistoryPage:
        """Read one page of a part of `PARTS`, newest first, from where a page before said.

        It stops where things are older than `since`; what is newer than `until` is left out.
        Raises `RateLimited` and `GitHubError`; then the same page can be asked for again.
        """
        reader = self.past.reader
        reader.stay_within_share(REST, GRAPHQL)
        before = reader.calls
        page = await READERS[part](self.past, cursor, Window(since, until))
        return replace(page, calls=reader.calls - before)


async def repository(installation: Installation, full_name: str) -> Mapping[str, Any]:
    """Return a repository as the API describes it. Raises `GitHubError`, 404 where it is not."""
    found: Mapping[str, Any] = readable(await installation.ask(repository_path(full_name, "")))
    return found


async def repositories(installation: Installation, cursor: str | None = None) -> HistoryPage:
    """Read a page of the repositories that an installation reaches, and that it reaches them."""
    github, page = installation.github, page_number(cursor)
    reader = Reader(installation, "")
    path = "/installation/repositories"
    answer = await reader.ask(path, page=page, per_page=PAGE)
    listed = readable(objects(answer.body, "repositories", path))
    about = Question("GET", f"/app/installations/{installation.installation_id}")
    home = readable(await github.line.ask(about, github.signer))
    told: list[Told] = [
        ("installation_repositories", {
            "action": READ, "installation": home, "repositories_added": listed,
        }),
        *(("repository", {"action": READ, "repository": each}) for each in listed),
    ]  # fmt: skip
    following = str(page + 1) if answer.next_url else None
    expected = answer.body.get("total_count")
    return HistoryPage(told, len(listed), following, reader.calls + 1, expected)


async def cost(installation: Installation, full_name: str, since: datetime | None) -> Cost:
    """Count what there is to read since a time, by two small requests."""
    reader, window = Reader(installation, full_name), Window(since)
    owner, _, name = full_name.partition("/")
    changed = f"repo:{full_name}{updated(since)}"
    asked = {"owner": owner, "name": name}
    asked |= {"pulls": f"{changed} is:pr", "issues": f"{changed} is:issue"}
    told = await reader.graph("pull_requests", COUNTS, **asked)
    filtered = {"created": f">={stamp(since)}"} if since else {}
    runs = (await reader.get("/actions/runs", per_page=1, **filtered)).body
    counted = Cost(
        pull_requests=count(told.get("pulls"), "issueCount"),
        runs=count(runs, "total_count"),
        deployments=within(told["repository"].get("deployments"), window),
        releases=within(told["repository"].get("releases"), window),
        issues=count(told.get("issues"), "issueCount"),
        calls=0,
    )
    return replace(counted, calls=calls_for(counted))


def calls_for(counted: Cost) -> int:
    """Return how many requests it takes to read so much, about."""
    return (
        1 + 2 * pages(counted.pull_requests, 50)
        + counted.runs + 1 + pages(counted.runs, RUNS)
        + counted.deployments + pages(counted.deployments, DEPLOYMENTS)
        + pages(counted.releases, PAGE)
        + 2 * pages(counted.issues + counted.pull_requests, PAGE)
    )  # fmt: skip


def pages(items: int, size: int) -> int:
    """Return how many pages some items fill; at least one is asked for."""
    return max(1, -(-items // size))


def count(told: Any, name: str) -> int:
    """Return a count in an answer; none where it may not be seen."""
    found = told.get(name) if isinstance(told, Mapping) else None
    return found if isinstance(found, int) else 0


def within(listed: Any, window: Window) -> int:
    """Count those of a list's newest 100 that are in a window; all there are, where all are."""
    known = nodes(listed)
    inside = [each for each in known if window.has(*times(each, "createdAt"))]
    return count(listed, "totalCount") if len(inside) == len(known) else len(inside)
