"""What is in a repository: branches, files at a commit, and a token to push with.

<https://docs.github.com/en/rest/git/refs>, <https://docs.github.com/en/rest/repos/contents>
"""

from base64 import b64decode
from typing import TYPE_CHECKING

from pydantic import BaseModel

from bot.clients.asking import GitHubError, Question
from bot.clients.github import Installation, quoted, repository_path
from bot.clients.github_answers import understood
from bot.clients.signing import read_token

if TYPE_CHECKING:
    from pydantic import SecretStr

NO_WRITING = (
    "This installation does not grant contents: write, so nothing can be pushed to {name}. "
    "Grant it in the app's settings, then accept it in the installation's."
)


class Reference(BaseModel):
    """What a branch points at."""

    class Target(BaseModel):
        """A commit."""

        sha: str

    object: Target


async def branch_head(github: Installation, full_name: str, branch: str) -> str | None:
    """Return the commit that a branch is at; None where there is no such branch."""
    path = repository_path(full_name, f"/git/ref/heads/{quoted(branch)}")
    try:
        return understood(Reference, await github.ask(path), path).object.sha
    except GitHubError as error:
        if error.status in (404, 409):  # 409: the repository is empty
            return None
        raise


async def file_at(github: Installation, full_name: str, path: str, ref: str) -> bytes | None:
    """Return a file's content at a commit; None where there is no file there.

    Raises `GitHubError` for one beyond 1 MB, which this part of GitHub's API does not give.
    """
    asked = repository_path(full_name, f"/contents/{'/'.join(map(quoted, path.split('/')))}")
    try:
        told = await github.ask(asked, ref=ref)
    except GitHubError as error:
        if error.status == 404:
            return None
        raise
    if not isinstance(told, dict) or told.get("type") != "file":
        return None
    if told.get("encoding") != "base64":
        raise GitHubError(413, f"{path} in {full_name} is larger than 1 MB.")
    return b64decode(told.get("content") or "")


async def repository_token(github: Installation, full_name: str) -> "SecretStr":
    """Return a token for git that may write to this one repository's contents, and nothing else.

    It lasts an hour and is new each time. Raises `GitHubError` naming the permission that the
    installation does not grant.
    """
    name = full_name.partition("/")[2]
    path = f"/app/installations/{github.installation_id}/access_tokens"
    wanted = {"repositories": [name], "permissions": {"contents": "write"}}
    question = Question("POST", path, body=wanted)
    try:
        answer = await github.github.line.ask(question, github.github.signer)
    except GitHubError as error:
        if error.status == 422:
            raise GitHubError(403, NO_WRITING.format(name=full_name)) from None
        raise
    return read_token(answer).value
