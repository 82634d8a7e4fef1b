"""Remember releases."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel

import models
from handlers.events import Decision
from handlers.github.payloads import Event, Id, Name, Text, Time, User, login
from handlers.github.repositories import seen
from handlers.github.source import github
from models.columns import EPOCH

WITHDRAWN = frozenset({"unpublished", "deleted"})
RANKS = {"created": 0, "published": 1, "prereleased": 1, "released": 2, "edited": 3}
RANKS |= {"unpublished": 4, "deleted": 5}


class Described(BaseModel):
    """A release. `created_at` is its commit's, and old payloads have no `updated_at`."""

    id: Id
    tag_name: Name
    name: Text | None = None
    target_commitish: Text | None = None
    draft: bool | None = None
    prerelease: bool | None = None
    author: User | None = None
    html_url: Text | None = None
    created_at: Time | None = None
    published_at: Time | None = None
    updated_at: Time | None = None


class ReleaseEvent(Event):
    """`release.*`."""

    release: Described

    @property
    def clock(self) -> datetime:
        """When this was its state, as well as the payload tells."""
        release = self.release
        if known := release.updated_at or release.published_at:
            return known
        return self.received_at if self.action in WITHDRAWN else release.created_at or EPOCH

    @property
    def rank(self) -> int:
        """Its place among events of one second, or of a payload without a clock."""
        return RANKS.get(self.action, 0)


@github.on("release")
def release_changed(event: ReleaseEvent) -> Iterator[Decision]:
    """Drafts, prereleases and withdrawn releases are kept for what they are."""
    release = event.release
    yield from seen(event, event.clock, release.author)
    yield models.Release(
        id=f"github:{release.id}",
        changed_at=event.clock,
        rank=event.rank,
        repository_id=event.repository.key,
        tag=release.tag_name,
        name=release.name,
        target=release.target_commitish,
        draft=bool(release.draft),
        prerelease=bool(release.prerelease),
        published_at=release.published_at,
        author_login=login(release.author),
        url=release.html_url,
        deleted=event.action == "deleted",
    )
