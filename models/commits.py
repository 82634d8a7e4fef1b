"""Commits as pushes and the compare API told of them: the graph that lead time is read from."""

from datetime import datetime

from sqlalchemy import Index

from models.columns import Fact, maybe_text, text, texts, time


class Commit(Fact, table=True):
    """One commit of a repository, keyed `github:<repository>:<sha>`.

    `authored_at` is git's author time. `paths` are the files it touched, empty when not told
    (`paths_known` says which). `author_login` is None where the source could not match the e-mail.
    """

    __tablename__ = "commits"
    __table_args__ = (
        Index("commits_sha", "repository_id", "sha"),
        Index("commits_authored", "repository_id", "authored_at"),
    )

    repository_id: str = text()
    sha: str = text()
    authored_at: datetime = time()
    headline: str = text()
    author_name: str | None = maybe_text()
    author_login: str | None = maybe_text()
    paths: list[str] = texts()
    paths_known: bool = False


class Push(Fact, table=True):
    """One push to one ref, keyed `github:<repository>:<ref>:<before>:<after>`.

    `shas` are the commits it listed, oldest first; `complete` is False where the source cut the
    list, or the push was forced or made the ref, so that `shas` is not all of `before..after`.
    """

    __tablename__ = "pushes"
    __table_args__ = (
        Index("pushes_after", "repository_id", "ref", "after"),
        Index("pushes_pushed", "repository_id", "pushed_at"),
    )

    repository_id: str = text()
    ref: str = text()
    before: str = text()
    after: str = text()
    pushed_at: datetime = time()
    forced: bool = False
    complete: bool = True
    shas: list[str] = texts()


class PushCommit(Fact, table=True):
    """Where one commit stands in one push: position 0 is the oldest.

    `fresh`: no other branch had it before, in the source's words *distinct*.
    """

    __tablename__ = "push_commits"
    __table_args__ = (
        Index("push_commits_sha", "repository_id", "sha"),
        Index("push_commits_push", "push_id"),
    )

    repository_id: str = text()
    push_id: str = text()
    sha: str = text()
    position: int = 0
    fresh: bool = True


class Comparison(Fact, table=True):
    """GitHub's answer to `compare/base...head`, which never changes, so that it is asked once.

    `shas`: the commits of head that base has not, oldest first; `complete` is False beyond 5,000.
    `status`: ahead, behind, identical or diverged.
    """

    __tablename__ = "comparisons"

    repository_id: str = text()
    base: str = text()
    head: str = text()
    status: str = text()
    complete: bool = True
    shas: list[str] = texts()
