"""Decides: what follows from what we are told. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from handlers import agent, commands
from handlers.events import Account, Decided, Decision, Job, Note, Source
from handlers.github import account
from handlers.github import github as github_source

__all__ = [
    "SOURCES",
    "Account",
    "Decided",
    "Decision",
    "Job",
    "Note",
    "Source",
    "account",
    "agent",
    "commands",
    "decide",
]

SOURCES: dict[str, Source] = {source.name: source for source in (github_source,)}


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
