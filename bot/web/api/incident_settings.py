"""How incidents are read, over the API: patterns, windows, channels, and trying them on a text."""

import asyncio
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.accounts import audit
from bot.web.api.asking import tell
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint
from bot.web.api.incident_answers import Severity
from bot.web.api.listing import repository_named
from bot.web.auth import Member
from handlers.events import Job
from handlers.incident_trials import Trial, trial
from models.errors import Refused
from models.incident_configuring import keep_places, keep_settings
from models.incident_reading import ChannelPlace, Reading, incident_settings_of, merged
from models.patterns import check_together, checked
from models.queue import queue

MOST = 100


def pattern(told: str) -> str:
    """Return a pattern; raise `ValueError` for one that cannot be or could run away."""
    try:
        return checked(told)
    except Refused as refused:
        raise ValueError(str(refused)) from refused


def unmarked(told: str) -> str:
    """Return a name without the `#` of channels and the `:` of reactions."""
    cleaned = told.strip().removeprefix("#").strip(":")
    if not cleaned:
        raise ValueError("a name has at least one character")
    return cleaned


Short = StringConstraints(pattern=r"^[^\x00]*[^\x00\s][^\x00]*$", max_length=200)
Name = Annotated[str, Short]
Unmarked = Annotated[str, Short, AfterValidator(unmarked)]
Pattern = Annotated[str, Short, AfterValidator(pattern)]
Names = Annotated[list[Unmarked], Field(max_length=MOST, default_factory=list)]
Listed = Annotated[list[Pattern], Field(max_length=MOST)]
Patterns = Annotated[Listed, Field(default_factory=list)]
Hours = Annotated[float, Field(gt=0, le=30 * 24, allow_inf_nan=False)]
Long = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=20_000)]


class SentSettings(Strict):
    """How incidents are read; what is left out, or empty, is as by default.

    `window_hours`: an incident blames a deployment at most so long before it; `windows`: the same
    by name or class of environment. `channels` and `labels` are shell patterns. Start and resolve
    patterns, `alert_bots` and `severities` are words, or simple regular expressions between
    slashes. Reactions are names of emoji.
    """

    window_hours: Hours = 24.0
    windows: Annotated[dict[Name, Hours], Field(max_length=MOST, default_factory=dict)]
    channels: Names
    start_patterns: Patterns
    resolve_patterns: Patterns
    start_reactions: Names
    resolve_reactions: Names
    alert_bots: Patterns
    labels: Names
    severities: Annotated[dict[Severity, Listed], Field(default_factory=dict)]

    @model_validator(mode="after")
    def not_too_long_together(self) -> "SentSettings":
        """Every message is read by all of the patterns."""
        severe = [each for words in self.severities.values() for each in words]
        try:
            check_together(
                [*self.start_patterns, *self.resolve_patterns, *self.alert_bots, *severe]
            )
        except Refused as refused:
            raise ValueError(f"start_patterns: {refused}") from refused
        return self


class IncidentSettings(BaseModel):
    """How incidents are read now. `defaults`: which of it is as by default."""

    window_hours: float
    windows: dict[str, float]
    channels: list[str]
    start_patterns: list[str]
    resolve_patterns: list[str]
    start_reactions: list[str]
    resolve_reactions: list[str]
    alert_bots: list[str]
    labels: list[str]
    severities: dict[str, list[str]]
    defaults: list[str]


class SentChannel(Strict):
    """What a channel is about. `channel`: a shell pattern of names; `service` needs `repo_id`.

    `environment`: a class (production, staging, other) or an environment's name. `severity`: that
    of messages which name none.
    """

    channel: Unmarked
    environment: Name = "production"
    repo_id: Words | None = None
    service: Name | None = None
    severity: Severity | None = None

    @model_validator(mode="after")
    def service_has_its_repository(self) -> "SentChannel":
        """A service is one of a repository."""
        if self.service and not self.repo_id:
            raise ValueError("repo_id: a service needs its repository")
        return self


class SentChannels(Strict):
    """What channels are about: of those that fit, the first by name counts."""

    channels: Annotated[list[SentChannel], Field(max_length=MOST)]

    @model_validator(mode="after")
    def each_once(self) -> "SentChannels":
        """A channel is about one thing."""
        if len({each.channel.lower() for each in self.channels}) < len(self.channels):
            raise ValueError("channels: one is named twice")
        return self


class IncidentChannel(BaseModel):
    """What a channel is about."""

    channel: str
    environment: str
    repository_id: str | None
    repository: str | None
    service: str | None
    severity: str | None


class IncidentChannels(BaseModel):
    """What channels are about, by name."""

    channels: list[IncidentChannel]


class Configured(IncidentChannels):
    """How incidents are read, and what channels are about."""

    settings: IncidentSettings


class SentConfiguration(Strict):
    """What to configure of Slack; what is left out stays as it is."""

    settings: SentSettings | None = None
    channels: Annotated[list[SentChannel], Field(max_length=MOST)] | None = None

    @model_validator(mode="after")
    def something(self) -> "SentConfiguration":
        """There is something to configure, and no channel twice."""
        if self.settings is None and self.channels is None:
            raise ValueError("send settings, channels or both")
        SentChannels(channels=self.channels or [])
        return self


class Try(Strict):
    """A text to try in a channel, posted by a person, or by the bot so named.

    `settings`: settings to try instead of those that are kept.
    """

    text: Long
    channel: Unmarked
    bot: Name | None = None
    settings: SentSettings | None = None


@endpoint("GET", "/incidents/settings", query=Query, answer=IncidentSettings)
async def settings(call: Call, query: Query) -> IncidentSettings:
    """Show how incidents are read: patterns, severities and the window of blame."""
    async with call.engine.connect() as db:
        return shown(await incident_settings_of(db, call.member.organization_id))


@endpoint(
    "PUT",
    "/incidents/settings",
    roles=("admin",),
    query=Query,
    body=SentSettings,
    answer=IncidentSettings,
)
async def configure(call: Call, query: Query, sent: SentSettings) -> IncidentSettings:
    """Configure how incidents are read; all of the last 400 days are then read again."""
    return (await configured(call, SentConfiguration(settings=sent))).settings


@endpoint("GET", "/incidents/channels", query=Query, answer=IncidentChannels)
async def channels(call: Call, query: Query) -> IncidentChannels:
    """List what channels are about."""
    async with call.engine.connect() as db:
        reading = await incident_settings_of(db, call.member.organization_id)
        return IncidentChannels(channels=places(reading))


@endpoint(
    "PUT",
    "/incidents/channels",
    roles=("admin",),
    query=Query,
    body=SentChannels,
    answer=IncidentChannels,
)
async def map_channels(call: Call, query: Query, sent: SentChannels) -> IncidentChannels:
    """Say anew what channels are about; incidents are then read again."""
    return await configured(call, SentConfiguration(channels=sent.channels))


@endpoint(
    "POST",
    "/connectors/slack/configure",
    roles=("admin",),
    query=Query,
    body=SentConfiguration,
    answer=Configured,
)
async def configure_slack(call: Call, query: Query, sent: SentConfiguration) -> Configured:
    """Configure how Slack's messages are read, and what its channels are about."""
    return await configured(call, sent)


@endpoint("POST", "/incidents/settings/try", query=Query, body=Try, answer=Trial)
async def try_text(call: Call, query: Query, sent: Try) -> Trial:
    """Say what a text would do in a channel: open an incident or end one, and why. Nothing is kept.

    `opens`, `why`: as a first message; `ends`, `ends_why`: as a reply.
    """
    async with call.engine.connect() as db:
        reading = await incident_settings_of(db, call.member.organization_id)
    if sent.settings is not None:
        reading = merged(sent.settings.model_dump(), reading.places)
    return await asyncio.to_thread(trial, sent.text, sent.channel, reading, sent.bot)


async def configured(call: Call, sent: SentConfiguration) -> Configured:
    """Write what was sent, note who did it, order that incidents are read and judged again."""
    member = call.member
    async with call.engine.begin() as db:
        if sent.settings is not None:
            await keep_settings(db, member.organization_id, sent.settings.model_dump())
            await noted(db, member, "configure_incidents", sent.settings)
        if sent.channels is not None:
            about = [await place_of(db, member, each) for each in sent.channels]
            await keep_places(db, member.organization_id, about)
            await noted(db, member, "map_channels", SentChannels(channels=sent.channels))
        again = Job("judge_again", key=f"judge_again:{member.organization_id}")
        await queue(db, [again], member.organization_id)
        reading = await incident_settings_of(db, member.organization_id)
    await tell(call, "incident")
    return Configured(settings=shown(reading), channels=places(reading))


async def place_of(db: AsyncConnection, member: Member, sent: SentChannel) -> ChannelPlace:
    """Return what a channel is about; raise `Problem` 404 for a repository of others."""
    repository_id = await repository_named(db, member, sent.repo_id) if sent.repo_id else None
    said: dict[str, Any] = sent.model_dump(include={"environment", "service", "severity"})
    return ChannelPlace(channel=sent.channel.lower(), repository_id=repository_id, **said)


async def noted(db: AsyncConnection, member: Member, action: str, sent: BaseModel) -> None:
    """Write down who configured what."""
    await audit(
        db,
        action,
        user_id=member.user_id,
        organization_id=member.organization_id,
        detail=sent.model_dump_json(exclude_defaults=True)[:2000],
    )


def shown(reading: Reading) -> IncidentSettings:
    """Return settings as the API tells them."""
    usual, kept = Reading(), vars(reading)
    names = [name for name in IncidentSettings.model_fields if name != "defaults"]
    defaults = [name for name in names if plain(kept[name]) == plain(vars(usual)[name])]
    return IncidentSettings(**{name: plain(kept[name]) for name in names}, defaults=defaults)


def plain(value: Any) -> Any:
    """Return a setting as JSON has it."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, list | tuple) else value


def places(reading: Reading) -> list[IncidentChannel]:
    """Return what channels are about as the API tells it."""
    return [IncidentChannel(**vars(place)) for place in reading.places]
