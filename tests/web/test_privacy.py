"""Who sees figures of people: every setting, role and surface of the API (UX.md, Privacy)."""

import csv
import re
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import insert

from models import Identity, PullRequest, PullRequestTime, Team, TeamMember, TeamRepository
from models.metrics.privacy import TOO_FEW, choose_setting, emptied, sight_of, visible, withheld
from models.store import remember
from tests.web.conftest import AT, World

pytestmark = pytest.mark.store

API = "/api/v1/metrics/development"
DATES = {"start_date": "2026-08-01", "end_date": "2026-09-30", "organization": "acme"}
METRICS = ("pr-review-time", "cycle-time", "throughput")
LOGINS = {"viewer": "vera", "manager": "manny", "admin": "ann", "operator": None, "both": None}
TEAMS = {"hand:red": ("vera", "manny", "bob"), "hand:blue": ("ann", "cleo", "dan", "eve", "flo")}
PEOPLE = ("vera", "manny", "ann", "bob", "cleo", "dan", "eve", "flo")
NUMBERS = count(1)


def pull_request(login: str, repository: str, cohort: str = "people") -> list[Any]:
    """A merged pull request that waited an hour, and whose issue is a day older."""
    number = next(NUMBERS)
    key = f"github:p{number}"
    shared = {"organization_id": "github:1", "repository_id": repository, "cohort": cohort}
    fact = {
        **shared,
        "id": key,
        "number": number,
        "title": f"Change {number}",
        "state": "closed",
        "author_login": login,
        "base_ref": "main",
        "head_ref": f"branch-{number}",
        "head_sha": "a" * 40,
        "labels": [],
        "opened_at": AT,
    }
    reviewed = AT + timedelta(hours=1)
    times = {
        **shared,
        "pull_request_id": key,
        "author_login": login,
        "account": f"github:login:{login}",
        "state": "merged",
        "first_commit_at": AT,
        "opened_at": AT,
        "ready_at": AT,
        "first_review_at": reviewed,
        "merged_at": AT + timedelta(hours=2),
        "closed_at": AT + timedelta(hours=2),
        "answered_at": reviewed,
    }
    return [fact, times]


async def lived_in(world: World, setting: str | None = None) -> None:
    """Let eight people and the agent work in acme, in two teams; two of them in acme/web."""
    rows = [pull_request(login, "github:10") for login in PEOPLE]
    rows += [pull_request(login, "github:11") for login in ("vera", "bob")]
    rows += [pull_request("veelocity[bot]", "github:10", "agent")]
    shared = {"organization_id": "github:1", "changed_at": AT}
    facts: list[Any] = []
    for team, members in TEAMS.items():
        facts.append(Team(id=team, source="hand", name=team[5:], slug=team[5:], **shared))
        facts += [
            TeamMember(id=f"{team}:{login}", team_id=team, login=login, **shared)
            for login in members
        ]
    facts.append(
        TeamRepository(
            id="hand:red:github:10", team_id="hand:red", repository_id="github:10", **shared
        )
    )
    emails = {login: f"{who}@example.org" for who, login in LOGINS.items() if login}
    facts += [
        Identity(
            id=f"github:1/github:login:{login}",
            source="github",
            account=f"github:login:{login}",
            name=login.title(),
            email=emails.get(login),
            **shared,
        )
        for login in PEOPLE
    ]
    async with world.engine.begin() as db:
        await remember(db, facts)
        await db.execute(insert(PullRequest), [fact for fact, _ in rows])
        await db.execute(insert(PullRequestTime), [times for _, times in rows])
        if setting:
            await choose_setting(db, "github:1", setting)


async def got(world: World, who: str, path: str, **query: str) -> Any:
    client = await world.program(who)
    answer = await client.get(f"{API}/{path}", params=DATES | query)
    assert answer.status_code == 200, answer.text
    return answer


def names(text: str) -> set[str]:
    """Whose names are anywhere in an answer."""
    return set(PEOPLE) & set(re.findall(r"[a-z]+", text.lower()))


# What each may see: themselves, or with `team` whoever shares a team with them. No role more.
SEES = {
    (None, "viewer"): {"vera"},
    (None, "manager"): {"manny"},
    (None, "admin"): {"ann"},
    (None, "both"): set(),
    ("self_only", "viewer"): {"vera"},
    ("self_only", "admin"): {"ann"},
    ("off", "viewer"): set(),
    ("off", "manager"): set(),
    ("off", "admin"): set(),
    ("team", "viewer"): {"vera", "manny", "bob"},
    ("team", "manager"): {"vera", "manny", "bob"},
    ("team", "admin"): {"ann", "cleo", "dan", "eve", "flo"},
    ("team", "both"): set(),
}


@pytest.mark.parametrize(("setting", "who"), SEES)
async def test_single_people_are_seen_by_whom_the_setting_says_on_every_surface(
    world: World, setting: str | None, who: str
) -> None:
    await lived_in(world, setting)
    seen = SEES[setting, who]
    for path in ("pr-review-time", "throughput"):
        told = (await got(world, who, path, group_by="author")).json()
        assert {part["name"] for part in told["series"]} == seen | {"agent"}
        assert told["hidden"]
        assert names(str(told)) == seen
    for metric in METRICS:
        for surface in (metric, f"{metric}/explain"):
            for group in ("author",) if metric == "cycle-time" else ("author", "team"):
                for form in ("json", "csv"):
                    answer = await got(world, who, surface, group_by=group, format=form)
                    assert names(answer.text) <= seen, (surface, group, form)
    explained = (await got(world, who, "throughput/explain")).json()
    assert {row["author"] for row in explained["rows"]} == seen | {"veelocity[bot]", None}
    rows = csv.DictReader((await got(world, who, "throughput", format="csv")).text.splitlines())
    assert {row["author"] for row in rows} == seen | {"veelocity[bot]", ""}
    assert names((await got(world, who, "open")).text) <= seen


SMALL = ({"team_id": "hand:red"}, {"repo_id": "acme/web"})
FIGURES = {
    "pr-review-time": lambda told: [
        *(value for key, value in told["first_review"].items() if key.endswith("seconds")),
        *(value for key, value in told["merge"].items() if key.endswith("seconds")),
        *(stage["p50_seconds"] for name, stage in told["stages"].items()
          if name in ("coding", "pickup", "review", "merge")),
        told["first_review"]["count"], told["merge"]["count"],
        *(one["count"] for one in told["series"]), *told["histogram"],
    ],
    "throughput": lambda told: [
        told["pull_requests"], told["issues"], told["pull_requests_per_week"],
        told["by_cohort"]["people"]["pull_requests"],
        *(one["pull_requests"] for one in told["series"]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("who", ["viewer", "manager", "admin"])
@pytest.mark.parametrize("setting", ["off", "self_only", "team"])
@pytest.mark.parametrize("group", SMALL)
async def test_a_group_of_fewer_than_five_has_no_figure_for_anybody(
    world: World, group: dict[str, str], setting: str, who: str
) -> None:
    await lived_in(world, setting)
    for path, figures in FIGURES.items():
        told = (await got(world, who, path, **group)).json()
        assert set(figures(told)) == {None}
        assert TOO_FEW in (told.get("reason"), told.get("first_review", {}).get("reason"))
        explained = (await got(world, who, f"{path}/explain", **group)).json()
        assert (explained["rows"], explained["counted"], explained["excluded"]) == ([], 0, [])
        assert TOO_FEW in explained["next_step"]
        for surface in (path, f"{path}/explain"):
            answer = await got(world, who, surface, format="csv", **group)
            assert answer.text.splitlines() == ["reason", f"withheld: {TOO_FEW}"]


async def test_five_are_enough_and_the_agent_stands_apart(world: World) -> None:
    await lived_in(world)
    told = (await got(world, "viewer", "pr-review-time", team_id="hand:blue")).json()
    assert (told["first_review"]["median_seconds"], told["first_review"]["count"]) == (3600, 5)
    told = (await got(world, "viewer", "throughput")).json()
    assert told["by_cohort"]["agent"] == {"pull_requests": 1, "issues": 0}
    assert told["pull_requests"] == 11
    small = (await got(world, "viewer", "throughput", team_id="hand:red")).json()
    assert small["by_cohort"]["people"] == {"pull_requests": None, "issues": None}
    assert small["by_cohort"]["agent"] == {"pull_requests": 0, "issues": 0}
    alone = (await got(world, "viewer", "throughput", cohorts="agent")).json()
    assert (alone["pull_requests"], alone["reason"]) == (1, None)


async def test_groups_come_by_name_and_the_small_without_a_figure(world: World) -> None:
    await lived_in(world)
    told = (await got(world, "admin", "throughput", group_by="team")).json()
    assert [(one["name"], one["pull_requests"], one["reason"]) for one in told["series"]] == [
        ("blue", 5, None),
        ("red", None, TOO_FEW),
    ]
    told = (await got(world, "admin", "pr-review-time", group_by="repo")).json()
    assert [(one["name"], one["p50_seconds"], one["reason"]) for one in told["series"]] == [
        ("acme/api", 3600, None),
        ("acme/web", None, TOO_FEW),
    ]


async def test_one_person_with_five_accounts_is_no_group(world: World) -> None:
    await lived_in(world)
    statement = "update identities set email = 'one@example.org' where name = any(:names)"
    await world.rows(statement, names=["Cleo", "Dan"])
    told = (await got(world, "viewer", "throughput", team_id="hand:blue")).json()
    assert (told["pull_requests"], told["reason"]) == (None, TOO_FEW)


async def test_a_page_for_everybody_names_nobody(world: World) -> None:
    await lived_in(world, "team")
    async with world.engine.connect() as db:
        sight = await sight_of(db, "github:1")
    assert (sight.own, sight.accounts) == (frozenset(), frozenset())


def test_what_is_withheld_keeps_what_says_which_it_is() -> None:
    told = {"id": "x", "count": 3, "reason": None, "parts": [{"start_date": "d", "p50": 1.5}]}
    assert withheld(told, TOO_FEW) == {
        "id": "x",
        "count": None,
        "reason": TOO_FEW,
        "parts": [{"start_date": "d", "p50": None}],
    }
    assert withheld(told, None) is told
    assert emptied([1, "a", None, {"b": 2}]) == [None, "a", None, {"b": None}]


def test_a_team_shows_its_own_members_alone() -> None:
    red, blue = frozenset({"a", "b"}), frozenset({"c"})
    assert visible("team", frozenset({"a"}), [red, blue]) == {"a", "b"}
    assert visible("team", frozenset(), [red, blue]) == frozenset()
    assert visible("self_only", frozenset({"a"}), [red]) == {"a"}
    assert visible("off", frozenset({"a"}), [red]) == frozenset()
