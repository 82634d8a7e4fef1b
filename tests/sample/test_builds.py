"""Every card of the Builds page has something to show of the sample."""

from pathlib import Path

import pytest

from bot.sample.signing import signed
from bot.sample.staging import Stage
from bot.sample.story import Story
from bot.settings import Settings
from models.metrics import builds
from models.metrics.core import Scope, Window
from tests.rig import rig_of
from tests.sample.test_numbers import serving

pytestmark = pytest.mark.store

ACTIONS = ("workflow_run", "workflow_job")
LAST = 900


async def test_the_sample_fills_every_card_of_builds(
    told: Story, settings: Settings, clean: None, clean_redis: str, tmp_path: Path
) -> None:
    happened = [each for each in told.deliveries if each.event in ACTIONS][-LAST:]
    installed = [each for each in told.deliveries if each.event == "installation"][:1]
    with serving(told) as address:
        app = {"app_id": 884213, "private_key": Stage(tmp_path).key(), "github_api_url": address}
        asking = Settings.model_validate(settings.model_dump() | app)
        async with rig_of(asking) as rig:
            for delivery in (*installed, *happened):
                headers, body = signed(delivery, asking.webhook_secrets[0])
                answer = await rig.client.post("/webhooks/github", content=body, headers=headers)
                assert answer.status_code == 202
            await rig.settle()
            async with rig.app.rest.state.engine.connect() as db:
                home = (await rig.ask("select id from organizations"))[0]["id"]
                scope, window = Scope(home), Window.last(30, told.until)
                figures = await builds.summary(db, scope, window, None, told.until)
                parts = await builds.by_platform(db, scope, window)
                failures = await builds.failures_by_reason(db, scope, window)
                flaky = await builds.flaky_workflows(db, scope, window)
            said = await rig.ask(
                "select distinct workflow, platform, platform_by from builds"
                " where platform is not null order by workflow"
            )
    assert [tuple(row.values()) for row in said] == [
        ("Play Store", "android", "file"),
        ("iOS", "ios", "name"),
    ]
    assert {part["id"] for part in parts} == {"ios", "android", None}
    assert 0.5 < (figures["success_rate"]["rate"] or 0) < 1
    assert figures["duration"]["p50_seconds"]
    assert figures["frequency"]["today"] >= 0
    assert figures["flaky"]["count"] > 0
    assert len(failures) > 3
    assert flaky
