"""Webhooks as Linear sends them: signed, dated, with an id of their own."""

import hashlib
import hmac
import time
from typing import Any
from uuid import uuid4

import httpx
from pydantic_core import to_json

from tests.rig import Rig

LINEAR_SECRET = "lin_wh_for_tests"


async def posted(
    rig: Rig,
    body: dict[str, Any] | bytes,
    *,
    delivery_id: str = "",
    event: str = "",
    secret: str = LINEAR_SECRET,
    age_seconds: float = 0.0,
    **headers: str,
) -> httpx.Response:
    """Send one webhook; bytes are sent as they are."""
    if isinstance(body, dict):
        event = event or str(body["type"])
        told = {**body, "webhookTimestamp": int((time.time() - age_seconds) * 1000)}
        body = to_json(told)
    sent = {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "Linear-Webhook",
        "linear-delivery": delivery_id or str(uuid4()),
        "linear-event": event or "Issue",
        "linear-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }
    return await rig.client.post("/webhooks/linear", content=body, headers=sent | headers)
