"""What the Settings screen says of each connector: its state, what it last did, what it lacks."""

from dataclasses import dataclass, field
from datetime import datetime

from bot.web.api.connectors import GitHubStatus
from bot.web.api.linear import LinearStatus
from bot.web.api.slack import SlackStatus
from bot.web.pages.incident_view import Said

CONNECTED = Said("connected", "settled", "settled")
LACKING = Said("connected, something is missing", "parked", "asking")
ABSENT = Said("not connected", "waiting", "")


@dataclass(frozen=True)
class Synced:
    """The last reading of a source. `state`: running, done or failed."""

    state: str
    at: datetime
    items: int
    error: str | None = None


@dataclass(frozen=True)
class Connector:
    """A source as an admin sees it. `missing`: what is left to do, in sentences.

    `connect`: where its button leads, None where it is not offered; `token`: the one
    that it can be connected by instead. `checks`: whether it can be
    asked to look now.
    """

    key: str
    name: str
    what: str
    state: Said
    accounts: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    connect: str | None = None
    token: str | None = None
    checks: bool = False
    last_event_at: datetime | None = None
    synced: Synced | None = None


def said(connected: bool, missing: list[str]) -> Said:
    """Say how a connector stands."""
    if not connected:
        return ABSENT
    return LACKING if missing else CONNECTED


def waiting(failed: int, parked: int) -> list[str]:
    """Say what is stuck."""
    if not failed + parked:
        return []
    return [f"{failed + parked} deliveries could not be settled: see Deliveries."]


def github(told: GitHubStatus) -> Connector:
    """Say how GitHub stands."""
    missing = waiting(told.failed, told.parked)
    if not told.webhooks:
        missing.insert(0, "Set WEBHOOK_SECRET, or make the app here: its webhooks answer 503.")
    suspended = [one.account_login for one in told.installations if one.state == "suspended"]
    missing += [f"The installation on {login} is suspended on GitHub." for login in suspended]
    return Connector(
        "github",
        "GitHub App",
        "deployments, pull requests, issues and workflow runs",
        said(told.connected, missing),
        [one.account_login for one in told.installations if one.state == "active"],
        missing,
        None if told.connected else "/setup",
        last_event_at=told.last_delivery_at,
    )


def slack(told: SlackStatus) -> Connector:
    """Say how Slack stands."""
    missing = waiting(told.failed, told.parked)
    if not told.webhooks:
        missing.insert(0, "Set SLACK_SIGNING_SECRET: until then its webhooks answer 503.")
    if told.connected and told.unheard:
        patterns = ", ".join(f"#{pattern}" for pattern in told.unheard)
        missing.append(f"The bot is in no channel that fits {patterns}: /invite it.")
    for one in told.workspaces:
        if one.missing_scopes and one.state == "active":
            missing.append(f"{one.name} did not grant {', '.join(one.missing_scopes)}.")
    last = max(told.synchronisations, key=lambda one: one.started_at, default=None)
    return Connector(
        "slack",
        "Slack",
        "incidents from channels, slash commands, digests",
        said(told.connected, missing),
        [one.name for one in told.workspaces if one.state == "active"],
        missing,
        "/connect/slack" if told.install else None,
        "the bot's token, xoxb-…",
        told.connected,
        told.last_event_at,
        Synced(last.state, last.finished_at or last.started_at, last.items, last.error)
        if last
        else None,
    )


def linear(told: LinearStatus) -> Connector:
    """Say how Linear stands."""
    missing = waiting(told.failed, told.parked)
    if not told.webhooks:
        missing.insert(0, "Set LINEAR_WEBHOOK_SECRET: until then its webhooks answer 503.")
    last = told.synchronisation
    return Connector(
        "linear",
        "Linear",
        "issues, projects and cycles: cycle time from idea to merge",
        said(told.connected, missing),
        [told.workspace] if told.connected and told.workspace else [],
        missing,
        "/connect/linear" if told.install else None,
        "a personal API key, lin_api_…",
        told.connected,
        told.last_event_at,
        Synced(last.state, last.finished_at or last.started_at, last.items, last.error)
        if last
        else None,
    )
