"""The page of a run: what it says, what it hides, and what managers may do on it."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest

from bot.web.api import redacting
from bot.web.pages import run as pages
from bot.web.pages.run_view import step
from tests.agent_rows import add_message, add_run, add_step, add_ticket
from tests.web.conftest import World
from tests.web.pages.screens import planted, with_screens
from tests.web.pages.test_agent import HX, THEIRS, shown, words

HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"
KEY = "newest-key-of-all"


@pytest.fixture
def screens(world: World) -> World:
    redacting.redaction.cache_clear()
    return with_screens(world)


async def a_run(world: World, state: str = "developing", **told: object) -> int:
    """Write a run of acme/api's ticket 12."""
    await add_ticket(world.engine, number=12, title="Mend the clock")
    return await add_run(world.engine, state=state, **told)


async def test_a_run_at_work_is_shown_with_what_it_does(screens: World) -> None:
    ids = await planted(screens)
    markup = await shown(await screens.signed_in("manager"), f"/agent/runs/{ids['working']}")
    told = words(markup)
    assert "#31 Exports are empty on Sundays" in told
    assert re.search(r"Elapsed \d+ s Cost \$0.12 of \$3.00 Tokens in 73k Tokens out 2k", told)
    assert "From the cache 92.1 % Turns 3 Model claude-sonnet-5-5 Prompt default" in told
    assert "failed python3 -m pytest exit 1 · 3.4 s" in told
    assert "done: Write a test that fails to do: Mend the loop over pages" in told
    assert '<li class="now" aria-current="step">' in markup
    assert f'action="/agent/runs/{ids["working"]}/stop"' in markup
    assert f'hx-get="/agent/runs/{ids["working"]}"' in markup
    assert "hx-sse:connect" in markup
    assert "throttle:1s" in markup


async def test_a_run_that_is_done_shows_its_evidence(screens: World) -> None:
    ids = await planted(screens)
    markup = await shown(await screens.signed_in("viewer"), f"/agent/runs/{ids['done']}")
    told = words(markup)
    assert "Pull request #121" in told
    assert 'href="https://github.com/acme/api/pull/121"' in markup
    assert "base failed, exit 1, 41 tests, 1 failing 3.1 s result passed, 42 tests 3.4 s" in told
    assert "Mended tests/test_export.py::test_last" in told
    assert "2 files, +31 −4 app/export.py +9 −4 tests/test_export.py new +22 −0" in told
    assert "2 calls, $0.42" in told
    assert "hx-sse:connect" not in markup
    assert "hx-get" not in markup
    assert 'action="/agent/runs' not in markup


async def test_a_run_says_why_it_ended(screens: World) -> None:
    ids = await planted(screens)
    browser = await screens.signed_in("manager")
    blocked = words(await shown(browser, f"/agent/runs/{ids['blocked']}"))
    assert "`.github/workflows/ci.yml` (protected)" in blocked
    assert "Try again" in blocked
    spent = words(await shown(browser, f"/agent/runs/{ids['over_budget']}"))
    assert "Limits reached: the ticket." in spent
    turned = words(await shown(browser, f"/agent/runs/{ids['draft']}"))
    assert "Limits reached: the number of turns." in turned


async def test_words_of_strangers_and_of_the_model_are_text(screens: World) -> None:
    documents = {
        "checklist": [{"text": HOSTILE, "done": True}],
        "outcome": {"question": HOSTILE},
        "evidence": {
            "command": HOSTILE,
            "new_failures": [HOSTILE],
            "fixed": [HOSTILE],
            "notes": [HOSTILE],
            "result": {"code": HOSTILE, "ran": HOSTILE, "failures": [HOSTILE]},
        },
        "changes": {
            "files": [{"path": HOSTILE, "status": HOSTILE, "added": 1, "deleted": 1}],
            "weakened": [HOSTILE],
        },
    }
    texts = dict.fromkeys(("plan", "summary", "error", "request", "model", "branch"), HOSTILE)
    run = await a_run(screens, "failed", **documents, **texts, verdict=HOSTILE, limits=[HOSTILE])
    await screens.rows("update tickets set title = :it, url = 'javascript:alert(3)'", it=HOSTILE)
    for kind in ("tool", "state", "test", "note", "limit"):
        await add_step(screens.engine, run, HOSTILE, kind=kind, detail=HOSTILE, ok=False)
    await add_message(screens.engine, run, 0, HOSTILE)
    browser = await screens.signed_in("manager")
    for path, least in ((f"/agent/runs/{run}", 28), (f"/agent/runs/{run}/messages", 2)):
        markup = await shown(browser, path)
        assert words(markup).count("<img src=x") >= least
        assert "<img" not in markup
        assert "<script>" not in markup
        assert "javascript:" not in markup


async def test_documents_may_lack_anything(screens: World) -> None:
    documents = {
        "checklist": [{}],
        "evidence": {"command": "make test", "base": None, "result": {}},
        "changes": {"files": [{"path": "a"}]},
    }
    run = await a_run(screens, "draft", **documents)
    told = words(await shown(await screens.signed_in("viewer"), f"/agent/runs/{run}"))
    assert "base –" in told


async def test_live_secrets_are_on_no_page(screens: World) -> None:
    run = await a_run(screens, summary=KEY, state="failed")
    await add_step(screens.engine, run, f"echo {KEY}", detail=f"it is {KEY}")
    await add_message(screens.engine, run, 0, f"the key is {KEY}, is it not?")
    browser = await screens.signed_in("admin")
    for path in (f"/agent/runs/{run}", f"/agent/runs/{run}/messages"):
        markup = await shown(browser, path)
        assert "redacted" in markup
        assert KEY not in unescape(markup)


async def test_long_output_is_cut_and_earlier_steps_are_a_link_away(screens: World) -> None:
    run = await a_run(screens)
    for number in range(pages.LATEST_STEPS + 3):
        told = "x" * 3000 + "\n[exit status 3]"
        await add_step(screens.engine, run, f"command {number};", detail=told, ok=False)
    browser = await screens.signed_in("viewer")
    markup = await shown(browser, f"/agent/runs/{run}")
    assert "command 2;" not in markup
    assert "command 3;" in markup
    assert markup.count("exit 3 ·") == pages.LATEST_STEPS
    assert "x" * 1000 not in markup
    assert "[…]" in markup
    [link] = re.findall(r'href="([^"]+)">Earlier steps', markup)
    whole = await shown(browser, unescape(link))
    assert "command 0;" in whole
    assert "x" * 3000 in whole
    assert "hx-get" not in whole
    assert "Follow it live" in whole


async def test_messages_come_in_pages_oldest_first(screens: World) -> None:
    run = await a_run(screens)
    for position in range(pages.PAGE_MESSAGES + 2):
        await add_message(screens.engine, run, position, f"word {position};")
    browser = await screens.signed_in("viewer")
    markup = await shown(browser, f"/agent/runs/{run}/messages")
    assert "word 0;" in markup
    assert f"word {pages.PAGE_MESSAGES};" not in markup
    [link] = re.findall(r'rel="next" href="([^"]+)"', markup)
    markup = await shown(browser, unescape(link))
    assert "word 24;" not in markup
    assert "word 26;" in markup


def test_every_kind_of_block_becomes_text() -> None:
    told = pages.blocks(
        [
            {"type": "text", "text": "a"},
            {"type": "thinking", "thinking": "b"},
            {"type": "tool_use", "name": "bash", "input": {"command": "ls"}},
            {"type": "tool_result", "content": [{"type": "text", "text": "c"}], "is_error": True},
            {"type": "tool_result", "content": "d" * 30_000},
            {"type": "image", "source": "e"},
        ]
    )
    assert [block.name for block in told] == [
        "", "thinking", "uses bash", "result (failed)", "result", "image",
    ]  # fmt: skip
    assert [block.text[:1] for block in told] == ["a", "b", "{", "c", "d", "{"]
    assert (told[4].long, told[4].cut, len(told[4].text)) == (True, True, pages.LONGEST_BLOCK)
    assert (told[2].long, told[2].cut) == (False, False)


def test_the_last_exit_status_counts() -> None:
    row = {
        "id": 1,
        "kind": "tool",
        "name": "make",
        "detail": "[exit status 0]\n[exit status 2]",
        "ok": False,
        "seconds": 1.0,
        "at": datetime.now(UTC),
    }
    assert step(row).code == "2"
    assert step(row | {"ok": True}).code is None
    assert step(row | {"name": "submit"}).title == "hands the work in"


async def test_a_run_is_stopped_on_its_page(screens: World) -> None:
    run = await a_run(screens)
    browser = await screens.signed_in("manager")
    answer = await browser.post(f"/agent/runs/{run}/stop")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/agent/runs/{run}")
    [row] = await screens.rows("select * from runs")
    assert (row["state"], row["stop_requested_by"]) == ("developing", "manager")
    assert "Stopping" in await shown(browser, f"/agent/runs/{run}")
    await screens.rows("update runs set state = 'cancelled'")
    over = await browser.post(f"/agent/runs/{run}/stop")
    assert (over.status_code, "This run has ended already." in words(over.text)) == (409, True)
    part = await browser.post(f"/agent/runs/{run}/stop", headers=HX)
    assert (part.status_code, "<html" in part.text) == (200, False)
    assert "This run has ended already." in words(part.text)


async def test_a_plan_is_shown_and_approved_once(screens: World) -> None:
    ids = await planted(screens)
    browser, path = await screens.signed_in("manager"), f"/agent/runs/{ids['planned']}"
    told = words(await shown(browser, path))
    assert "The plan 1. Keep the last answer on disk 2. Show it with its age" in told
    assert "Approve the plan" in told
    assert (await browser.post(f"{path}/approve")).status_code == 303
    [row] = await screens.rows("select * from runs where id = :id", id=ids["planned"])
    assert (row["state"], row["kind"]) == ("queued", "develop")
    again = await browser.post(f"{path}/approve")
    assert again.status_code == 409
    assert "This run waits for no approval." in words(again.text)
    assert "approved" in words(await shown(browser, path))


@pytest.mark.parametrize("act", ["stop", "approve"])
async def test_viewers_and_other_websites_do_nothing_to_runs(screens: World, act: str) -> None:
    run = await a_run(screens, "waiting_approval", plan="Do it.")
    path = f"/agent/runs/{run}"
    browser = await screens.signed_in("viewer")
    assert (await browser.post(f"{path}/{act}")).status_code == 403
    assert 'method="post" action="/agent' not in await shown(browser, path)
    manager = await screens.signed_in("manager")
    foreign = {"sec-fetch-site": "cross-site"}
    assert (await manager.post(f"{path}/{act}", headers=foreign)).status_code == 403
    [row] = await screens.rows("select * from runs")
    assert (row["state"], row["stop_requested_at"]) == ("waiting_approval", None)


async def test_runs_of_another_organisation_are_not_there(screens: World) -> None:
    await add_ticket(screens.engine, **THEIRS)
    run = await add_run(screens.engine, state="waiting_approval", **THEIRS)
    browser = await screens.signed_in("manager")
    for path in (f"/agent/runs/{run}", f"/agent/runs/{run}/messages"):
        assert (await browser.get(path)).status_code == 404
    for act in ("stop", "approve"):
        assert (await browser.post(f"/agent/runs/{run}/{act}")).status_code == 404
    [row] = await screens.rows("select * from runs")
    assert (row["state"], row["stop_requested_at"]) == ("waiting_approval", None)


async def test_what_is_no_run_is_not_found(screens: World) -> None:
    browser = await screens.signed_in("viewer")
    for unknown in ("999", "9" * 30, "one"):
        assert (await browser.get(f"/agent/runs/{unknown}")).status_code == 404
    run = await a_run(screens)
    wrong = await browser.get(f"/agent/runs/{run}/messages?after=x")
    assert wrong.status_code == 422
