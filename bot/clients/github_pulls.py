"""Pull requests, their reviews and their checks: what the agent does with them on GitHub.

<https://docs.github.com/en/rest/pulls>, <https://docs.github.com/en/rest/checks>
"""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from bot.clients.asking import GitHubError
from bot.clients.github import PAGE, Installation, repository_path
from bot.clients.github_answers import clean, understood

MOST_SUMMARY = 65_000
FAILED = frozenset({"failure", "timed_out", "startup_failure"})


class Gone(GitHubError):  # noqa: N818 - what was there
    """What was to be changed is not there any more."""


class End(BaseModel):
    """The head or base of a pull request."""

    class Repository(BaseModel):
        """The repository at that end; None where a fork was deleted."""

        id: int

    ref: str
    sha: str
    repo: Repository | None = None


class PullRequest(BaseModel):
    """A pull request as it is now."""

    number: int
    state: str = "open"
    title: str = ""
    body: str | None = None
    draft: bool = False
    merged_at: str | None = None
    html_url: str | None = None
    head: End
    base: End


class PullRequests(BaseModel):
    """A page of pull requests."""

    listed: list[PullRequest]


class Reviewer(BaseModel):
    """Who reviewed."""

    id: int
    login: str


class Review(BaseModel):
    """A review with its words. `state`: APPROVED, CHANGES_REQUESTED, COMMENTED …"""

    id: int
    state: str = ""
    body: str | None = None
    user: Reviewer | None = None


class Remark(BaseModel):
    """What a review says about a line. `line` is None where the line is outdated or a file."""

    path: str = ""
    line: int | None = None
    body: str | None = None


class Remarks(BaseModel):
    """A page of remarks."""

    listed: list[Remark]


class CheckRun(BaseModel):
    """A check of a commit."""

    class App(BaseModel):
        """Whose check it is."""

        id: int

    class Output(BaseModel):
        """What it says."""

        title: str | None = None
        summary: str | None = None

    id: int
    name: str = ""
    status: str = "completed"
    conclusion: str | None = None
    external_id: str | None = None
    app: App | None = None
    output: Output | None = None


class CheckRuns(BaseModel):
    """A page of checks."""

    check_runs: list[CheckRun]


async def pull_request(github: Installation, full_name: str, number: int) -> PullRequest | None:
    """Return a pull request as it is now; None where there is none."""
    path = repository_path(full_name, f"/pulls/{number}")
    try:
        return understood(PullRequest, await github.ask(path), path)
    except GitHubError as error:
        if error.status == 404:
            return None
        raise


async def find_pull_request(github: Installation, full_name: str, branch: str) -> int | None:
    """Return the number of the open pull request of a branch of the same repository."""
    path = repository_path(full_name, "/pulls")
    head = f"{full_name.partition('/')[0]}:{branch}"
    body = {"listed": await github.ask(path, head=head, state="open", per_page=PAGE)}
    listed = understood(PullRequests, body, path).listed
    return next((each.number for each in listed if each.head.ref == branch), None)


async def create_pull_request(  # noqa: PLR0913 - the fields of a pull request
    github: Installation,
    full_name: str,
    *,
    head: str,
    base: str,
    title: str,
    body: str,
    draft: bool = False,
) -> int:
    """Open a pull request, or find the one that is open; return its number.

    Where the repository's plan has no drafts, a draft says so in its title instead.
    """
    path = repository_path(full_name, "/pulls")
    told = {"head": head, "base": base, "title": title, "body": body, "draft": draft}
    try:
        made = await github.send("POST", path, told)
    except GitHubError as error:
        doubtful = error.status == 422 or (error.passing and error.status != 429)
        found = await find_pull_request(github, full_name, head) if doubtful else None
        if found is not None:
            return found
        if not (draft and error.status == 422 and "draft" in str(error).lower()):
            raise
        made = await github.send("POST", path, told | {"draft": False, "title": f"Draft: {title}"})
    return understood(PullRequest, made, path).number


async def edit_pull_request(github: Installation, full_name: str, number: int, **told: Any) -> None:
    """Change a pull request's `title`, `body`, `base` or `state`."""
    await github.send("PATCH", repository_path(full_name, f"/pulls/{number}"), told)


async def request_reviewers(
    github: Installation, full_name: str, number: int, reviewers: Sequence[str]
) -> None:
    """Ask people (`octocat`) and teams (`acme/backend`) to review.

    Raises `GitHubError` where one of them may not be asked; then nobody was.
    """
    path = repository_path(full_name, f"/pulls/{number}/requested_reviewers")
    people = [each for each in reviewers if "/" not in each]
    teams = [each.partition("/")[2] for each in reviewers if "/" in each]
    told = {"reviewers": people, "team_reviewers": teams}
    await github.send("POST", path, told, once=False)


async def review(
    github: Installation, full_name: str, number: int, review_id: int
) -> Review | None:
    """Return a review of a pull request as it is now; None where there is none."""
    path = repository_path(full_name, f"/pulls/{number}/reviews/{review_id}")
    try:
        found = understood(Review, await github.ask(path), path)
    except GitHubError as error:
        if error.status == 404:
            return None
        raise
    return found.model_copy(update={"body": clean(found.body or "")})


async def review_comments(
    github: Installation, full_name: str, number: int, review_id: int
) -> list[Remark]:
    """Return what a review says about lines, 100 remarks at most."""
    path = repository_path(full_name, f"/pulls/{number}/reviews/{review_id}/comments")
    body = {"listed": await github.ask(path, per_page=PAGE)}
    return understood(Remarks, body, path).listed


async def checks_of(
    github: Installation, full_name: str, sha: str, **params: Any
) -> list[CheckRun]:
    """Return the latest checks of a commit, 100 at most."""
    path = repository_path(full_name, f"/commits/{sha}/check-runs")
    told = await github.ask(path, filter="latest", per_page=PAGE, **params)
    return understood(CheckRuns, told, path).check_runs


async def failing_checks(github: Installation, full_name: str, sha: str) -> list[CheckRun]:
    """Return the checks that fail on a commit, without those of this very app."""
    return failing(github, await checks_of(github, full_name, sha))


def failing(github: Installation, checks: Sequence[CheckRun]) -> list[CheckRun]:
    """Return those of some checks that fail, without those of this very app."""
    ours = github.github.credentials.app_id
    return [
        each
        for each in checks
        if each.conclusion in FAILED and (each.app is None or each.app.id != ours)
    ]


async def put_check_run(  # noqa: PLR0913 - the fields of a check
    github: Installation,
    full_name: str,
    *,
    name: str,
    head_sha: str,
    external_id: str,
    title: str,
    summary: str,
    conclusion: str | None = None,
    details_url: str | None = None,
) -> int:
    """Make a check on a commit, or bring ours up to date (`external_id` says which); return its id.

    Without a `conclusion` (success, failure, neutral …) it is in progress.
    """
    output = {"title": title[:255], "summary": summary[:MOST_SUMMARY]}
    told: dict[str, Any] = {"name": name, "external_id": external_id, "output": output}
    told["status"] = "completed" if conclusion else "in_progress"
    told |= {"conclusion": conclusion} if conclusion else {}
    told |= {"details_url": details_url} if details_url else {}
    known = await checks_of(github, full_name, head_sha, check_name=name)
    found = next((each.id for each in known if each.external_id == external_id), None)
    if found is not None:
        await github.send("PATCH", repository_path(full_name, f"/check-runs/{found}"), told)
        return found
    path = repository_path(full_name, "/check-runs")
    made = await github.send("POST", path, told | {"head_sha": head_sha})
    return understood(CheckRun, made, path).id
