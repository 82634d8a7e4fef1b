"""How an organisation's incidents are read: its settings where it has any, else the defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.incidents import SEVERITIES

WINDOW_HOURS = 24.0
CHANNELS = ("incidents", "alerts", "incident-*")
SEVERITY_WORDS: Mapping[str, tuple[str, ...]] = {
    f"sev{level}": (
        *(f"sev{level}", f"sev-{level}", f"sev {level}"),
        *(f"severity {level}", f"severity-{level}", f"severity: {level}", f"p{level - 1}"),
    )
    for level in range(1, len(SEVERITIES) + 1)
}
START_PATTERNS = (
    *("incident", "outage", "down", "degraded", "degradation"),
    *(word for words in SEVERITY_WORDS.values() for word in words),
)
RESOLVE_PATTERNS = ("resolved",)
START_REACTIONS = ("rotating_light",)
RESOLVE_REACTIONS = ("white_check_mark",)
ALERT_BOTS = (
    *("PagerDuty", "Opsgenie", "Datadog", "Grafana", "Grafana OnCall", "Sentry", "Alertmanager"),
    *("Prometheus", "New Relic", "Honeycomb", "Rootly", "FireHydrant", "incident.io"),
    *("Pingdom", "UptimeRobot", "Uptime Robot", "Better Stack", "Better Uptime", "Checkly"),
    *("StatusCake", "Nagios", "Zabbix", "CloudWatch", "AWS Chatbot", "Splunk On-Call", "VictorOps"),
)
LABELS = ("incident", "outage", *SEVERITIES)
ENVIRONMENT = "production"

SETTINGS = text("""
    select window_hours, windows, channels, start_patterns, resolve_patterns, start_reactions,
           resolve_reactions, alert_bots, labels, severities
      from incident_settings where organization_id = :organization
""")
PLACES = text("""
    select i.channel, i.environment, i.repository_id, i.service, i.severity,
           r.full_name as repository
      from incident_channels i
      left join repositories r on r.id = i.repository_id
       and r.organization_id = i.organization_id
     where i.organization_id = :organization order by i.channel collate "C"
""")


@dataclass(frozen=True)
class ChannelPlace:
    """What a channel is about. `channel`: a shell pattern; `repository`: its `owner/name`."""

    channel: str
    environment: str = ENVIRONMENT
    repository_id: str | None = None
    service: str | None = None
    severity: str | None = None
    repository: str | None = None


@dataclass(frozen=True)
class Reading:
    """The settings that incidents are read by, merged with the defaults.

    `channels` are shell patterns of names; `start_patterns`, `resolve_patterns`, `alert_bots` and
    the lists of `severities` are patterns of texts (`models.patterns`); `labels` are shell patterns
    too. `windows` overrides `window_hours` (W of METRICS.md R4) by class or name of environment.
    """

    window_hours: float = WINDOW_HOURS
    windows: Mapping[str, float] = field(default_factory=dict)
    channels: Sequence[str] = CHANNELS
    start_patterns: Sequence[str] = START_PATTERNS
    resolve_patterns: Sequence[str] = RESOLVE_PATTERNS
    start_reactions: Sequence[str] = START_REACTIONS
    resolve_reactions: Sequence[str] = RESOLVE_REACTIONS
    alert_bots: Sequence[str] = ALERT_BOTS
    labels: Sequence[str] = LABELS
    severities: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict(SEVERITY_WORDS))
    places: Sequence[ChannelPlace] = ()

    def reads(self, channel: str, channel_id: str = "") -> bool:
        """Tell whether a channel's messages can be incidents, by its name or its id at Slack."""
        return any(fits(pattern, channel) or pattern == channel_id for pattern in self.channels)

    def place_of(self, channel: str, channel_id: str = "") -> ChannelPlace:
        """Return what a channel is about: the first that fits by name, else production."""
        for place in self.places:
            if fits(place.channel, channel) or place.channel == channel_id:
                return place
        return ChannelPlace(channel=channel)


def fits(pattern: str, name: str) -> bool:
    """Tell whether a name (of a channel or label) fits a shell pattern, in either case."""
    return fnmatchcase(name.strip().lower(), pattern.strip().removeprefix("#").lower())


def merged(kept: Mapping[str, Any] | None, places: Sequence[ChannelPlace] = ()) -> Reading:
    """Return settings with the defaults where nothing is kept, or an empty list is."""
    told = {name: value for name, value in (kept or {}).items() if value}
    severities = {**SEVERITY_WORDS, **told.pop("severities", {})}
    return Reading(**told, severities=severities, places=tuple(places))


async def incident_settings_of(db: AsyncConnection, organization_id: str) -> Reading:
    """Return how an organisation's incidents are read."""
    bound = {"organization": organization_id}
    kept = (await db.execute(SETTINGS, bound)).mappings().one_or_none()
    places = [ChannelPlace(**row) for row in (await db.execute(PLACES, bound)).mappings()]
    return merged(dict(kept) if kept else None, places)
