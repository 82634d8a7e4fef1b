"""What follows from Slack's events (https://docs.slack.dev/apis/events-api/)."""

from collections.abc import Mapping
from typing import Any

from handlers.events import Account, Source

slack = Source("slack")


def account(event: str, payload: Mapping[str, Any]) -> Account:
    """Return whom a payload belongs to: its workspace."""
    team = payload.get("team_id")
    return Account(keys=(f"team:{team}",) if isinstance(team, str) and team else ())
