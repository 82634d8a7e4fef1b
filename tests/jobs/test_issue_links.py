"""Issues are tied to pull requests by what each says of the other, whatever came first."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import models
from bot.jobs.issue_links import link
from models.columns import Fact
from models.queue import ClaimedJob
from models.store import remember
from tests.rig import Rig

pytestmark = pytest.mark.store

AT = datetime(2026, 9, 1, tzinfo=UTC)
ACME = "github:1"


def shared(minute: int = 0) -> dict[str, Any]:
    return {"organization_id": ACME, "changed_at": AT + timedelta(minutes=minute)}


def pull(
    number: int, mentions: list[str], closes: list[str] | None = None, branch: str = "work"
) -> models.PullRequest:
    return models.PullRequest(
        id=f"github:p{number}",
        repository_id="github:10",
        number=number,
        title="t",
        url=f"https://github.com/acme/api/pull/{number}",
        state="open",
        cohort="people",
        base_ref="main",
        head_ref=branch,
        head_sha="a" * 40,
        opened_at=AT,
        mentions=mentions,
        closes=closes or [],
        **shared(number),
    )


def issue(number: int, **more: Any) -> models.Issue:
    return models.Issue(
        id=f"github:i{number}",
        repository_id="github:10",
        number=number,
        title="t",
        state="open",
        created_at=AT,
        **{**shared(number), **more},
    )


def linear(identifier: str, **more: Any) -> models.LinearIssue:
    return models.LinearIssue(
        id=f"linear:{identifier}",
        identifier=identifier,
        number=int(identifier.partition("-")[2]),
        title="t",
        team_id="linear:team",
        created_at=AT,
        **{**shared(), **more},
    )


def attached(identifier: str, number: int) -> models.LinearAttachment:
    return models.LinearAttachment(
        id=f"linear:a{identifier}-{number}",
        issue_id=f"linear:{identifier}",
        url=f"https://github.com/acme/api/pull/{number}",
        **shared(),
    )


REPOSITORY = models.Repository(id="github:10", full_name="Acme/API", owner_login="Acme", **shared())
FACTS: list[Fact] = [
    pull(7, ["number:acme/api#3", "number:acme/api#4"], ["number:acme/api#3"]),
    pull(8, ["identifier:ENG-1", "identifier:ENG-2", "identifier:ENG-3"], ["identifier:ENG-1"],
         "feature/ENG-2-login"),
    pull(9, ["identifier:OLD-9", "number:acme/api#5", "sha:abc1234", "repository:acme/api"]),
    issue(3), issue(4), issue(5, deleted=True),
    linear("ENG-1"), linear("ENG-2"), linear("ENG-3"), linear("ENG-4"),
    linear("NEW-9", previous_identifiers=["OLD-9"]),
    linear("ENG-5", deleted=True),
    attached("ENG-4", 7), attached("ENG-3", 8), attached("ENG-5", 8),
]  # fmt: skip
EXPECTED = {
    ("github:i3", "github:p7", "github", "closes"),
    ("github:i4", "github:p7", "github", "mention"),
    ("linear:ENG-1", "github:p8", "linear", "closes"),
    ("linear:ENG-2", "github:p8", "linear", "branch"),
    ("linear:ENG-3", "github:p8", "linear", "mention"),
    ("linear:ENG-4", "github:p7", "linear", "attachment"),
    ("linear:NEW-9", "github:p9", "linear", "mention"),
}


async def order(db: AsyncConnection, *facts: Fact) -> int:
    """Remember facts and link what changed, as the jobs of their events would."""
    await remember(db, [REPOSITORY, *facts])
    since = min((fact.changed_at for fact in facts), default=None)
    changed = 0
    for arguments in ({"repository": "github:10"}, {}):
        told = ClaimedJob(1, ACME, "link_issues", "k", arguments, since, 1)
        changed += await link(db, ACME, told)
    return changed


async def links(db: AsyncConnection) -> set[tuple[Any, ...]]:
    rows = await db.execute(
        text("select issue_id, pull_request_id, source, evidence from issue_pull_requests")
    )
    return {tuple(row) for row in rows}


async def test_the_strongest_evidence_of_each_link_is_kept(db: AsyncConnection) -> None:
    assert await order(db, *FACTS) == len(EXPECTED)
    assert await links(db) == EXPECTED


async def test_linking_again_changes_nothing(db: AsyncConnection) -> None:
    await order(db, *FACTS)
    assert await order(db, *FACTS) == 0


@pytest.mark.parametrize("start", range(6))
async def test_any_order_of_facts_leaves_the_same_links(db: AsyncConnection, start: int) -> None:
    shuffled = [FACTS[(start + 7 * turn) % len(FACTS)] for turn in range(len(FACTS) * 15)]
    for fact in dict.fromkeys(map(id, shuffled)):
        await order(db, next(each for each in FACTS if id(each) == fact))
    assert await links(db) == EXPECTED


async def test_every_order_of_what_says_and_what_is_said_of_agrees(engine: AsyncEngine) -> None:
    some = [FACTS[1], FACTS[6], FACTS[8], FACTS[13]]
    for shuffled in permutations(some):
        async with engine.connect() as db:
            for fact in shuffled:
                await order(db, fact)
            assert {row[0] for row in await links(db)} == {"linear:ENG-1", "linear:ENG-3"}


async def test_what_is_not_said_any_more_is_no_link(db: AsyncConnection) -> None:
    await order(db, *FACTS)
    silent = pull(8, ["identifier:ENG-2"], [], "work")
    silent.changed_at = AT + timedelta(days=1)
    await order(db, silent, linear("ENG-4", deleted=True, changed_at=AT + timedelta(days=1)))
    assert {row for row in await links(db) if "ENG" in row[0]} == {
        ("linear:ENG-2", "github:p8", "linear", "mention"),
        ("linear:ENG-3", "github:p8", "linear", "attachment"),
    }


async def test_other_organisations_are_not_linked(db: AsyncConnection) -> None:
    theirs = linear("ENG-1")
    theirs.organization_id = "github:2"
    await order(db, pull(8, ["identifier:ENG-1"]), theirs)
    assert await links(db) == set()


async def test_odd_references_break_nothing(db: AsyncConnection) -> None:
    odd = ["number:#12", "number:acme/api#99999999999", "number:acme/api#x", "identifier:", "x"]
    assert await order(db, pull(7, odd), issue(3)) == 0


async def test_an_issue_and_its_pull_request_are_linked_by_their_webhooks(rig: Rig) -> None:
    from tests.handlers.recorded import recorded

    opened = recorded("issues", "opened")
    pr = recorded("pull_request", "opened")
    pr["pull_request"]["body"] = f"Fixes #{opened['issue']['number']}"
    pr["repository"] = opened["repository"]
    installed = recorded("installation", "created")
    for event, body in (("installation", installed), ("pull_request", pr), ("issues", opened)):
        await rig.deliver(event, body)
        await rig.settle()
    assert await rig.ask("select issue_id, pull_request_id, evidence from issue_pull_requests") == [
        {
            "issue_id": f"github:{opened['issue']['id']}",
            "pull_request_id": f"github:{pr['pull_request']['id']}",
            "evidence": "closes",
        }
    ]
