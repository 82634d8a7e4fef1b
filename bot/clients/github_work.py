"""What the agent asks of GitHub and does there: people's rights, issues, comments, reactions.

<https://docs.github.com/en/rest/issues>. Everything is done as an installation; what makes
something new looks first, so that a job may run twice. Pull requests are in
`github_pulls`, contents in `github_contents`.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from bot.clients.asking import GitHubError
from bot.clients.github import PAGE, Installation, quoted, repository_path
from bot.clients.github_answers import clean, understood
from bot.clients.github_contents import branch_head, file_at, repository_token
from bot.clients.github_pulls import (
    Gone,
    PullRequest,
    checks_of,
    create_pull_request,
    edit_pull_request,
    failing,
    failing_checks,
    find_pull_request,
    pull_request,
    put_check_run,
    request_reviewers,
    review,
    review_comments,
)

__all__ = [
    "Comment",
    "Gone",
    "Issue",
    "PullRequest",
    "add_labels",
    "app_slug",
    "branch_head",
    "checks_of",
    "comments",
    "create_comment",
    "create_issue",
    "create_pull_request",
    "edit_comment",
    "edit_pull_request",
    "failing",
    "failing_checks",
    "file_at",
    "find_comment",
    "find_pull_request",
    "issue",
    "may_write",
    "permission",
    "pull_request",
    "put_check_run",
    "react",
    "repository_token",
    "request_reviewers",
    "review",
    "review_comments",
]

MOST_COMMENT_PAGES = 30
WRITERS = frozenset({"admin", "maintain", "write"})
EYES, NO, CONFUSED = "eyes", "-1", "confused"


class User(BaseModel):
    """Somebody on GitHub. `type`: User, Bot or Organization."""

    id: int
    login: str
    type: str = "User"


class Named(BaseModel):
    """Something with a name: a label."""

    name: str = ""


class AppOf(BaseModel):
    """The app that something was written by."""

    id: int


class Issue(BaseModel):
    """An issue as it is now. `pull_request` is not None where it is one of those instead."""

    id: int
    number: int
    title: str = ""
    body: str | None = None
    html_url: str | None = None
    state: str = "open"
    user: User | None = None
    labels: list[Named | str] = []
    pull_request: dict[str, Any] | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of its labels."""
        return tuple(each if isinstance(each, str) else each.name for each in self.labels)


class CommentAnswer(BaseModel):
    """A comment as GitHub writes it."""

    id: int
    body: str | None = None
    user: User | None = None
    created_at: datetime
    updated_at: datetime | None = None
    performed_via_github_app: AppOf | None = None


class Comments(BaseModel):
    """A page of comments."""

    listed: list[CommentAnswer]


class Comment(BaseModel):
    """A comment. `at`: when its words became what they are, so an edited one is as young as that.

    `ours`: this very app wrote it. `author` is None for the ghost of a deleted account.
    """

    id: int
    author: str | None
    body: str
    at: datetime
    ours: bool


class Permission(BaseModel):
    """What somebody may do in a repository."""

    permission: str = "none"
    user: User | None = None


async def permission(github: Installation, full_name: str, login: str) -> Permission:
    """Return what somebody may do: admin, write, read or none; `user` is None where unknown.

    GitHub says `write` for maintainers and `read` for triagers here; own roles count as what they
    are based on.
    """
    path = repository_path(full_name, f"/collaborators/{quoted(login)}/permission")
    try:
        return understood(Permission, await github.ask(path), path)
    except GitHubError as error:
        if error.status != 404:
            raise
        return Permission()


async def may_write(github: Installation, full_name: str, login: str, user_id: int) -> bool:
    """Tell whether a person may push: by the id as well, since a login may change hands."""
    found = await permission(github, full_name, login)
    same = found.user is not None and found.user.id == user_id and found.user.type == "User"
    return same and found.permission in WRITERS


async def app_slug(github: Installation) -> str:
    """Return the app's name in addresses and mentions, asked of GitHub once a process."""
    home = github.github
    if home.credentials.slug:
        return home.credentials.slug
    known = home.memory.slugs.get(home.account(None))
    if known is None:
        known = (await home.app()).slug
        home.memory.slugs[home.account(None)] = known
    return known


async def issue(github: Installation, full_name: str, number: int) -> Issue | None:
    """Return an issue as it is now; None where there is none (any more)."""
    path = repository_path(full_name, f"/issues/{number}")
    try:
        return understood(Issue, await github.ask(path), path)
    except GitHubError as error:
        if error.status in (404, 410):
            return None
        raise


async def comments(github: Installation, full_name: str, number: int) -> list[Comment]:
    """Return the comments of an issue or pull request, oldest first; 3,000 at most."""
    path = repository_path(full_name, f"/issues/{number}/comments")
    found, bot = dict[int, Comment](), f"{await app_slug(github)}[bot]"
    for page in range(1, MOST_COMMENT_PAGES + 1):
        body = {"listed": await github.ask(path, page=page, per_page=PAGE)}
        listed = understood(Comments, body, path).listed
        found |= {each.id: read_comment(github, bot, each) for each in listed}
        if len(listed) < PAGE:
            break
    return list(found.values())


def read_comment(github: Installation, bot: str, told: CommentAnswer) -> Comment:
    """Return a comment as we use it. `bot`: our own login; nobody can take one that ends so."""
    app, user = told.performed_via_github_app, told.user
    by_app = app is not None and app.id == github.github.credentials.app_id
    ours = by_app or (user is not None and user.login == bot)
    return Comment(
        id=told.id,
        author=user.login if user else None,
        body=clean(told.body or ""),
        at=max(told.created_at, told.updated_at or told.created_at),
        ours=ours and user is not None and user.type == "Bot",
    )


async def find_comment(
    github: Installation, full_name: str, number: int, marker: str
) -> int | None:
    """Return the first comment of our own that holds a marker; None where there is none.

    Anybody can write a marker: what others wrote is never taken for ours.
    """
    listed = await comments(github, full_name, number)
    return next((each.id for each in listed if each.ours and marker in each.body), None)


async def create_comment(github: Installation, full_name: str, number: int, body: str) -> int:
    """Comment on an issue or pull request; return the comment's id.

    Where GitHub's answer is lost, the comment is looked for by the first line of its body, which is
    a hidden marker; so it is not made twice.
    """
    path = repository_path(full_name, f"/issues/{number}/comments")
    try:
        made = await github.send("POST", path, {"body": body})
    except GitHubError as error:
        marker = body.partition("\n")[0]
        if not error.passing or error.status == 429 or not marker.startswith("<!--"):
            raise
        found = await find_comment(github, full_name, number, marker)
        if found is None:
            raise
        return found
    return understood(CommentAnswer, made, path).id


async def edit_comment(github: Installation, full_name: str, comment_id: int, body: str) -> None:
    """Put other words into a comment of ours; raise `Gone` where somebody deleted it."""
    path = repository_path(full_name, f"/issues/comments/{comment_id}")
    try:
        await github.send("PATCH", path, {"body": body})
    except GitHubError as error:
        if error.status in (404, 410):
            raise Gone(error.status, f"The comment {comment_id} is not there any more.") from None
        raise


async def react(
    github: Installation,
    full_name: str,
    content: str,
    *,
    comment: int | None = None,
    issue: int | None = None,
) -> None:
    """React to a comment (by id) or an issue (by number) with `EYES`, `NO` or `CONFUSED`.

    The same reaction twice stays one. What is not there any more needs none.
    """
    place = f"comments/{comment}" if comment is not None else str(issue)
    path = repository_path(full_name, f"/issues/{place}/reactions")
    try:
        await github.send("POST", path, {"content": content}, once=False)
    except GitHubError as error:
        if error.status not in (404, 410):
            raise


async def create_issue(
    github: Installation, full_name: str, title: str, body: str, labels: Collection[str] = ()
) -> Issue:
    """Make an issue; labels that the repository has not are made with it."""
    path = repository_path(full_name, "/issues")
    told = {"title": title, "body": body, "labels": sorted(labels)}
    return understood(Issue, await github.send("POST", path, told), path)


async def add_labels(
    github: Installation, full_name: str, number: int, labels: Sequence[str]
) -> None:
    """Label an issue or pull request; labels that it has stay."""
    path = repository_path(full_name, f"/issues/{number}/labels")
    await github.send("POST", path, {"labels": list(labels)}, once=False)
