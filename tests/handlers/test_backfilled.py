"""Which repositories' history is read: those that have just become open to us."""

from datetime import timedelta
from typing import Any

import pytest

from handlers.events import Job
from tests.handlers.recorded import RECEIVED_AT, decided, recorded

LISTED = [{"id": 5001, "full_name": "acme/api"}, {"id": 5002, "full_name": "acme/web"}]
KEYS = ["backfill:github:5001", "backfill:github:5002"]


def orders(event: str, **told: Any) -> list[Job]:
    body = recorded("installation", "created", 0) | told
    return [job for job in decided(event, body).jobs if job.name == "backfill"]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("created", KEYS),
        ("unsuspend", KEYS),
        ("suspend", []),
        ("deleted", []),
        ("new_permissions_accepted", []),
    ],
)
@pytest.mark.parametrize("kind", ["Organization", "User"])
def test_an_installation_has_its_repositories_read(
    action: str, expected: list[str], kind: str
) -> None:
    home = recorded("installation", "created", 0)["installation"]
    home = home | {"account": home["account"] | {"type": kind}}
    found = orders("installation", action=action, installation=home, repositories=LISTED)
    assert [job.key for job in found] == expected


def test_only_what_was_added_is_read() -> None:
    told = {"repositories_added": LISTED[:1], "repositories_removed": LISTED[1:]}
    (job,) = orders("installation_repositories", action="added", **told)
    assert (job.key, job.lane) == (KEYS[0], "history")
    assert job.arguments == {"repository": "github:5001"}
    assert job.since == RECEIVED_AT - timedelta(days=90)


def test_what_a_sync_lists_orders_nothing_by_itself() -> None:
    assert orders("installation_repositories", action="read", repositories_added=LISTED) == []
