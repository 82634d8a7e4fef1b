"""Remember teams, who belongs to them and which repositories are theirs."""

from collections.abc import Iterator

from pydantic import BaseModel

import models
from handlers.events import Decision, Note
from handlers.github.payloads import Id, Listed, Name, Text, Time, User
from handlers.github.repositories import contributor
from handlers.github.source import github

CHANGED, ENDED = 0, 1
REPOSITORY_ACTIONS = {"added_to_repository": True, "removed_from_repository": False}
MEMBER_ACTIONS = {"added": True, "removed": False}


class Described(BaseModel):
    """A team. `deleted`: it is gone, as a membership that ends with it says."""

    id: Id
    name: Name
    slug: Name | None = None
    deleted: bool | None = None

    @property
    def key(self) -> str:
        """The key of the team."""
        return f"github:team:{self.id}"


class TeamEvent(BaseModel):
    """`team.*`. `repository` is there where it is about one."""

    action: Text
    team: Described
    repository: Listed | None = None
    sender: User | None = None
    received_at: Time


class MembershipEvent(BaseModel):
    """`membership.*`: of teams. `member` is None for the ghost of a deleted account."""

    action: Text
    team: Described
    member: User | None = None
    sender: User | None = None
    received_at: Time


@github.on("team")
def team_changed(event: TeamEvent) -> Iterator[Decision]:
    """A team's figures are those of its members; services' are those of its repositories."""
    yield from seen(event, event.sender)
    if event.action == "deleted":
        yield team(event, deleted=True)
        return
    yield team(event, deleted=False)
    if event.action in REPOSITORY_ACTIONS and event.repository:
        owned = REPOSITORY_ACTIONS[event.action]
        yield models.TeamRepository(
            id=f"{event.team.key}:github:{event.repository.id}",
            changed_at=event.received_at,
            rank=int(not owned),
            team_id=event.team.key,
            repository_id=f"github:{event.repository.id}",
            owned=owned,
        )


@github.on("membership")
def membership_changed(event: MembershipEvent) -> Iterator[Decision]:
    """Somebody belongs to a team, or does so no more."""
    yield from seen(event, event.sender, event.member)
    if event.member is None or event.action not in MEMBER_ACTIONS:
        yield Note("A membership of nobody, or a change of it that is not known, says nothing.")
        return
    if not event.team.deleted:
        yield team(event, deleted=False)
    belongs = MEMBER_ACTIONS[event.action]
    login = event.member.login.lower()
    yield models.TeamMember(
        id=f"{event.team.key}:{login}",
        changed_at=event.received_at,
        rank=int(not belongs),
        team_id=event.team.key,
        login=login,
        member=belongs,
    )


def team(event: TeamEvent | MembershipEvent, *, deleted: bool) -> models.Team:
    """Return the row of a team; within one moment its end comes last."""
    return models.Team(
        id=event.team.key,
        changed_at=event.received_at,
        rank=ENDED if deleted else CHANGED,
        source="github",
        name=event.team.name,
        slug=event.team.slug or event.team.name,
        deleted=deleted,
    )


def seen(event: TeamEvent | MembershipEvent, *users: User | None) -> Iterator[Decision]:
    """Yield who had a part in an event."""
    for user in {user.id: user for user in users if user}.values():
        yield contributor(user, event.received_at)
