"""Every number shown for the sample can be recomputed from the generator's own record."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest
import uvicorn

from bot.sample.connecting import connect_sample
from bot.sample.github import github
from bot.sample.signing import PATHS, signed
from bot.sample.staging import Stage, loopback_port
from bot.sample.story import Story, story
from bot.sample.welcome import ARRIVAL, SAMPLE
from bot.settings import Settings
from tests.rig import Rig, rig_of

pytestmark = pytest.mark.store

UNTIL = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
DAYS = 40
SECRET = "what Slack and Linear sign with"


@pytest.fixture(scope="module")
def short() -> Story:
    """Forty days of the story, from another seed than the demo's."""
    return story(11, UNTIL, DAYS)


@contextmanager
def serving(told: Story) -> Iterator[str]:
    """Serve the stand-in for GitHub's API on loopback."""
    port = loopback_port()
    server = uvicorn.Server(
        uvicorn.Config(github(told), host="127.0.0.1", port=port, log_config=None, lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
async def told_rig(
    short: Story, settings: Settings, clean: None, clean_redis: str, tmp_path: Path
) -> AsyncIterator[Rig]:
    """The app after the story was delivered and settled, with GitHub to ask."""
    key = Stage(tmp_path).key()
    with serving(short) as address:
        app = {"app_id": 884213, "private_key": key, "github_api_url": address}
        secrets = {"slack_signing_secret": SECRET, "linear_webhook_secret": SECRET}
        told = Settings.model_validate(settings.model_dump() | app | secrets)
        signing = {"github": told.webhook_secrets[0], "slack": SECRET, "linear": SECRET}
        async with rig_of(told) as rig:
            for number, delivery in enumerate(short.everything):
                headers, body = signed(delivery, signing[delivery.source])
                path = PATHS[delivery.source]
                answer = await rig.client.post(path, content=body, headers=headers)
                assert answer.status_code == (202 if delivery.source == "github" else 200)
                if number == ARRIVAL:
                    await arrive(rig)
                if number % 500 == 499:
                    await rig.settle()
            await rig.settle()
            yield rig


async def arrive(rig: Rig) -> None:
    """Connect Slack and Linear as soon as the organisation is there, as the demo does."""
    await rig.settle()
    async with rig.app.rest.state.engine.begin() as db:
        assert await connect_sample(db, SAMPLE)


async def test_the_numbers_are_those_of_the_record(told_rig: Rig, short: Story) -> None:
    await the_deployments_and_changes(told_rig, short)
    await the_incidents_of_slack(told_rig, short)
    await the_incidents_of_github(told_rig, short)
    await the_issues_of_linear(told_rig)


async def the_deployments_and_changes(told_rig: Rig, short: Story) -> None:
    """Compare what was deployed, and how long it took."""
    truth = short.record
    stuck = await told_rig.ask(
        "select event, status, error from deliveries where status not in ('settled', 'ignored')"
    )
    assert stuck == []
    undone = "select name, error from jobs where status <> 'done' and lane <> 'history'"
    assert await told_rig.ask(undone) == []

    told = await told_rig.ask(
        "select deployment_id as id, kind from service_deployments"
        " where environment_class = 'production' and state = 'success'"
    )
    kinds = {row["id"]: row["kind"] for row in told}
    assert kinds == {f"github:{each.id}": each.kind for each in truth.deployments}

    rows = await told_rig.ask(
        "select c.sha, c.cohort, c.lead_seconds, d.deployment_id from deployment_changes c"
        " join service_deployments d on d.id = c.service_deployment_id"
        " where c.environment_class = 'production' and c.lead_seconds is not null"
    )
    measured = {
        row["sha"]: (row["deployment_id"], row["cohort"], row["lead_seconds"]) for row in rows
    }
    expected = {
        change.sha: (f"github:{change.deployment_id}", change.cohort, change.lead.total_seconds())
        for change in truth.changes
        if change.lead is not None
    }
    assert measured == expected
    assert len(rows) == len(expected)

    await told_rig.sign_in()
    start, end = short.start.date().isoformat(), short.until.date().isoformat()
    body = await told_rig.get("/metrics/dora", start_date=start, end_date=end)
    counted = [each for each in truth.deployments if each.kind != "redeploy"]
    assert body["deployment_frequency"]["count"] == len(counted)
    leads = [
        change.lead.total_seconds()
        for change in truth.changes
        if change.lead is not None and change.cohort != "bots"
    ]
    assert body["change_lead_time"]["count"] == len(leads)
    assert body["change_lead_time"]["median_seconds"] == pytest.approx(median(leads))


async def the_incidents_of_slack(told_rig: Rig, short: Story) -> None:
    """Compare the threads that name a repository, or whose channel does."""
    spoken = {
        each.key: (each.severity, each.opened_at, each.resolved_at, f"github:{each.repository_id}")
        for each in short.record.spoken
    }
    found = await told_rig.ask(
        "select i.id, i.severity, i.started_at, i.resolved_at, p.repository_id from incidents i"
        " join incident_places p on p.incident_id = i.id where i.source = 'slack'"
        " and p.repository_id is not null"
    )
    assert spoken
    assert {
        row["id"]: (
            row["severity"],
            row["started_at"].replace(microsecond=0),
            row["resolved_at"] and row["resolved_at"].replace(microsecond=0),
            row["repository_id"],
        )
        for row in found
    } == spoken


async def the_incidents_of_github(told_rig: Rig, short: Story) -> None:
    """Compare the issues with the label `incident`."""
    issues = await told_rig.ask(
        "select r.id, i.severity, i.started_at, i.resolved_at, x.number from incidents i"
        " join issues x on x.id = i.id join repositories r on r.id = x.repository_id"
    )
    assert {
        (row["id"], row["number"], row["severity"], row["started_at"], row["resolved_at"])
        for row in issues
    } == {
        (
            f"github:{each.repository_id}",
            each.number,
            each.severity,
            each.opened_at,
            each.resolved_at,
        )
        for each in short.record.incidents
    }


async def the_issues_of_linear(told_rig: Rig) -> None:
    """See that each pull request belongs to the issue that its branch names, and to no other."""
    tied = await told_rig.ask(
        "select count(*) as count from issue_pull_requests t join pull_requests p"
        " on p.id = t.pull_request_id where t.source = 'linear' and p.head_ref not like 'eng-%'"
    )
    assert tied == [{"count": 0}]
    named = await told_rig.ask(
        "select count(*) as count from pull_requests p join linear_issues i on"
        " p.head_ref like lower(i.identifier) || '/%' where not exists (select from"
        " issue_pull_requests t where t.pull_request_id = p.id and t.issue_id = i.id)"
    )
    assert named == [{"count": 0}]
