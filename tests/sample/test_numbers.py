"""Every number shown for the sample can be recomputed from the generator's own record."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest
import uvicorn

from bot.sample.github import github
from bot.sample.staging import Stage, loopback_port
from bot.sample.story import Story, story
from bot.settings import Settings
from tests.rig import Rig, rig_of

pytestmark = pytest.mark.store

UNTIL = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
DAYS = 40


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
        told = Settings.model_validate(settings.model_dump() | app)
        async with rig_of(told) as rig:
            for number, delivery in enumerate(short.deliveries):
                answer = await rig.deliver(
                    delivery.event, delivery.payload, delivery_id=delivery.delivery_id
                )
                assert answer.status_code == 202
                if number % 500 == 499:
                    await rig.settle()
            await rig.settle()
            yield rig


async def test_the_numbers_are_those_of_the_record(told_rig: Rig, short: Story) -> None:
    truth = short.record
    stuck = await told_rig.ask(
        "select event, status, error from deliveries where status not in ('settled', 'ignored')"
    )
    assert stuck == []
    assert await told_rig.ask("select name, error from jobs where status <> 'done'") == []

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
