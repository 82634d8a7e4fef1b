"""The last state of a good run: commit, push, pull request, check. Each looks before it creates."""

from typing import Any

import structlog

from bot.agent import words
from bot.agent.place import Place
from bot.clients import github_work
from bot.clients.github import GitHubError
from models.errors import Refused
from models.runs import RunState

log = structlog.get_logger()

TEMPLATES = (
    ".github/pull_request_template.md",
    ".github/PULL_REQUEST_TEMPLATE.md",
    "pull_request_template.md",
    "PULL_REQUEST_TEMPLATE.md",
    "docs/pull_request_template.md",
    "docs/PULL_REQUEST_TEMPLATE.md",
)
CHECK = "Veelocity"
MOVED = (
    "Somebody pushed to {branch} while the run worked, so nothing was pushed over it. "
    "`/claude retry` begins from what is there now."
)
MOST_TITLE = 250


async def publish(place: Place) -> RunState:
    """Push what was made and ask people to look at it."""
    await place.refresh()
    sha = await commit(place)
    await push(place, sha)
    await place.keep(head_sha=sha)
    await open_pull_request(place, draft=is_draft(place))
    await check(place, sha)
    return ended_as(place)


def is_draft(place: Place) -> bool:
    """Tell whether people must not take the result for done."""
    kind = (place.run["outcome"] or {}).get("kind")
    return (
        place.run["verdict"] == "new failures"
        or bool(place.run["limits"])
        or kind not in ("submitted", "ended")
    )


def ended_as(place: Place) -> RunState:
    """Return the last state of a run that was published."""
    if place.money_ran_out:
        return RunState.OVER_BUDGET
    return RunState.DRAFT if is_draft(place) else RunState.DONE


async def commit(place: Place) -> str:
    """Commit the tree that was judged; the same run makes the same commit however often."""
    run = place.run
    bot = f"{place.github.github.credentials.slug or 'veelocity'}[bot]"
    return await place.space.commit(
        run["changes"]["tree"],
        [run["base_sha"]],
        place.redactor.redact(words.commit_message(run["outcome"], place.ticket, coauthor(run))),
        name=bot,
        email=f"{bot}@users.noreply.github.com",
        at=run["started_at"],
    )


def coauthor(run: dict[str, Any]) -> str | None:
    """Return who asked for the run, as git writes a person; None where nobody on GitHub did."""
    login, number = run["requested_by_login"], str(run["requested_by_id"] or "")
    if not login or not number.startswith("github:"):
        return None
    return f"{login} <{number.removeprefix('github:')}+{login}@users.noreply.github.com>"


async def push(place: Place, sha: str) -> None:
    """Push to the ticket's branch, unless somebody else pushed to it since the run began."""
    await place.renew_token()
    branch = place.run["branch"]
    stands = await place.space.remote_head(branch)
    if stands == sha:
        return
    if stands != place.run["branch_sha"]:
        raise Refused(MOVED.format(branch=branch))
    await place.space.push(sha, branch, expected=stands)
    await place.note("note", f"pushed {sha[:7]} to {branch}", ok=True)


async def open_pull_request(place: Place, *, draft: bool) -> None:
    """Open the pull request, or bring the one that is open up to date."""
    name, run = place.home.full_name, place.run
    found = await github_work.find_pull_request(place.github, name, run["branch"])
    title = place.redactor.redact(words.title(run["outcome"], place.ticket))[:MOST_TITLE]
    text = await body(place)
    if found is None:
        found = await github_work.create_pull_request(
            place.github,
            name,
            head=run["branch"],
            base=place.home.place.default_branch,
            title=title,
            body=text,
            draft=draft,
        )
        await ask_reviewers(place, found)
    elif not place.follows_up:
        await github_work.edit_pull_request(place.github, name, found, title=title, body=text)
    await place.keep(pull_request_number=found)
    await remember(place, found)


async def remember(place: Place, number: int) -> None:
    """Give the ticket its pull request."""
    from sqlalchemy import text

    place.ticket["pull_request_number"] = number
    async with place.surroundings.engine.begin() as db:
        await db.execute(
            text("update tickets set pull_request_number = :number where id = :id"),
            {"number": number, "id": place.ticket["id"]},
        )


async def body(place: Place) -> str:
    """Return the pull request's text, with the repository's own template below it."""
    template = None
    for path in TEMPLATES:
        found = await place.space.read(place.run["instructions_commit"], path)
        if found:
            template = found.decode(errors="replace")
            break
    weakened = (place.run["changes"] or {}).get("weakened") or []
    return place.redactor.redact(
        words.body(
            place.run, place.ticket, place.board.run_url, template=template, weakened=weakened
        )
    )


async def ask_reviewers(place: Place, number: int) -> None:
    """Ask those the repository names to review; one who cannot be asked does not stop the run."""
    reviewers = place.configuration.reviewers
    if not reviewers:
        return
    try:
        await github_work.request_reviewers(place.github, place.home.full_name, number, reviewers)
    except GitHubError as error:
        await place.note("note", "reviewers", detail=str(error), ok=False)


async def check(place: Place, sha: str) -> None:
    """Put the evidence onto the commit, as a check."""
    conclusion = "success" if place.run["verdict"] == "passed" else "neutral"
    if place.run["verdict"] == "new failures":
        conclusion = "failure"
    try:
        made = await github_work.put_check_run(
            place.github,
            place.home.full_name,
            name=CHECK,
            head_sha=sha,
            external_id=f"run:{place.id}",
            conclusion=conclusion,
            title=words.check_title(place.run),
            summary=place.redactor.redact(words.evidence(place.run)),
            details_url=place.board.run_url,
        )
    except GitHubError as error:
        await place.note("note", "check run", detail=str(error), ok=False)
        return
    await place.keep(check_run_id=made)
