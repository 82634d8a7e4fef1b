"""Decides: what follows from what we are told. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from handlers import agent, commands, github, linear, slack
from handlers.events import Account, Decided, Decision, Job, Note, Source

__all__ = [
    "SOURCES",
    "Account",
    "Decided",
    "Decision",
    "Job",
    "Note",
    "Source",
    "account_of",
    "agent",
    "commands",
    "decide",
]

SOURCES: dict[str, Source] = {
    source.name: source for source in (github.github, linear.linear, slack.slack)
}

ACCOUNTS: dict[str, Callable[[str, Mapping[str, Any]], Account]] = {
    "github": github.account,
    "linear": linear.account,
    "slack": slack.account,
}
"""How each source names whom a payload belongs to."""


def account_of(source: str, event: str, payload: Mapping[str, Any]) -> Account:
    """Return whom a payload of a source belongs to; raises `KeyError` for an unknown source."""
    return ACCOUNTS[source](event, payload)


def decide(
    source: str,
    event: str,
    payload: Mapping[str, Any],
    organization_id: str,
    received_at: datetime,
) -> Decided:
    """Ask the handlers of a source what follows from a payload (see `Source.decide`).

    Raises `KeyError` for a source nobody knows.
    """
    return SOURCES[source].decide(event, payload, organization_id, received_at)
