"""The real app in the test's own process: deliver, settle, ask, in a test's own words."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from pydantic import SecretStr
from pydantic_core import to_json
from sqlalchemy import text

from bot import deliveries
from bot.clients.slack import SlackSecret
from bot.jobs import Surroundings, work
from bot.queue import AGENT, HISTORY, INGEST, SYNC
from bot.settings import Settings
from bot.web.accounts import create_user, organization_called
from bot.web.app import Application, create_app
from bot.web.tokens import access_token
from models.chat import keep_connection_secret
from models.organizations import Connection
from models.queue import find_homes
from models.store import remember

EMAIL = "lead@example.com"
TICKS = 20
CONNECTED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def signature(body: bytes, secret: str) -> str:
    """Sign a body as GitHub does."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def slack_signature(body: bytes, secret: str, at: int) -> str:
    """Sign a body as Slack does, at a time in Unix seconds."""
    return "v0=" + hmac.new(secret.encode(), b"v0:%d:%b" % (at, body), hashlib.sha256).hexdigest()


@dataclass
class Rig:
    """The app, and a client that speaks HTTP to it."""

    app: Application
    settings: Settings
    client: httpx.AsyncClient
    token: str = ""
    delivered: list[str] = field(default_factory=list)

    @property
    def surroundings(self) -> Surroundings:
        """What jobs use."""
        state = self.app.rest.state
        return Surroundings(self.settings, state.engine, state.redis, state.vault)

    async def deliver(
        self, event: str, payload: Any, *, delivery_id: str = "", secret: str = "", **headers: str
    ) -> httpx.Response:
        """Send one signed delivery; `payload` may be bytes, to send what is not JSON."""
        body = payload if isinstance(payload, bytes) else to_json(payload)
        delivery_id = delivery_id or str(uuid4())
        self.delivered.append(delivery_id)
        sent = {
            "content-type": "application/json",
            "x-github-event": event,
            "x-github-delivery": delivery_id,
            "x-hub-signature-256": signature(body, secret or self.settings.webhook_secrets[0]),
        }
        return await self.client.post("/webhooks/github", content=body, headers=sent | headers)

    async def deliver_slack(
        self,
        event: Any,
        *,
        team: str = "T1",
        event_id: str = "",
        secret: str = "",
        at: int | None = None,
        **headers: str,
    ) -> httpx.Response:
        """Send one signed event of a workspace; `bytes` are sent as they are."""
        event_id = event_id or f"Ev{uuid4().hex[:12].upper()}"
        body = event if isinstance(event, bytes) else to_json(slack_envelope(event, team, event_id))
        sent = self.slack_headers(body, secret, at) | {"content-type": "application/json"}
        return await self.client.post(
            "/webhooks/slack/events", content=body, headers=sent | headers
        )

    def slack_headers(self, body: bytes, secret: str = "", at: int | None = None) -> dict[str, str]:
        """Return what Slack sends beside a body."""
        secret = secret or self.settings.slack_signing_secret.get_secret_value()
        at = int(time.time()) if at is None else at
        return {
            "x-slack-request-timestamp": str(at),
            "x-slack-signature": slack_signature(body, secret, at),
        }

    async def connect_slack(
        self, team: str = "T1", organization: str = "acme", token: str = ""
    ) -> None:
        """Tie a workspace to an organisation; without a token for its events only."""
        async with self.app.rest.state.engine.begin() as db:
            home = await organization_called(db, organization)
            connected = Connection(
                id=f"slack:team:{team}",
                organization_id=home,
                changed_at=CONNECTED_AT,
                source="slack",
                external_id=team,
                account_login=organization,
                state="active",
            )
            await remember(db, [connected])
            if token:
                secret = SlackSecret(access_token=SecretStr(token), bot_user_id="U0BOT")
                sealed = self.surroundings.vault.seal(secret.model_dump_json())
                await keep_connection_secret(db, connected.id, sealed)
            await find_homes(db)

    async def settle(self) -> None:
        """Settle and work until nothing is left to do now."""
        engine = self.app.rest.state.engine
        busy = True
        while busy:
            busy = bool(await deliveries.settle(engine))
            for lane in (INGEST, AGENT, SYNC):
                while await work(self.surroundings, lane, 4):
                    busy = True

    async def read_history(self) -> None:
        """Read the history of repositories as far as it was ordered, and work on what follows."""
        await self.settle()
        while await work(self.surroundings, HISTORY, 2):
            await self.settle()

    async def ask(self, question: str, **bound: Any) -> list[dict[str, Any]]:
        """Ask the store."""
        async with self.app.rest.state.engine.connect() as db:
            return [dict(row) for row in (await db.execute(text(question), bound)).mappings()]

    async def sign_in(self, organization: str = "acme", role: str = "admin") -> None:
        """Make somebody of an organisation, and speak to the API as them from now on."""
        async with self.app.rest.state.engine.begin() as db:
            user = await create_user(db, EMAIL, organization=organization, role=role)
        self.token = access_token(self.settings, user.id)

    async def get(self, path: str, **query: Any) -> Any:
        """Ask the API; the answer must be a good one."""
        headers = {"authorization": f"Bearer {self.token}"}
        answer = await self.client.get(f"/api/v1{path}", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


def slack_envelope(event: dict[str, Any], team: str, event_id: str) -> dict[str, Any]:
    """Return an event in what Slack sends around it; our bot is U0BOT of the app A0APP."""
    authorization = {"team_id": team, "user_id": "U0BOT", "is_bot": True}
    return {
        "token": "legacy-verification-token",
        "team_id": team,
        "api_app_id": "A0APP",
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(float(event.get("event_ts") or event.get("ts") or 0)),
        "authorizations": [authorization | {"is_enterprise_install": False}],
        "is_ext_shared_channel": False,
    }


@asynccontextmanager
async def rig_of(settings: Settings) -> AsyncIterator[Rig]:
    """Open the app with its lifespan."""
    app = create_app(settings)
    async with app.rest.router.lifespan_context(app.rest):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            yield Rig(app, settings, client)
    await hung_up()


async def hung_up() -> None:
    """Let connections that were cut off while they were made end before their loop does."""
    for _ in range(TICKS):
        await asyncio.sleep(0)
