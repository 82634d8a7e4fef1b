"""Repositories, the people and bots who work in them, and their branches and tags."""

from datetime import datetime

from models.columns import Fact, maybe_text, maybe_time, text


class Repository(Fact, table=True):
    """A repository by its id, which outlives renames and transfers. `deleted_at`: gone since."""

    __tablename__ = "repositories"

    full_name: str = text(index=True)
    owner_login: str = text()
    default_branch: str = text(default="main")
    private: bool = False
    archived: bool = False
    fork: bool = False
    url: str | None = maybe_text()
    created_at: datetime | None = maybe_time()
    deleted_at: datetime | None = maybe_time()


class RepositoryName(Fact, table=True):
    """A name (`owner/name` in small letters) that a repository had, and that texts still use.

    It means that repository until another has the name.
    """

    __tablename__ = "repository_names"

    full_name: str = text(index=True)
    repository_id: str = text(index=True)


class Contributor(Fact, table=True):
    """A person, bot or agent who works at a source. `kind`: person, bot or agent."""

    __tablename__ = "contributors"

    login: str = text(index=True)
    kind: str = text()


class Ref(Fact, table=True):
    """A branch or tag, and whether it exists. `ref_type`: branch or tag."""

    __tablename__ = "refs"

    repository_id: str = text(index=True)
    ref_type: str = text()
    name: str = text()
    present: bool = True
