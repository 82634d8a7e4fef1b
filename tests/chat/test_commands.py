"""What commands answer."""

import pytest

from bot.chat.commands import COMMANDS
from models.incidents import IncidentCorrection
from tests.agent_rows import add_run, add_ticket
from tests.chat.conftest import Chat
from tests.chat.rows import ago, began, blames, deployed, proposed

CRUEL = "<!channel> & <https://evil.example|click> @here *x* `y` <@U1>"


async def test_help_says_of_every_command_what_its_docstring_says(chat: Chat) -> None:
    told = await chat.words("nobody", "")
    for command in COMMANDS.all:
        assert " ".join(command.name) in told
        assert command.help.split(",")[0].replace("'", "'")[:30] in told


def test_every_command_has_help_of_one_sentence() -> None:
    for command in COMMANDS.all:
        assert 10 < len(command.help) < 200, command.usage
        assert command.help.endswith("."), command.usage


async def test_what_is_unknown_is_named_above_the_help(chat: Chat) -> None:
    told = await chat.words("viewer", "frobnicate <!channel>")
    assert "`/veelocity frobnicate` is no command." in told
    assert "`/veelocity dora" in told


async def test_an_answer_is_for_who_asked_unless_it_is_shared(chat: Chat) -> None:
    assert (await chat.said("viewer", "incidents"))["response_type"] == "ephemeral"
    assert (await chat.said("viewer", "incidents --share"))["response_type"] == "in_channel"
    assert (await chat.said("viewer", "nonsense --share"))["response_type"] == "ephemeral"
    assert (await chat.said("viewer", "deploys nowhere --share"))["response_type"] == "ephemeral"


async def test_the_five_metrics_have_level_change_and_n(chat: Chat) -> None:
    for number in range(6):
        await deployed(chat, 500 + number, ago(days=number + 1))
    for number in range(3):
        await deployed(chat, 600 + number, ago(days=31 + number))
    told = await chat.words("viewer", "dora acme/api 30d")
    assert "Delivery of acme/api, 30 days" in told
    assert "Deployment frequency: *1.4 per week* · High" in told
    assert "▲ 100 %" in told
    assert "n = 6 deployments" in told
    assert "*Change lead time*: no data: no change" in told
    assert "· n = 0" in told
    assert "Change failure rate: *0 %* · Elite" in told
    assert "n = 0 of 6 deployments" in told
    assert "Rework rate: *0 %*" in told


async def test_metrics_without_data_say_why(chat: Chat) -> None:
    told = await chat.words("viewer", "dora 7d")
    assert told.count("no data") == 5
    assert "no deployment to production finished from 2026-09-10 to 2026-09-16" in told


async def test_deployments_are_listed_latest_first_and_only_ones_own(chat: Chat) -> None:
    await deployed(chat, 501, ago(hours=2))
    await deployed(chat, 502, ago(hours=1), kind="rollback")
    await deployed(chat, 503, ago(hours=3), organization_id="github:2")
    told = await chat.words("viewer", "deploys api")
    assert "rollback · 60 min ago" in told
    assert told.index("deployments/502") < told.index("deployments/501")
    assert "503" not in told


async def test_a_repository_of_another_organisation_is_not_there(chat: Chat) -> None:
    for named in ("other/secret", "secret", "nowhere"):
        told = await chat.words("admin", f"deploys {named}")
        assert f"There is no repository `{named}` in this organisation." in told


async def test_pull_requests_wait_oldest_first_without_drafts_bots_and_names(chat: Chat) -> None:
    await proposed(chat, 1, ago(days=2))
    await proposed(chat, 2, ago(days=9), title=CRUEL)
    await proposed(chat, 3, ago(days=3), first_review_at=ago(days=1))
    await proposed(chat, 4, ago(days=5), cohort="bots")
    await proposed(chat, 5, ago(days=4), state="merged")
    await proposed(chat, 6, ago(days=1), cohort="agent")
    told = await chat.words("viewer", "prs acme/api")
    assert [told.find(f"/pull/{number}|") >= 0 for number in range(1, 7)] == [
        *(True, True, False, False, False, True)
    ]
    assert told.index("/pull/2|") < told.index("/pull/1|") < told.index("/pull/6|")
    assert "&lt;!channel&gt; &amp; " in told
    assert "*9 d*" in told
    assert "the agent's" in told
    assert "1 of bots left out." in told
    assert "ada" not in told


async def test_many_pull_requests_fit_and_the_rest_is_counted(chat: Chat) -> None:
    for number in range(1, 31):
        await proposed(chat, number, ago(hours=number), title="&" * 250)
    assert "_and 20 more_" in await chat.words("viewer", "prs")


async def test_the_queue_and_what_is_next(chat: Chat) -> None:
    engine = chat.surroundings.engine
    assert "No ticket of acme/api is open." in await chat.words("viewer", "next api")
    await add_ticket(engine, "github:42", title=CRUEL, priority="high")
    await add_ticket(engine, "github:43", title="Second")
    await add_run(engine, "github:42")
    queue = await chat.words("viewer", "queue api")
    assert queue.index("&lt;!channel") < queue.index("2. ")
    assert "· run 1" in queue
    following = await chat.words("viewer", "next")
    assert "Second" in following
    assert "channel" not in following


async def test_incidents_are_listed_with_what_they_blame_and_why(chat: Chat) -> None:
    await began(chat, at=ago(minutes=30), title=CRUEL)
    await began(chat, "api:2", at=ago(days=2), resolved_at=ago(days=2, hours=-1), title="Old")
    await began(chat, "api:3", at=ago(days=9), resolved_at=ago(days=8), title="Ancient")
    await began(chat, "api:4", at=ago(days=1), dismissed=True, title="None at all")
    await began(chat, "api:5", at=ago(days=1), organization_id="github:2", title="Foreign")
    await blames(chat, await deployed(chat, 501, ago(hours=1)), "the latest within 24 h")
    told = await chat.words("viewer", "incidents")
    assert "&lt;!channel&gt;" in told
    assert "investigating, 30 min" in told
    assert "Suspected deployment: <https://github.com/acme/api/deployments/501|" in told
    assert "the latest within 24 h" in told
    assert "resolved after 60 min" in told
    for absent in ("Ancient", "None at all", "Foreign"):
        assert absent not in told


async def test_an_incident_is_opened_where_and_as_severe_as_said(chat: Chat) -> None:
    told = await chat.words("manager", "incident open Checkout &lt;is&gt; down in acme/api sev1")
    assert "Checkout &lt;is&gt; down" in told
    rows = await chat.rig.ask("select * from incident_reports")
    assert len(rows) == 1
    row = rows[0]
    assert row["title"] == "Checkout <is> down"
    assert (row["severity"], row["repository_id"]) == ("sev1", "github:10")
    assert (row["organization_id"], row["reported_by"]) == ("github:1", chat.users["manager"])
    assert row["environment"] == "production"
    audited = await chat.rig.ask("select action, user_id from audit_log")
    assert audited == [{"action": "report_incident", "user_id": chat.users["manager"]}]
    jobs = await chat.rig.ask("select name, key from jobs")
    assert jobs == [{"name": "follow_incident", "key": f"follow_incident:{row['id']}"}]


@pytest.mark.parametrize(
    ("said", "title", "environment", "service"),
    [
        ("Broken in Safari", "Broken in Safari", "production", None),
        ("Broken in staging", "Broken", "staging", None),
        ("Broken in checkout", "Broken", "production", "checkout"),
    ],
)
async def test_what_stands_behind_in_is_a_place_only_where_there_is_one(
    chat: Chat, said: str, title: str, environment: str, service: str | None
) -> None:
    await deployed(chat, 501, ago(hours=2), service="checkout")
    await chat.said("manager", f"incident open {said}")
    rows = await chat.rig.ask("select title, environment, service from incident_reports")
    assert rows == [{"title": title, "environment": environment, "service": service}]


async def test_an_unknown_repository_opens_nothing(chat: Chat) -> None:
    told = await chat.words("manager", "incident open It broke in other/secret")
    assert "There is no repository `other/secret`" in told
    assert await chat.rig.ask("select * from incident_reports") == []


async def test_an_opened_incident_is_there_once_the_worker_has_looked(chat: Chat) -> None:
    await chat.said("manager", "incident open Checkout is down in api sev2")
    await chat.rig.settle()
    told = await chat.words("viewer", "incidents")
    assert "Checkout is down" in told
    key = (await chat.rig.ask("select key from incidents"))[0]["key"]
    assert f"{key} is resolved." in await chat.words("manager", f"incident resolve {key}")
    await chat.rig.settle()
    assert "was resolved before" in await chat.words("manager", f"incident resolve {key}")
    rows = await chat.rig.ask("select state, resolved_at from incidents")
    assert rows[0]["state"] == "resolved"
    assert rows[0]["resolved_at"] is not None


async def test_a_severity_is_corrected_by_who_said_so(chat: Chat) -> None:
    key = await began(chat)
    assert f"{key} is sev3 now." in await chat.words("manager", f"incident severity {key} p2")
    rows = await chat.rig.ask("select incident_id, field, value, by from incident_corrections")
    told = IncidentCorrection(
        incident_id="api:1", field="severity", value="sev3", by=chat.users["manager"]
    )
    assert rows == [told.model_dump(exclude={"at"})]


async def test_an_incident_of_another_organisation_is_not_there(chat: Chat) -> None:
    key = await began(chat, organization_id="github:2")
    for line in ("resolve {}", "severity {} sev1", "link {} github:501"):
        told = await chat.words("admin", f"incident {line.format(key)}")
        assert f"There is no incident {key} in this organisation." in told
    assert await chat.rig.ask("select * from incident_updates") == []


async def test_a_deployment_is_linked_by_its_id_or_commit(chat: Chat) -> None:
    key = await began(chat)
    await deployed(chat, 501, ago(hours=2))
    sha = f"{501:040x}"
    for named in ("github:501", "501", sha, sha[:12]):
        told = await chat.words("manager", f"incident link {key} {named}")
        assert f"{key} is linked to github:501." in told
    rows = await chat.rig.ask("select incident_id, deployment_id, linked, by from incident_links")
    assert [tuple(row.values()) for row in rows] == [
        ("api:1", "github:501", True, chat.users["manager"])
    ]
    for named in ("502", "abc", "0000000000"):
        told = await chat.words("manager", f"incident link {key} {named}")
    assert "No deployment" in await chat.words("manager", f"incident link {key} 502")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("incident resolve", "which incident?"),
        ("incident resolve sev1", "is named by its key"),
        ("incident severity INC-AAAAAAA", "it needs both"),
        ("incident severity INC-AAAAAAA loud", "A severity is one of sev1"),
        ("incident open", "Say in a few words"),
        ("develop", "Name an issue"),
        ("develop api", "An issue is named like"),
        ("subscribe digest hourly", "choose one of them"),
        ("subscribe alerts", "choose one of them"),
        ("dora api web", "web is more than it takes"),
        ("incidents now", "now is more than it takes"),
    ],
)
async def test_what_is_wrong_with_a_command_is_said(chat: Chat, line: str, says: str) -> None:
    assert says in await chat.words("admin", line)


async def test_a_channel_subscribes_and_we_join_it(chat: Chat) -> None:
    chat.slack.channel("C3", "delivery")
    told = await chat.words("manager", "subscribe digest weekly", channel="C3")
    assert "each Monday at 9:00" in told
    assert "invite" not in told
    assert chat.slack.channels["C3"]["is_member"]
    await chat.said("manager", "subscribe digest daily", channel="C3")
    await chat.said("manager", "subscribe alerts on", channel="C3")
    kept = await chat.rig.ask(
        "select channel_key, kind, cadence, by from subscriptions order by kind"
    )
    assert [tuple(row.values())[:3] for row in kept] == [
        ("slack:T1:C3", "alerts", "weekly"),
        ("slack:T1:C3", "digest", "daily"),
    ]
    await chat.said("manager", "subscribe digest off", channel="C3")
    await chat.said("manager", "subscribe alerts off", channel="C3")
    assert await chat.rig.ask("select * from subscriptions") == []
    assert (
        len(await chat.rig.ask("select * from audit_log where action = 'subscribe_channel'")) == 5
    )


async def test_a_channel_that_we_cannot_join_is_told_to_invite_us(chat: Chat) -> None:
    told = await chat.words("manager", "subscribe alerts on", channel="C9")
    assert "invite the bot" in told
    told = await chat.words("manager", "subscribe alerts on", channel="D1")
    assert "Subscribe in a channel" in told
    assert [row["channel_key"] for row in await chat.rig.ask("select * from subscriptions")] == [
        "slack:T1:C9"
    ]
