"""What follows from Linear's webhooks (https://linear.app/developers/webhooks)."""

from collections.abc import Mapping
from typing import Any

from handlers.events import Account
from handlers.linear import ignored, issues, plans, talk
from handlers.linear.source import linear

__all__ = ["account", "ignored", "issues", "linear", "plans", "talk"]


def account(event: str, payload: Mapping[str, Any]) -> Account:
    """Return whom a payload belongs to: its workspace."""
    organization = payload.get("organizationId")
    known = isinstance(organization, str) and organization
    return Account(keys=(f"organization:{organization}",) if known else ())
