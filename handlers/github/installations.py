"""Remember who installed the app, on which repositories, and whom a payload belongs to."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

import models
from handlers.events import Account, Decision, Job, Note
from handlers.github.payloads import Event, Id, Listed, Name, Text, Time, User, sync_teams
from handlers.github.repositories import contributor, seen
from handlers.github.source import github
from models.columns import EPOCH

FOUNDING = frozenset({"installation", "installation_repositories"})
BACKFILLED_BY = frozenset({"created", "unsuspend", "added"})
BACKFILL_DAYS = 90
SYNCED_BY = frozenset({"created", "unsuspend", "new_permissions_accepted"})
CONNECTION_RANKS = {"suspend": 1, "unsuspend": 2, "deleted": 3}
LISTED, ADDED, REMOVED, ENDED = 0, 1, 2, 3
PERMISSIONS = "Permissions are asked of GitHub when they matter, never remembered."


class Installer(BaseModel):
    """The organisation or person the app is installed on."""

    id: Id
    login: Name
    type: Text | None = None


class Installation(BaseModel):
    """An installation of the app."""

    id: Id
    account: Installer
    repository_selection: Text | None = None
    permissions: dict[Text, Text] | None = None
    created_at: Time | None = None
    updated_at: Time | None = None
    suspended_at: Time | None = None

    @property
    def key(self) -> str:
        """The key of the connection."""
        return f"github:installation:{self.id}"

    @property
    def clock(self) -> datetime:
        """When this was its state."""
        return self.updated_at or self.created_at or EPOCH


class InstallationEvent(BaseModel):
    """`installation.*`."""

    action: Text
    installation: Installation
    repositories: list[Listed] | None = None
    organization_id: Text
    received_at: Time


class InstallationRepositoriesEvent(BaseModel):
    """`installation_repositories.*`."""

    action: Text
    installation: Installation
    repositories_added: list[Listed] | None = None
    repositories_removed: list[Listed] | None = None
    organization_id: Text
    received_at: Time


class Membership(BaseModel):
    """A membership of an organisation. Invitations name no user."""

    user: User | None = None


class OrganizationEvent(BaseModel):
    """`organization.*`."""

    action: Text
    organization: Installer
    membership: Membership | None = None
    sender: User | None = None
    organization_id: Text
    received_at: Time


class MemberEvent(Event):
    """`member.*`: of the collaborators of a repository."""

    member: User | None = None


class PingEvent(BaseModel):
    """`ping`."""

    zen: Text | None = None


@github.on("installation")
def installation_changed(event: InstallationEvent) -> Iterator[Decision]:
    """An installation makes an organisation of the account, or ends its connection."""
    ended = event.action == "deleted"
    if not ended:
        yield organization(event.installation.account, event.organization_id, event.installation)
    yield connection(event.installation, event.action)
    rank = ENDED if ended else LISTED
    yield from reached(event.installation, event.repositories, rank)
    if event.action in SYNCED_BY and event.installation.account.type == "Organization":
        yield sync_teams(event.installation.key)
    yield from opened(event, event.repositories)


@github.on("installation_repositories")
def repositories_chosen(event: InstallationRepositoriesEvent) -> Iterator[Decision]:
    """A repository that is no longer open to us keeps what was measured of it.

    Of one that is open now we know nothing yet, so that its history is read.
    """
    yield organization(event.installation.account, event.organization_id, event.installation)
    yield connection(event.installation, event.action)
    yield from reached(event.installation, event.repositories_added, ADDED)
    yield from reached(event.installation, event.repositories_removed, REMOVED)
    yield from opened(event, event.repositories_added)


@github.on("organization")
def organization_changed(event: OrganizationEvent) -> Iterator[Decision]:
    """A renamed organisation is the same one; who belongs to it is asked when it matters."""
    users = (event.sender, event.membership.user if event.membership else None)
    for user in {user.id: user for user in users if user}.values():
        yield contributor(user, event.received_at)
    if event.action == "renamed":
        yield models.Organization(
            id=event.organization_id,
            changed_at=event.received_at,
            login=event.organization.login,
            account_id=event.organization.id,
        )
        return
    yield Note(PERMISSIONS)


@github.on("member")
def collaborator_changed(event: MemberEvent) -> Iterator[Decision]:
    """A collaborator is somebody who may work here; what they may do is asked when it matters."""
    yield from seen(event, event.received_at, event.member)
    yield Note(PERMISSIONS)


@github.on("ping")
def ping_received(event: PingEvent) -> Iterator[Decision]:
    """GitHub tries the address of a webhook."""
    yield Note("GitHub reaches us; a ping has no other meaning.")


def organization(
    account: Installer, organization_id: str, installation: Installation
) -> models.Organization:
    """Return the row of the organisation that an installation belongs to."""
    return models.Organization(
        id=organization_id,
        changed_at=installation.clock,
        login=account.login,
        account_id=account.id,
    )


def connection(installation: Installation, action: str) -> models.Connection:
    """Return the row of an installation."""
    return models.Connection(
        id=installation.key,
        changed_at=installation.clock,
        rank=CONNECTION_RANKS.get(action, 0),
        source="github",
        external_id=str(installation.id),
        account_id=installation.account.id,
        account_login=installation.account.login,
        state=state(installation, action),
        repository_selection=installation.repository_selection,
        permissions=installation.permissions or {},
    )


def state(installation: Installation, action: str) -> str:
    """Return active, suspended or deleted."""
    if action == "deleted":
        return "deleted"
    return "suspended" if installation.suspended_at or action == "suspend" else "active"


def reached(
    installation: Installation, listed: Sequence[Listed] | None, rank: int
) -> Iterator[Decision]:
    """Yield whether each repository listed is open to the installation."""
    for repository in listed or ():
        yield models.ConnectionRepository(
            id=f"{installation.key}:{repository.id}",
            changed_at=installation.clock,
            rank=rank,
            connection_id=installation.key,
            repository_id=f"github:{repository.id}",
            full_name=repository.full_name,
            private=bool(repository.private),
            selected=rank < REMOVED,
        )


def opened(
    event: InstallationEvent | InstallationRepositoriesEvent, listed: Sequence[Listed] | None
) -> Iterator[Decision]:
    """Order that the last 90 days of repositories are read, which nobody told us of."""
    if event.action in BACKFILLED_BY:
        since = event.received_at - timedelta(days=BACKFILL_DAYS)
        for repository in listed or ():
            yield backfill(f"github:{repository.id}", since)


def backfill(repository_id: str, since: datetime | None) -> Job:
    """Order that the history of a repository is read since a time; None: all that GitHub keeps."""
    told: dict[str, object] = {"repository": repository_id}
    return Job(
        "backfill",
        key=f"backfill:{repository_id}",
        arguments=told if since else told | {"all": True},
        since=since,
        lane="history",
    )


def account(event: str, payload: Mapping[str, Any]) -> Account:
    """Return whom a payload belongs to: its installation first, then the account it is about.

    Reads whatever is there and raises nothing: a payload that tells nothing has no keys.
    """
    installation = part(payload, "installation")
    owner = (
        part(payload, "organization")
        or part(part(payload, "repository"), "owner")
        or part(installation, "account")
    )
    account_id = whole(owner.get("id"))
    login = owner.get("login")
    numbers = {"installation": whole(installation.get("id")), "account": account_id}
    return Account(
        keys=tuple(f"{name}:{number}" for name, number in numbers.items() if number is not None),
        login=login if isinstance(login, str) else None,
        account_id=account_id,
        founding=event in FOUNDING
        and bool(part(installation, "account"))
        and not (event == "installation" and payload.get("action") == "deleted"),
    )


def part(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object inside a payload, empty where there is none."""
    found = payload.get(name)
    return found if isinstance(found, Mapping) else {}


def whole(number: object) -> int | None:
    """Return a number that can be an id."""
    right = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63
    return number if right and isinstance(number, int) else None
