"""The processes as they are put together: what they refuse, and the one without Redis."""

import asyncio

import httpx
import pytest
from pydantic import SecretStr
from pydantic_core import to_json
from sqlalchemy import text

from bot.serving import beside_worker, required
from bot.settings import Settings
from models.errors import Refused
from tests.rig import signature
from tests.story import Story

pytestmark = pytest.mark.store

PATIENCE = 200


def test_production_needs_a_database_and_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(Refused, match="DATABASE_URL and SECRET_KEY must"):
        required(Settings())
    with pytest.raises(Refused, match=r"^SECRET_KEY must be set"):
        required(Settings(database_url=SecretStr("postgresql://somewhere/else")))


async def test_without_redis_the_worker_runs_inside_the_web_process(
    settings: Settings, clean: None
) -> None:
    app = beside_worker(settings.model_copy(update={"redis_url": None}))
    story = Story()
    story.baseline()
    async with app.rest.router.lifespan_context(app.rest):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            for number, (event, payload) in enumerate(story.deliveries):
                body = to_json(payload)
                headers = {
                    "x-github-event": event,
                    "x-github-delivery": f"d{number}",
                    "x-hub-signature-256": signature(body, settings.webhook_secrets[0]),
                }
                answer = await client.post("/webhooks/github", content=body, headers=headers)
                assert answer.status_code == 202
        for _ in range(PATIENCE):
            async with app.rest.state.engine.connect() as db:
                kinds = (await db.execute(text("select kind from service_deployments"))).scalars()
                if list(kinds) == ["baseline"]:
                    return
            await asyncio.sleep(0.05)
    pytest.fail("nothing was settled")
