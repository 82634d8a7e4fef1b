"""METRICS.md R9 over all sources: GitHub, Slack, Linear and people, in any order."""

from collections.abc import AsyncIterator, Sequence
from itertools import cycle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import text

import models
from bot.settings import Settings
from handlers.events import Job
from models.queue import find_homes, queue
from models.store import remember
from tests.linear_posts import LINEAR_SECRET
from tests.linear_posts import posted as linear_posted
from tests.rig import CONNECTED_AT, Rig, rig_of
from tests.tables import Tables, differences, emptied, tables
from tests.test_orders import Telling, settled
from tests.whole_story import HOME, WORKSPACE, Told, whole

pytestmark = pytest.mark.store

TOLD = whole()
EXPECTED: list[Tables] = []


@pytest.fixture
async def rig(settings: Settings, clean: None, clean_redis: str) -> AsyncIterator[Rig]:
    """The app, with Linear's signing secret."""
    told = settings.model_copy(update={"linear_webhook_secret": SecretStr(LINEAR_SECRET)})
    async with rig_of(told) as opened:
        yield opened


async def connected(rig: Rig) -> None:
    """Connect the workspaces of Slack and Linear to the organisation, as an admin does."""
    shared = {"organization_id": HOME, "changed_at": CONNECTED_AT, "state": "active"}
    rows = [
        models.Organization(id=HOME, changed_at=CONNECTED_AT, login="acme", account_id=77),
        models.Connection(
            id="slack:team:T1", source="slack", external_id="T1", account_login="acme", **shared
        ),
        models.Connection(
            id=f"linear:organization:{WORKSPACE}", source="linear", external_id=WORKSPACE,
            account_login="Acme", **shared,
        ),
    ]  # fmt: skip
    async with rig.app.rest.state.engine.begin() as db:
        await remember(db, rows)
        await find_homes(db)


async def deliver(rig: Rig, number: int, each: Told) -> None:
    """Tell one thing as its source does; what people did already they do not do twice."""
    name = str(number)
    if each.source == "people":
        async with rig.app.rest.state.engine.begin() as db:
            await db.execute(text(f"{each.event} on conflict do nothing"))
            orders = [
                Job(order, key=told["key"], arguments={k: v for k, v in told.items() if k != "key"})
                for order, told in each.payload["orders"]
            ]
            await queue(db, orders, HOME)
        return
    if each.source == "github":
        answer = await rig.deliver(each.event, each.payload, delivery_id=name)
    elif each.source == "slack":
        answer = await rig.deliver_slack(each.payload, event_id=name)
    else:
        answer = await linear_posted(rig, each.payload, delivery_id=name, event=each.event)
    assert answer.status_code in (200, 202), answer.text


async def told(rig: Rig, how: Telling) -> Tables:
    """Tell everything in an order, settling after each batch; return the tables."""
    await emptied(rig.app.rest.state.engine)
    await connected(rig)
    order, batches = list(how.order), cycle(how.batches)
    while order:
        size = next(batches)
        for index in order[:size]:
            await deliver(rig, index, TOLD[index])
        order = order[size:]
        await settled(rig, how.most)
    rows = await rig.ask(
        "select source, event, status, error from deliveries where status <> 'settled'"
        " and status <> 'ignored'"
    )
    assert rows == []
    undone = "select name, key, status, error from jobs where status <> 'done' and lane = 'ingest'"
    assert await rig.ask(undone) == []
    return await tables(rig.app.rest.state.engine)


async def expected_of(rig: Rig) -> Tables:
    """Return the tables that the story leaves, told in its own order one by one."""
    if not EXPECTED:
        EXPECTED.append(await told(rig, Telling(range(len(TOLD)), (1,))))
    return EXPECTED[0]


async def test_the_story_tells_of_everything(rig: Rig) -> None:
    """A table that stays empty would compare nothing."""
    found = await expected_of(rig)
    filled = {name for name, rows in found.items() if rows}
    assert filled >= {
        "failed_deployments", "remedies", "issue_pull_requests", "issue_times", "teams",
        "team_members", "team_repositories", "identities", "pull_request_times", "slack_messages",
        "slack_reactions", "linear_issues", "linear_attachments", "deployed_services",
    }  # fmt: skip
    blamed = await rig.ask("select distinct evidence from incident_deployments order by 1")
    assert {row["evidence"] for row in blamed} >= {"hand", "named", "window"}
    sources = await rig.ask("select distinct source from incidents order by 1")
    assert [row["source"] for row in sources] == ["github", "linear", "slack"]


@st.composite
def tellings(draw: st.DrawFn) -> Telling:
    """A way in which everything may arrive."""
    everything: Sequence[int] = range(len(TOLD))
    order = draw(st.permutations(everything))
    again = draw(st.lists(st.sampled_from(everything), max_size=10))
    batches = draw(st.lists(st.integers(1, 40), min_size=1, max_size=5))
    return Telling([*order, *again], batches, draw(st.sampled_from([1, 7, 100])))


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tellings())
async def test_every_order_of_all_sources_leaves_the_same_tables(rig: Rig, how: Telling) -> None:
    expected = await expected_of(rig)
    assert differences(expected, await told(rig, how)) == []


async def test_the_story_told_backwards_one_by_one(rig: Rig) -> None:
    expected = await expected_of(rig)
    backwards = list(reversed(range(len(TOLD))))
    assert differences(expected, await told(rig, Telling(backwards, (1,)))) == []
