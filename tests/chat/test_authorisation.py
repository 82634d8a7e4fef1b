"""Who may ask what in Slack: of every command, for every kind of person."""

import pytest

from bot.chat.commands import COMMANDS
from models.users import ROLES
from tests.chat.conftest import Chat

ASKED = {
    "help": "help",
    "connect": "connect",
    "dora": "dora acme/api 7d",
    "deploys": "deploys api",
    "prs": "prs",
    "incidents": "incidents",
    "incident open": "incident open Checkout is down sev1",
    "incident resolve": "incident resolve INC-AAAAAAA",
    "incident severity": "incident severity INC-AAAAAAA sev2",
    "incident link": "incident link INC-AAAAAAA github:501",
    "next": "next api",
    "queue": "queue",
    "develop": "develop acme/api#42",
    "subscribe digest": "subscribe digest weekly",
    "subscribe alerts": "subscribe alerts on",
}
OPEN = {"help", "connect"}
NAMES = [" ".join(each.name) for each in COMMANDS.all]
GUARDED = [each for each in COMMANDS.all if each.role is not None]
UNKNOWN = "does not know who you are"


def test_every_command_is_in_the_table_and_only_two_are_open_to_anybody() -> None:
    assert set(ASKED) == set(NAMES)
    assert len(NAMES) == len(set(NAMES))
    assert {" ".join(each.name) for each in COMMANDS.all if each.role is None} == OPEN


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OPEN])
@pytest.mark.parametrize("who", ["nobody", "foreigner", "UNOTINSLACK", ""])
async def test_strangers_are_told_to_connect_and_nothing_else(
    chat: Chat, name: str, who: str
) -> None:
    told = await chat.said(who, f"{ASKED[name]} --share")
    assert UNKNOWN in told["text"]
    assert told["response_type"] == "ephemeral"
    assert await left(chat) == (0, 0, 0)


@pytest.mark.parametrize("name", [" ".join(each.name) for each in GUARDED if each.role != "viewer"])
async def test_a_role_below_the_commands_own_is_refused(chat: Chat, name: str) -> None:
    needed = next(each.role for each in GUARDED if " ".join(each.name) == name)
    assert needed is not None
    for role in ROLES[: ROLES.index(needed)]:
        told = await chat.said(role, ASKED[name])
        assert told["text"] == f"This needs the role {needed}; yours is {role}."
    assert await left(chat) == (0, 0, 0)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OPEN])
async def test_the_role_of_a_command_is_enough(chat: Chat, name: str) -> None:
    role = next(each.role for each in GUARDED if " ".join(each.name) == name)
    told = await chat.said(str(role), ASKED[name])
    assert UNKNOWN not in told["text"]
    assert "This needs the role" not in told["text"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_workspace_that_is_not_connected_is_told_nothing(chat: Chat, name: str) -> None:
    told = await chat.said("admin", ASKED[name], team="T2")
    assert "not connected" in told["text"]
    await chat.do("update connections set state = 'deleted' where source = 'slack'")
    told = await chat.said("admin", ASKED[name])
    assert "not connected" in told["text"]


async def left(chat: Chat) -> tuple[int, int, int]:
    """Count what commands may leave behind."""
    counted = await chat.rig.ask(
        "select (select count(*) from incident_reports) as reports,"
        " (select count(*) from subscriptions) as subscriptions,"
        " (select count(*) from tickets) as tickets"
    )
    return tuple(counted[0].values())  # type: ignore[return-value]


@pytest.mark.parametrize(
    "doubt",
    [
        {"team_id": "T666"},
        {"deleted": True},
        {"is_bot": True},
        {"is_stranger": True},
        {"is_email_confirmed": False},
        {"id": "USOMEBODYELSE"},
        {"profile": {"real_name": "Admin"}},
        {"profile": None},
    ],
)
async def test_an_e_mail_address_in_doubt_is_nobodys(chat: Chat, doubt: dict[str, object]) -> None:
    chat.slack.users["UADMIN"] |= doubt
    assert UNKNOWN in await chat.words("admin", "incidents")


async def test_where_slack_does_not_answer_nobody_is_known(chat: Chat) -> None:
    chat.slack.limited.append("users.info")
    assert UNKNOWN in await chat.words("admin", "incidents")
    chat.slack.revoked = True
    assert UNKNOWN in await chat.words("admin", "incidents")
    await chat.do("delete from connection_secrets")
    assert UNKNOWN in await chat.words("admin", "incidents")


async def test_a_tied_account_counts_whatever_its_address(chat: Chat) -> None:
    await chat.do(
        "insert into slack_members (team_id, slack_user_id, user_id) values ('T1', 'UNOBODY', :id)",
        id=chat.users["manager"],
    )
    assert "No incident is open" in await chat.words("nobody", "incidents")
    assert "users.info" not in chat.slack.asked
    await chat.do("delete from memberships where user_id = :id", id=chat.users["manager"])
    assert UNKNOWN in await chat.words("nobody", "incidents")


async def test_a_tie_of_another_workspace_says_nothing_here(chat: Chat) -> None:
    await chat.do(
        "insert into slack_members (team_id, slack_user_id, user_id) values ('T2', 'UNOBODY', :id)",
        id=chat.users["admin"],
    )
    assert UNKNOWN in await chat.words("nobody", "incidents")
