"""The Agent screen: what it shows to whom, and what its forms do."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from html import unescape
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from bot.web.pages import agent_actions, agent_view
from bot.web.pages.run_view import road
from models.agent_pages import Taken
from models.budgets import Limit
from models.runs import RunState
from models.tickets import PRIORITIES
from tests.agent_rows import add_budget, add_run, add_ticket
from tests.fakes.github import FakeGitHub, fake_github
from tests.web.conftest import World
from tests.web.pages.screens import planted, with_screens

HX = {"hx-request": "true"}
THEIRS = {"organization_id": "github:2", "repository_id": "github:20"}
FORMS: dict[str, dict[str, Any]] = {
    "/agent/tickets": {"repository": "github:10", "title": "Mend it", "type": "bug"},
    "/agent/tickets/github:1/develop": {},
    "/agent/tickets/github:1/stop": {},
    "/agent/tickets/github:1/priority": {"priority": "low"},
    "/agent/tickets/github:1/move": {"to": "down"},
    "/agent/repositories/github:10/develop-next": {},
    "/agent/repositories/github:10/order": {"ticket": ["github:3", "github:2"]},
}


@pytest.fixture
def screens(world: World) -> World:
    return with_screens(world)


@pytest.fixture
async def github(screens: World) -> AsyncIterator[FakeGitHub]:
    """Install the application at a GitHub that may be written to."""
    with fake_github(writes=True) as fake:
        told = {
            "app_id": fake.app_id,
            "private_key": SecretStr(fake.private_key),
            "github_api_url": fake.url,
        }
        state = screens.app.state
        state.settings = state.settings.model_copy(update=told)
        await screens.rows("update connections set external_id = '42'")
        fake.repository("acme/api")
        yield fake


async def three(world: World) -> None:
    """Let three tickets wait in acme/api."""
    for number in (1, 2, 3):
        await add_ticket(world.engine, f"github:{number}", number=number, position=float(number))


async def shown(browser: httpx.AsyncClient, path: str = "/agent", **more: Any) -> str:
    """Return a page's markup."""
    answer = await browser.get(path, **more)
    assert answer.status_code == 200, answer.text
    return answer.text


def words(markup: str) -> str:
    """Return what people read."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split())


async def queued(world: World, repository: str = "github:10") -> list[str]:
    """Return the queue of a repository."""
    rows = await world.rows(
        "select id from tickets where repository_id = :it and status = 'open' order by position",
        it=repository,
    )
    return [row["id"] for row in rows]


async def test_a_queue_is_shown_in_its_order(screens: World) -> None:
    await three(screens)
    await screens.rows("update tickets set position = 0 where id = 'github:3'")
    run = await add_run(screens.engine, "github:3")
    markup = await shown(await screens.signed_in("manager"))
    found = re.findall(r'<li id="(github:\d)">', markup)
    assert found == ["github:3", "github:1", "github:2"]
    assert "bug · asked by ada" in words(markup)
    assert f"/agent/runs/{run}" in markup
    assert "/agent/tickets/github:1/develop" in markup
    assert "/agent/tickets/github:3/develop" not in markup


async def test_viewers_see_no_forms(screens: World) -> None:
    await planted(screens)
    markup = await shown(await screens.signed_in("viewer"))
    assert "The export loses the last row" in markup
    assert re.findall(r'method="post" action="(/agent[^"]*)"', markup) == []
    assert "queue.js" not in markup


@pytest.mark.parametrize("path", FORMS)
async def test_viewers_may_send_no_form(screens: World, path: str) -> None:
    await three(screens)
    await add_run(screens.engine, "github:1", state="developing")
    before = await screens.rows("select * from tickets order by id")
    browser = await screens.signed_in("viewer")
    assert (await browser.post(path, data=FORMS[path])).status_code == 403
    assert await screens.rows("select * from tickets order by id") == before
    assert await screens.rows("select id from runs where stop_requested_at is not null") == []


def test_every_form_is_tried_by_viewers() -> None:
    patterns = {route.path for route in agent_actions.routes()}
    named = {
        path.replace("github:10", "{repository}").replace("github:1", "{ticket}") for path in FORMS
    }
    assert named == patterns


@pytest.mark.parametrize("path", FORMS)
async def test_forms_of_other_websites_are_refused(screens: World, path: str) -> None:
    await three(screens)
    before = await screens.rows("select * from tickets order by id")
    browser = await screens.signed_in("manager")
    foreign = {"sec-fetch-site": "cross-site"}
    answer = await browser.post(path, data=FORMS[path], headers=foreign)
    assert answer.status_code == 403
    assert await screens.rows("select * from tickets order by id") == before


async def test_tickets_of_another_organisation_are_not_there(screens: World) -> None:
    await add_ticket(screens.engine, "github:1", title="Theirs alone", **THEIRS)
    run = await add_run(screens.engine, "github:1", state="developing", **THEIRS)
    await add_budget(screens.engine, f"organization:github:2:{datetime.now(UTC).date()}", 13, 0)
    browser = await screens.signed_in("manager")
    markup = await shown(browser)
    assert "Theirs alone" not in markup
    assert "0 runs under way · 0 tickets open" in words(markup)
    assert f"/agent/runs/{run}" not in markup
    assert "$13" not in markup
    for path, form in FORMS.items():
        theirs = path.replace("github:10", "github:20")
        if path != "/agent/tickets":
            answer = await browser.post(theirs, data=form)
            assert answer.status_code == 404, path
    answer = await browser.post("/agent/tickets", data={"repository": "github:20", "title": "No"})
    assert answer.status_code == 404
    assert (await browser.get("/agent?repository=globex/api")).status_code == 422
    [row] = await screens.rows("select * from runs")
    assert row["stop_requested_at"] is None


async def test_nobody_signed_in_is_sent_to_sign_in(screens: World) -> None:
    browser = await screens.browser()
    answer = await browser.get("/agent")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fagent")
    for path in FORMS:
        assert (await browser.post(path)).headers["location"] == "/sign-in"


async def test_words_of_strangers_are_text(screens: World) -> None:
    hostile = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"
    await add_ticket(
        screens.engine,
        "github:1",
        title=hostile,
        url="javascript:alert(3)",
        requested_by_login=hostile,
        model=hostile,
    )
    checklist = [{"text": hostile, "done": False}]
    await add_run(screens.engine, "github:1", state="developing", checklist=checklist)
    await add_run(screens.engine, "github:1", state="failed", model=hostile, verdict=hostile)
    await screens.rows("update runs set finished_at = now() where state = 'failed'")
    markup = await shown(await screens.signed_in("manager"))
    assert words(markup).count("<img src=x") >= 5
    assert "<img" not in markup
    assert "<script>" not in markup
    assert "javascript:" not in markup


async def test_a_ticket_moves_one_place_and_stays_at_the_end(screens: World) -> None:
    await three(screens)
    browser = await screens.signed_in("manager")
    for ticket, to, order in (
        ("github:1", "down", ["github:2", "github:1", "github:3"]),
        ("github:3", "up", ["github:2", "github:3", "github:1"]),
        ("github:2", "up", ["github:2", "github:3", "github:1"]),
        ("github:1", "down", ["github:2", "github:3", "github:1"]),
    ):
        answer = await browser.post(f"/agent/tickets/{ticket}/move", data={"to": to})
        assert (answer.status_code, answer.headers["location"]) == (303, "/agent")
        assert await queued(screens) == order
    wrong = await browser.post("/agent/tickets/github:1/move", data={"to": "<b>"})
    assert wrong.status_code == 409
    assert "To is one of up, down; '<b>' is none." in words(wrong.text)


async def test_what_was_dragged_is_kept_and_the_address_too(screens: World) -> None:
    await three(screens)
    browser = await screens.signed_in("manager")
    answer = await browser.post(
        "/agent/repositories/github:10/order?repository=acme%2Fapi",
        data={"ticket": ["github:3", "github:1", "nonsense"]},
    )
    assert answer.headers["location"] == "/agent?repository=acme%2Fapi"
    assert await queued(screens) == ["github:3", "github:1", "github:2"]
    [entry] = await screens.rows("select * from audit_log where action = 'order_tickets'")
    assert (entry["organization_id"], entry["detail"]) == ("github:1", "github:10")


async def test_a_priority_brings_its_place(screens: World) -> None:
    await three(screens)
    browser = await screens.signed_in("manager")
    path = "/agent/tickets/github:3/priority"
    await browser.post(path, data={"priority": "critical"})
    assert await queued(screens) == ["github:3", "github:1", "github:2"]
    refused = await browser.post(path, data={"priority": "urgent"})
    assert f"Priority is one of {', '.join(PRIORITIES)}; 'urgent' is none." in words(refused.text)


async def test_a_ticket_is_developed_once(screens: World, github: FakeGitHub) -> None:
    await three(screens)
    browser = await screens.signed_in("manager")
    answer = await browser.post("/agent/tickets/github:2/develop")
    assert answer.status_code == 303
    [run] = await screens.rows("select * from runs")
    assert (run["ticket_id"], run["state"]) == ("github:2", "queued")
    assert run["requested_by_id"].startswith("user:")
    again = await browser.post("/agent/tickets/github:2/develop")
    assert again.status_code == 409
    assert "A run of #2 is waiting or at work already." in words(again.text)
    assert 'hx-get="/agent"' in again.text


async def test_without_leaving_the_page_a_part_answers(screens: World, github: FakeGitHub) -> None:
    await three(screens)
    browser = await screens.signed_in("manager")
    answer = await browser.post("/agent/tickets/github:2/develop", headers=HX)
    assert answer.status_code == 200
    assert "#2 is queued as run" in words(answer.text)
    assert "<html" not in answer.text
    refused = await browser.post("/agent/tickets/github:2/develop", headers=HX)
    assert (refused.status_code, "hint bad" in refused.text) == (200, True)


async def test_develop_next_goes_down_the_queue_until_none_is_left(
    screens: World, github: FakeGitHub
) -> None:
    await three(screens)
    browser = await screens.signed_in("manager")
    path = "/agent/repositories/github:10/develop-next"
    for _ in range(3):
        assert (await browser.post(path)).status_code == 303
    rows = await screens.rows("select ticket_id from runs order by id")
    assert [row["ticket_id"] for row in rows] == ["github:1", "github:2", "github:3"]
    over = await browser.post(path)
    assert "No ticket is open in this repository, or each has a run already." in words(over.text)
    assert "Develop next" not in await shown(browser, "/agent?repository=acme/api")


async def test_what_github_does_not_do_is_said(screens: World, github: FakeGitHub) -> None:
    github.permissions[42]["issues"] = "read"
    browser = await screens.signed_in("manager")
    form = {"repository": "github:10", "title": "Mend", "type": "bug", "priority": "low"}
    answer = await browser.post("/agent/tickets", data=form)
    assert answer.status_code == 409
    assert "issues: write" in words(answer.text)


async def test_a_run_is_stopped_from_the_queue(screens: World) -> None:
    await three(screens)
    at_work = await add_run(screens.engine, "github:1", state="developing")
    waits = await add_run(screens.engine, "github:2")
    browser = await screens.signed_in("manager")
    for ticket in ("github:1", "github:2"):
        assert (await browser.post(f"/agent/tickets/{ticket}/stop")).status_code == 303
    told = {row["id"]: row for row in await screens.rows("select * from runs")}
    assert (told[at_work]["state"], told[waits]["state"]) == ("developing", "cancelled")
    assert told[at_work]["stop_requested_by"] == "manager"
    none = await browser.post("/agent/tickets/github:3/stop")
    assert "No run of #3 is waiting or at work any more." in words(none.text)


async def test_an_issue_that_is_there_becomes_a_ticket(screens: World, github: FakeGitHub) -> None:
    issue = github.repositories["acme/api"].issue("Slow", "Why?", "priority:low", "docs")
    browser = await screens.signed_in("manager")
    form = {"repository": "github:10", "number": f"#{issue.number}", "priority": "critical"}
    answer = await browser.post("/agent/tickets", data=form, headers=HX)
    assert f"#{issue.number} is in the queue." in words(answer.text)
    [ticket] = await screens.rows("select * from tickets")
    assert (ticket["title"], ticket["type"], ticket["priority"]) == ("Slow", "docs", "low")
    assert ticket["source"] == "page"


async def test_a_new_ticket_is_an_issue_on_github(screens: World, github: FakeGitHub) -> None:
    browser = await screens.signed_in("manager")
    form = {
        "repository": "acme/api",
        "title": " Mend the clock ",
        "body": "It is late.\r\nAlways.",
        "type": "bug",
        "priority": "high",
    }
    assert (await browser.post("/agent/tickets", data=form)).status_code == 303
    [issue] = github.repositories["acme/api"].issues.values()
    assert (issue.title, issue.body) == ("Mend the clock", "It is late.\nAlways.")
    assert {"claude", "bug", "priority:high"} <= set(issue.labels)
    assert await queued(screens) == [f"github:{issue.id}"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "Say one: the number of an issue"),
        ({"number": "1", "title": "Both"}, "Say one: the number of an issue"),
        ({"number": "one"}, "'one' is none."),
        ({"number": "99999999999"}, "'99999999999' is none."),
        ({"number": "999"}, "acme/api has no issue #999."),
        ({"title": "x" * 257}, "The title may have 256 characters at most."),
        ({"title": "a", "type": "wish"}, "Type is one of bug"),
        ({"title": "a", "type": "bug", "priority": ""}, "Priority is one of critical"),
        ({"repository": "", "title": "a"}, "Choose a repository."),
    ],
)
async def test_what_is_no_ticket_is_refused_in_words(
    screens: World, github: FakeGitHub, wrong: dict[str, str], says: str
) -> None:
    browser = await screens.signed_in("manager")
    answer = await browser.post("/agent/tickets", data={"repository": "github:10", **wrong})
    assert answer.status_code == 409
    assert says in words(answer.text)
    assert await screens.rows("select * from tickets") == []


async def test_without_anything_the_one_next_step_is_said(screens: World) -> None:
    browser = await screens.signed_in("manager")
    told = words(await shown(browser))
    assert "Put the label claude on an issue" in told
    assert "No run has ended yet." in told
    await screens.rows("delete from repositories")
    told = words(await shown(browser))
    assert "Install the GitHub App" in told
    assert "Put the label" not in told


async def test_no_data_is_a_dash_with_a_reason(screens: World) -> None:
    await add_ticket(screens.engine)
    told = words(await shown(await screens.signed_in("viewer"), "/agent?period=7"))
    assert (
        "Cost per merged pull request People's time has no price here; of the agent, none was"
        in told
    )
    assert (
        "Opened to merged, median Of agent and people: none was merged in this period. – –" in told
    )


async def test_what_became_of_runs_is_shown_with_its_cost(screens: World) -> None:
    await planted(screens)
    told = words(await shown(await screens.signed_in("viewer")))
    assert "done #21 Ticket number 21 acme/api passed #121 $0.42 50k claude-sonnet-5-5" in told
    assert "over budget #23" in told
    assert "blocked #22" in told
    assert "needs approval · $0.00 · acme/web" in told
    assert "Pull requests merged 1 4" in told
    assert "Cost per merged pull request People's time has no price here. $1.68 –" in told


async def test_history_comes_in_pages(screens: World) -> None:
    await add_ticket(screens.engine)
    ids = [await add_run(screens.engine, state="failed") for _ in range(20)]
    browser = await screens.signed_in("viewer")
    markup = await shown(browser)
    assert [int(one) for one in re.findall(r'<tr id="run-(\d+)"', markup)] == ids[:4:-1]
    [older] = re.findall(r'rel="next" href="([^"]+)#history"', markup)
    markup = await shown(browser, unescape(older))
    assert [int(one) for one in re.findall(r'<tr id="run-(\d+)"', markup)] == ids[4::-1]


async def test_one_repository_can_be_looked_at(screens: World) -> None:
    await planted(screens)
    today = datetime.now(UTC).date()
    await add_budget(screens.engine, f"repository:github:11:{today}", 7, 1)
    markup = await shown(await screens.signed_in("manager"), "/agent?repository=acme/web")
    assert "Dark theme for the settings" in markup
    assert "The export loses the last row" not in markup
    assert "Ticket number 21" not in markup
    assert "acme/web $7.00 + $1.00 reserved of $20.00" in words(markup)
    assert 'action="/agent/tickets/github:945/move?repository=acme/web"' in markup


async def test_nobodys_whole_address_is_shown(screens: World) -> None:
    await three(screens)
    [user] = await screens.rows("select id from users where email = 'manager@example.org'")
    await screens.rows(
        "update tickets set requested_by_login = null, requested_by_id = :id", id=user["id"]
    )
    markup = await shown(await screens.signed_in("viewer"))
    assert "asked by manager " in words(markup)
    assert "manager@example.org" not in markup


async def test_a_demo_says_that_its_model_is_scripted(screens: World) -> None:
    browser = await screens.signed_in("viewer")
    assert "scripted" not in await shown(browser)
    state = screens.app.state
    state.settings = state.settings.model_copy(update={"sample_data": True})
    assert "The model of this demo is scripted" in words(await shown(browser))


async def test_runs_of_the_period_come_as_csv(screens: World) -> None:
    ids = await planted(screens)
    answer = await (await screens.signed_in("viewer")).get("/agent/runs.csv?period=90")
    assert answer.headers["content-type"].startswith("text/csv")
    numbers = [line.split(",")[1] for line in answer.text.strip().splitlines()[1:]]
    assert sorted(numbers) == sorted(
        str(ids[each]) for each in ("done", "blocked", "over_budget", "draft")
    )


@pytest.mark.parametrize(
    ("spent", "reserved", "limit", "widths", "full"),
    [
        (5, 5, 20, ["25", "25"], False),
        (0, 0, 20, ["0", "0"], False),
        (20, 0, 20, ["100", "0"], True),
        (30, 10, 20, ["75", "25"], True),
        (0, 0, 0, ["0", "0"], True),
    ],
)
def test_a_budget_is_drawn_as_far_as_it_is_gone(
    spent: int, reserved: int, limit: int, widths: list[str], full: bool
) -> None:
    told = Limit("it", "it", Decimal(limit))
    drawn = agent_view.meter(0, told, Taken(Decimal(spent), Decimal(reserved)))
    assert re.findall(r'class="s\d" x="[\d.]+" width="([\d.]+)"', drawn.bar) == widths
    assert drawn.full is full


def places(state: str, seen: list[str], kind: str = "develop") -> list[str]:
    """Return the road of a run as words."""
    run = {"state": state, "kind": kind, "started_at": 1 if seen else None}
    return [f"{stop.place} {stop.state}" for stop in road(run, seen)]


def test_a_road_leads_on_from_where_a_run_is() -> None:
    assert places("queued", [])[:2] == ["now queued", "ahead setup"]
    assert places("validating", ["developing", "validating"])[2:] == [
        "past developing",
        "now validating",
        "ahead gating",
        "ahead publishing",
        "ahead done",
    ]
    assert places("waiting_approval", ["planning"], "plan")[2:5] == [
        "past planning",
        "now waiting_approval",
        "ahead developing",
    ]


def test_a_road_that_ended_leaves_out_what_was_never_reached() -> None:
    assert places("cancelled", []) == ["past queued", "now cancelled"]
    assert places("blocked", ["developing", "validating", "gating"]) == [
        "past queued",
        "past setup",
        "past developing",
        "past validating",
        "past gating",
        "now blocked",
    ]


def test_every_state_has_words_and_a_shape() -> None:
    assert set(agent_view.STATES) == {state.value for state in RunState}
    shapes = {(said.icon, said.kind) for said in agent_view.STATES.values()}
    assert len({said.words for said in agent_view.STATES.values()}) == len(agent_view.STATES)
    assert len(shapes) >= 9
