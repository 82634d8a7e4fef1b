"""Sign deliveries as their sources do.

docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries,
docs.slack.dev/authentication/verifying-requests-from-slack, linear.app/developers/webhooks.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping

from pydantic_core import to_json

from bot.sample.repositories import APP_ID
from bot.sample.world import Delivery

PATHS = {
    "github": "/webhooks/github",
    "slack": "/webhooks/slack/events",
    "linear": "/webhooks/linear",
}
Request = tuple[dict[str, str], bytes]
"""Headers and body."""


def signed(delivery: Delivery, secret: str) -> Request:
    """Return the request that a delivery's source would make now."""
    makers = {"github": by_github, "slack": by_slack, "linear": by_linear}
    headers, body = makers[delivery.source](delivery, secret)
    return {"content-type": "application/json", **headers}, body


def by_github(delivery: Delivery, secret: str) -> Request:
    """Sign the body."""
    body = to_json(delivery.payload)
    headers = {
        "user-agent": "GitHub-Hookshot/0000000",
        "x-github-delivery": delivery.delivery_id,
        "x-github-event": delivery.event,
        "x-github-hook-id": "410077251",
        "x-github-hook-installation-target-id": str(APP_ID),
        "x-github-hook-installation-target-type": "integration",
        "x-hub-signature-256": f"sha256={digest(secret, body)}",
    }
    return headers, body


def by_slack(delivery: Delivery, secret: str) -> Request:
    """Sign the body with the time at which it is sent."""
    body, at = to_json(delivery.payload), str(int(time.time()))
    signature = digest(secret, b"v0:" + at.encode() + b":" + body)
    return {"x-slack-request-timestamp": at, "x-slack-signature": f"v0={signature}"}, body


def by_linear(delivery: Delivery, secret: str) -> Request:
    """Sign the body, which says itself when it is sent."""
    payload: Mapping[str, object] = delivery.payload
    body = to_json({**payload, "webhookTimestamp": int(time.time() * 1000)})
    headers = {
        "user-agent": "Linear-Webhook",
        "linear-delivery": delivery.delivery_id,
        "linear-event": delivery.event,
        "linear-signature": digest(secret, body),
    }
    return headers, body


def digest(secret: str, message: bytes) -> str:
    """Return the HMAC-SHA256 of a message, in hex."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
