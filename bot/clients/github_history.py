"""What happened in a repository, read as the payloads that GitHub's webhooks would have sent.

So backfill and webhooks make the same rows by construction: `told` goes to `handlers.decide`.
<https://docs.github.com/en/rest>, <https://docs.github.com/en/graphql>
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PARTS = ("pull_requests", "deployments", "workflow_runs", "releases", "issues")
"""What can be read of a repository, each newest first; repositories themselves are listed by
`repositories`."""

Told = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class HistoryPage:
    """One page of a part.

    `told`: events with their payloads, as webhooks would have told, or by names of our own for what
    no webhook carries (`handlers.github.history`). `items`: pull requests, runs … on this page,
    read by `calls` requests; `expected` of them there are in all, where GitHub says so. `next`:
    where the next page begins; None: this was the last. `unchanged`: the list is as it was when
    its ETag was kept, so that nothing was read.
    """

    told: Sequence[Told]
    items: int
    next: str | None
    calls: int
    expected: int | None = None
    unchanged: bool = False


@dataclass(frozen=True)
class Cost:
    """How much there is to read of a repository since a time, and how many requests that takes."""

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
    given (1.0): then `RateLimited` is raised before a page, with the time to go on.
    """

    etags: dict[str, str]

    def __init__(
        self,
        installation: "Any",
        repository: Mapping[str, Any],
        etags: Mapping[str, str] | None = None,
        *,
        most_of_limit: float = 0.25,
    ) -> None:
        self.installation, self.repository = installation, repository
        self.etags, self.most_of_limit = dict(etags or {}), most_of_limit

    async def page(
        self,
        part: str,
        cursor: str | None,
        *,
        since: datetime | None,
        until: datetime | None = None,
    ) -> HistoryPage:
        """Read one page of a part of `PARTS`, from a cursor that the page before gave.

        It stops where things are older than `since`; what is newer than `until` is left out.
        Raises `RateLimited` and `GitHubError`; then the same page can be asked for again.
        """
        raise NotImplementedError


async def repository(installation: "Any", full_name: str) -> Mapping[str, Any]:
    """Return a repository as the API describes it. Raises `GitHubError`, 404 where it is not."""
    raise NotImplementedError


async def repositories(installation: "Any", cursor: str | None = None) -> HistoryPage:
    """Read a page of the repositories that an installation reaches."""
    raise NotImplementedError


async def cost(installation: "Any", full_name: str, since: datetime | None) -> Cost:
    """Count what there is to read since a time, by a few small requests."""
    raise NotImplementedError
