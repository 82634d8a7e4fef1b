"""GitHub Actions as GitHub keeps it: a workflow's file, and what a failed job says.

<https://docs.github.com/en/rest/repos/contents>, <https://docs.github.com/en/rest/checks/runs>
"""

import re
from base64 import b64decode
from dataclasses import dataclass

from pydantic import BaseModel

from bot.clients.asking import GitHubError, Question
from bot.clients.github import Installation, quoted, repository_path
from bot.clients.github_answers import clean, understood

ANNOTATIONS = 50
LONGEST = 500
WITHHELD = frozenset({403, 404, 410, 451})
EXIT_CODE = re.compile(r"Process completed with exit code \d+\.?")


@dataclass(frozen=True)
class FileVersion:
    """A file at a commit. `sha`: its blob's, empty where there is no file that we may read.

    `unchanged`: it is called what it was when it was last asked for, and `content` is not told.
    """

    sha: str = ""
    content: str = ""
    etag: str = ""
    unchanged: bool = False


@dataclass(frozen=True)
class Annotations:
    """What a job says of where it failed, in GitHub's order."""

    said: tuple["Annotation", ...] = ()
    etag: str = ""


class Annotation(BaseModel):
    """One place, and what is wrong there. `annotation_level`: notice, warning or failure."""

    path: str | None = None
    start_line: int | None = None
    annotation_level: str | None = None
    message: str | None = None

    @property
    def telling(self) -> bool:
        """Whether it says why: GitHub's own word of an exit code does not."""
        said = (self.message or "").strip()
        return self.annotation_level == "failure" and said != "" and not EXIT_CODE.fullmatch(said)

    @property
    def words(self) -> str:
        """What it says, as it can be kept."""
        return " ".join(clean(self.message or "").split())[:LONGEST]


class Listed(BaseModel):
    """A page of annotations."""

    listed: list[Annotation]


class Content(BaseModel):
    """A file as GitHub gives it, up to 1 MB."""

    type: str = ""
    sha: str = ""
    encoding: str = ""
    content: str = ""


async def file_version(
    github: Installation, full_name: str, path: str, ref: str, etag: str = ""
) -> FileVersion:
    """Return a file at a commit, or that it is `unchanged`; raise `GitHubError`, `RateLimited`."""
    asked = repository_path(full_name, f"/contents/{'/'.join(map(quoted, path.split('/')))}")
    question = Question("GET", asked, {"ref": ref}, etag=etag)
    try:
        answer = await github.github.line.answer(question, github.signer)
    except GitHubError as error:
        if error.status in WITHHELD:
            return FileVersion()
        raise
    called = answer.headers.get("etag", "")
    if answer.unchanged:
        return FileVersion(etag=called or etag, unchanged=True)
    if not isinstance(answer.body, dict):  # a folder
        return FileVersion(etag=called)
    told = understood(Content, answer.body, question)
    content = b64decode(told.content) if told.encoding == "base64" else b""
    sha = told.sha if told.type == "file" else ""
    return FileVersion(sha, content.decode("utf-8", "replace"), called)


async def annotations(github: Installation, full_name: str, job: int) -> Annotations:
    """Return what a job of GitHub Actions says of its failure, a page at most."""
    path = repository_path(full_name, f"/check-runs/{job}/annotations")
    question = Question("GET", path, {"per_page": ANNOTATIONS})
    try:
        answer = await github.github.line.answer(question, github.signer)
    except GitHubError as error:
        if error.status in WITHHELD:
            return Annotations()
        raise
    listed = understood(Listed, {"listed": answer.body}, question).listed
    said = tuple(each for each in listed if each.telling)
    return Annotations(said, answer.headers.get("etag", ""))
