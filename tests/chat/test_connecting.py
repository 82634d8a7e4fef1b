"""A person ties an account in Slack to their own: once, knowingly, within ten minutes."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bot.web.sessions import start_session
from tests.chat.conftest import Chat

PATH = "/connect/slack/member"
HERE = {"sec-fetch-site": "same-origin"}


async def browser(chat: Chat, who: str) -> httpx.AsyncClient:
    """Open a browser in which somebody is signed in."""
    async with chat.surroundings.engine.begin() as db:
        token = await start_session(db, chat.users[who], instead_of=None)
    transport = httpx.ASGITransport(chat.rig.app)
    cookies = {"__Host-veelocity": token}
    return httpx.AsyncClient(
        transport=transport, base_url="https://veelocity.example", cookies=cookies
    )


@pytest.fixture
async def viewer(chat: Chat) -> AsyncIterator[httpx.AsyncClient]:
    async with await browser(chat, "viewer") as opened:
        yield opened


async def link(chat: Chat, who: str = "nobody", line: str = "connect") -> str:
    """Ask for a link in Slack; return its token."""
    told = await chat.said(who, line)
    assert told["response_type"] == "ephemeral"
    found = re.search(r"<https://veelocity\.example(/connect/slack/member)\?token=([\w-]+)\|",
                      told["blocks"][0]["text"]["text"])  # fmt: skip
    assert found
    return found[2]


async def tied(chat: Chat) -> list[dict[str, Any]]:
    return await chat.rig.ask("select team_id, slack_user_id, user_id from slack_members")


async def test_an_account_is_tied_by_a_press_of_a_button_and_not_by_looking(
    chat: Chat, viewer: httpx.AsyncClient
) -> None:
    token = await link(chat)
    shown = await viewer.get(PATH, params={"token": token})
    assert shown.status_code == 200
    assert "Nobody" in shown.text
    assert "nobody@example.org" in shown.text
    assert "UNOBODY" in shown.text
    assert await tied(chat) == []
    done = await viewer.post(PATH, data={"token": token}, headers=HERE)
    assert done.status_code == 200
    told = {"team_id": "T1", "slack_user_id": "UNOBODY", "user_id": chat.users["viewer"]}
    assert await tied(chat) == [told]
    audited = await chat.rig.ask("select action, user_id, detail from audit_log")
    assert [tuple(row.values()) for row in audited] == [
        ("connect_slack_member", chat.users["viewer"], "T1:UNOBODY")
    ]
    assert "No incident is open" in await chat.words("nobody", "incidents")


async def test_a_link_works_once_and_only_its_hash_is_kept(
    chat: Chat, viewer: httpx.AsyncClient
) -> None:
    token = await link(chat)
    states = await chat.rig.ask("select * from connect_states")
    assert token not in str(states)
    assert states[0]["kind"] == "slack_member"
    assert (await viewer.post(PATH, data={"token": token}, headers=HERE)).status_code == 200
    again = await viewer.post(PATH, data={"token": token}, headers=HERE)
    assert again.status_code == 410
    assert (await viewer.get(PATH, params={"token": token})).status_code == 410


async def test_a_link_is_good_for_ten_minutes(chat: Chat, viewer: httpx.AsyncClient) -> None:
    token = await link(chat)
    (row,) = await chat.rig.ask("select expires_at - now() as left from connect_states")
    assert 590 < row["left"].total_seconds() <= 600
    await chat.do("update connect_states set expires_at = now() - interval '1 second'")
    for answer in (
        await viewer.get(PATH, params={"token": token}),
        await viewer.post(PATH, data={"token": token}, headers=HERE),
        await viewer.get(PATH),
        await viewer.post(PATH, headers=HERE),
    ):
        assert answer.status_code == 410
    assert await tied(chat) == []


async def test_a_link_of_another_kind_ties_nothing(chat: Chat, viewer: httpx.AsyncClient) -> None:
    token = await link(chat)
    await chat.do("update connect_states set kind = 'slack'")
    assert (await viewer.post(PATH, data={"token": token}, headers=HERE)).status_code == 410


async def test_another_website_cannot_press_the_button(
    chat: Chat, viewer: httpx.AsyncClient
) -> None:
    token = await link(chat)
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        answer = await viewer.post(PATH, data={"token": token}, headers=headers)
        assert answer.status_code == 403
    assert await tied(chat) == []


async def test_a_member_of_another_organisation_ties_nothing(chat: Chat) -> None:
    token = await link(chat)
    async with await browser(chat, "foreigner") as foreign:
        assert (await foreign.get(PATH, params={"token": token})).status_code == 404
        assert (await foreign.post(PATH, data={"token": token}, headers=HERE)).status_code == 404
    assert await tied(chat) == []


async def test_nothing_is_tied_where_slack_does_not_say_whose_account_it_is(
    chat: Chat, viewer: httpx.AsyncClient
) -> None:
    token = await link(chat)
    chat.slack.revoked = True
    assert (await viewer.get(PATH, params={"token": token})).status_code == 502
    assert (await viewer.post(PATH, data={"token": token}, headers=HERE)).status_code == 502
    assert await tied(chat) == []


async def test_a_link_that_was_passed_on_ties_nobody_elses_account(
    chat: Chat, viewer: httpx.AsyncClient
) -> None:
    token = await link(chat, "admin")
    assert (await viewer.get(PATH, params={"token": token})).status_code == 403
    assert (await viewer.post(PATH, data={"token": token}, headers=HERE)).status_code == 403
    assert await tied(chat) == []
    async with await browser(chat, "admin") as own:
        assert (await own.post(PATH, data={"token": token}, headers=HERE)).status_code == 200
    assert [row["user_id"] for row in await tied(chat)] == [chat.users["admin"]]


async def test_who_is_not_signed_in_signs_in_first(chat: Chat) -> None:
    token = await link(chat)
    answer = await chat.rig.client.get(PATH, params={"token": token})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=")
    assert token in answer.headers["location"]


async def test_a_link_is_never_shown_to_a_whole_channel(chat: Chat) -> None:
    await link(chat, "nobody", "connect --share")


async def test_a_later_tie_replaces_the_first(chat: Chat, viewer: httpx.AsyncClient) -> None:
    await viewer.post(PATH, data={"token": await link(chat)}, headers=HERE)
    async with await browser(chat, "manager") as manager:
        await manager.post(PATH, data={"token": await link(chat)}, headers=HERE)
    assert [row["user_id"] for row in await tied(chat)] == [chat.users["manager"]]
