"""What attackers send to pages and API: rights they lack, other tenants' things, hostile words."""

import asyncio
import csv
import io
import re
import time

import pytest

from bot.web.markdown import rendered
from bot.web.pages import connect, connect_linear, connect_member, people, pull_requests
from models.metrics.csv import line
from tests.browser.seeds import write
from tests.web.conftest import World
from tests.web.pages.screens import with_screens
from tests.web.pages.test_incidents import KEY, incident
from tests.web.test_auth import PUBLIC, addresses

pytestmark = pytest.mark.store

ANYBODYS = {
    "POST /api/v1/incidents/settings/try": "reads a text, keeps nothing",
    "POST /api/v1/repositories/github:10/deployment-rule/preview": "tries a rule, keeps nothing",
    "POST /theme": "a cookie of one's own",
    "POST /connect/slack/member": "ties one's own account, by a link",
}
"""What viewers may send, and why."""

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'><svg/onload=alert(3)>"
PIECES = ("<img", "<script>alert", "<svg/onload")


@pytest.fixture
def screens(world: World) -> World:
    with_screens(world)
    modules = (connect, connect_linear, connect_member, people, pull_requests)
    world.app.router.routes += [route for module in modules for route in module.routes()]
    return world


def writing(world: World) -> list[tuple[str, str]]:
    """List the addresses that change something, filled with things of acme's."""
    values = {
        "incident_id:path": KEY, "deployment_id:path": "github:d10", "team_id": "hand:1",
        "repo_id:path": "github:10", "repo_id": "github:10", "organization_id": "acme",
        "identity:path": "x", "key": KEY, "login": "ada", "source": "slack",
    }  # fmt: skip
    found = []
    for method, path in addresses(world.app):
        if method in ("GET", "OPTIONS") or f"{method} {path}" in PUBLIC:
            continue
        found.append((method, path))
    return [
        (method, re.sub(r"{([\w:]+)}", lambda one: values.get(one[1], "1"), path))
        for method, path in found
    ]


async def test_no_other_website_sends_anything_in_somebodys_name(screens: World) -> None:
    browser = await screens.signed_in("admin")
    sent = writing(screens)
    assert len(sent) > 40
    for method, path in sent:
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
            answer = await browser.request(method, path, headers=headers, data={"do": "save"})
            assert answer.status_code == 403, (method, path, answer.status_code)
            assert "another website" in answer.text


async def test_viewers_send_nothing_that_changes_things(screens: World) -> None:
    tables = "select (select count(*) from audit_log) as audited, (select count(*) from jobs) as q"
    viewers = (await screens.signed_in("viewer"), await screens.program("viewer"))
    before = await screens.rows(tables)
    for viewer in viewers:
        for method, path in writing(screens):
            if f"{method} {path}" in ANYBODYS:
                continue
            answer = await viewer.request(method, path, json={})
            signed_out = answer.headers.get("location", "").startswith("/sign-in")
            assert answer.status_code in (403, 404, 410) or signed_out, (method, path)
    assert await screens.rows(tables) == before


async def test_people_of_others_reach_nothing_by_naming_it(screens: World) -> None:
    async with screens.engine.begin() as db:
        await write(db, [incident()])
    stranger = await screens.program("stranger")
    for path in (f"incidents/{KEY}", "incidents/slack:T1:C1:1"):
        for query in ({}, {"organization": "globex"}, {"organization": "acme"}):
            answer = await stranger.get(f"/api/v1/{path}", params=query)
            assert answer.status_code == 404
    linked = await stranger.put(f"/api/v1/incidents/{KEY}/deployments/github:d20")
    assert linked.status_code == 404
    browser = await screens.signed_in("stranger")
    for path in (f"/incidents/{KEY}", f"/incidents/{KEY}?organization=acme"):
        assert (await browser.get(path)).status_code == 404


async def test_what_others_wrote_is_text_on_every_page(screens: World) -> None:
    manager = await screens.program("manager")
    told = dict.fromkeys(("title", "description", "environment", "service"), HOSTILE)
    told |= {"url": "https://evil.example/'><script>alert(4)</script>"}
    made = (await manager.post("/api/v1/incidents", json=told | {"repo_id": "acme/api"})).json()
    lesson = f"{HOSTILE}\n\n[a](javascript:alert(1)) ![b](https://evil.example/x.svg)"
    for path, body in (("updates", {"body": HOSTILE}), ("post-mortem", {"body": lesson})):
        method = "PUT" if path == "post-mortem" else "POST"
        there = f"/api/v1/incidents/{made['key']}/{path}"
        assert (await manager.request(method, there, json=body)).status_code == 200
    browser = await screens.signed_in("admin")
    places = ("/incidents", "/delivery/stability", "/settings", "/people", "/pull-requests")
    for path in (*places, f"/incidents/{made['key']}"):
        answer = await browser.get(path)
        assert answer.status_code == 200, path
        assert harmless(answer.text), path
        asked = await browser.get(path, params={"repository": HOSTILE, "team": HOSTILE})
        assert harmless(asked.text), path
    assert "onerror=alert" in (await browser.get(f"/incidents/{made['key']}")).text


@pytest.mark.parametrize(
    "markdown",
    [
        HOSTILE,
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](java\tscript:alert(1))",
        "[a](&#106;avascript:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x)",
        "<javascript:alert(1)>",
        "[a]: javascript:alert(1)\n\n[a]",
        "![a](https://evil.example/pixel.svg)",
        "![a](data:image/svg+xml;base64,PHN2Zz4=)",
        "<a href='javascript:alert(1)'>b</a>",
        '[a](https://b.example "x" onmouseover=alert(1) y="")',
        '```js" onmouseover="alert(1)\nx\n```',
        "<details open ontoggle=alert(1)>",
        "<form action=https://evil.example><button>x",
    ],
)
def test_a_post_mortem_is_words_and_links_to_the_web(markdown: str) -> None:
    markup = str(rendered(markdown))
    assert harmless(markup)
    for tag in re.findall(r"<[^>]*>", markup):
        assert not re.search(r"(?i)javascript|data:|vbscript|\son\w+=|<(img|svg|form|details)", tag)


@pytest.mark.parametrize(
    "begins", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
)
def test_no_cell_is_a_formula(begins: str) -> None:
    ((told,),) = csv.reader(io.StringIO(line([f"{begins}1+1"]), newline=""))
    assert told == f"'{begins}1+1"


async def test_slow_patterns_of_one_keep_no_others_waiting(screens: World) -> None:
    slow = {"start_patterns": ["/.{0,49}.{0,49}x/", "/a*a?a?b/"]}
    sent = {"text": "\n".join(["a" * 400] * 45), "channel": "incidents", "settings": slow}
    program, gaps = await screens.program("viewer"), [0.0]

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0)
            gaps.append(time.monotonic() - before)

    watching = asyncio.create_task(watch())
    began = time.monotonic()
    answer = await program.post("/api/v1/incidents/settings/try", json=sent)
    lasted = time.monotonic() - began
    await asyncio.sleep(0.01)
    watching.cancel()
    assert answer.status_code == 200, answer.text
    assert max(gaps) < lasted / 2


@pytest.mark.parametrize("token", ["xoxb-\u00e9", "xoxb-\r\nx-evil: 1", "x" * 501, "xoxb 1"])
async def test_a_token_that_cannot_be_sent_is_refused_and_never_said(
    screens: World, token: str
) -> None:
    program, browser = await screens.program("admin"), await screens.signed_in("admin")
    for source, name in (("slack", "bot_token"), ("linear", "api_key")):
        path = f"/api/v1/connectors/{source}/connect"
        answer = await program.post(path, json={name: token})
        shown = await browser.post(f"/settings/connect/{source}", data={"token": token})
        for each in (answer, shown):
            assert each.status_code == 422, (source, each.text)
            assert token not in each.text


def harmless(markup: str) -> bool:
    """Tell whether nothing that was written by others is markup."""
    return not any(piece in markup for piece in PIECES) and 'href="javascript:' not in markup
