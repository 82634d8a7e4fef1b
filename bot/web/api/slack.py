"""Slack as a connector: its workspaces, its channels, and how they are connected."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, SecretStr
from sqlalchemy import text

from bot.clients.slack import SlackError, SlackSecret, slack_as
from bot.connectors.slack import sync_job, unheard
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint, invalid
from bot.web.consent import proven, sendable
from bot.web.problems import Problem
from bot.web.slack_connecting import (
    Installed,
    connect,
    disconnect,
    missing_scopes,
)
from models.incident_reading import Reading, incident_settings_of
from models.queue import queue
from models.slack import ChannelSeen, channels_seen, slack_connection, slack_connections

DELIVERIES = text("""
    select max(received_at) as last_event_at,
           count(*) filter (where status = 'received') as waiting,
           count(*) filter (where status = 'failed') as failed,
           count(*) filter (where status = 'parked') as parked
      from deliveries where source = 'slack' and organization_id = :organization
""")
SYNCS = text("""
    select distinct on (name) name, state, items, error, started_at, finished_at from sync_logs
     where organization_id = :organization and source = 'slack' order by name, id desc
""")
SECRETS = text("select connection_id from connection_secrets where connection_id = any(:ids)")
WHICH = "Send bot_token, or team_id where only events are wanted, or set SLACK_BOT_TOKEN."


class Workspace(BaseModel):
    """A workspace. `state`: active or deleted. Without `token` only its events are heard.

    `missing_scopes`: what was asked for and not granted; empty without a token.
    """

    team_id: str
    name: str
    state: str
    token: bool
    scopes: list[str]
    missing_scopes: list[str]
    changed_at: datetime


class Synchronisation(BaseModel):
    """The last reading of a workspace's channels and people. `state`: running, done or failed."""

    team_id: str
    state: str
    items: int
    error: str | None
    started_at: datetime
    finished_at: datetime | None


class SlackStatus(BaseModel):
    """Whether Slack reaches us, and we Slack; a time is None when it never did.

    `connected`: a workspace is active. `webhooks`: SLACK_SIGNING_SECRET is set. `install`: the
    app can be installed by Slack's consent, at `/connect/slack`. `unheard`: patterns of channels
    that fit none our bot is in. `waiting`, `failed`, `parked` count deliveries not settled.
    """

    connected: bool
    webhooks: bool
    install: bool
    workspaces: list[Workspace]
    synchronisations: list[Synchronisation]
    unheard: list[str]
    last_event_at: datetime | None
    waiting: int
    failed: int
    parked: int


class Channel(BaseModel):
    """A channel. `read`: a pattern fits, so its messages can be incidents.

    `member`: our bot is in it, without which nothing of it is heard. `needs`: what is left to do.
    """

    id: str
    team_id: str
    channel_id: str
    name: str
    private: bool
    archived: bool
    member: bool
    read: bool
    environment: str | None
    service: str | None
    needs: str | None


class Channels(BaseModel):
    """The channels of an organisation's workspaces, by name."""

    items: list[Channel]


class SlackConnect(Strict):
    """A bot's token, or for events only a workspace's id; with neither SLACK_BOT_TOKEN is used."""

    bot_token: SecretStr | None = None
    team_id: Annotated[str, Field(pattern=r"^[TE][A-Z0-9]{1,20}$")] | None = None


class SlackDisconnect(Strict):
    """Which workspace; None: the only one."""

    team_id: Words | None = None


class Asked(BaseModel):
    """That something was begun."""

    status: Literal["queued"] = "queued"


@endpoint("GET", "/connectors/slack/status", query=Query, answer=SlackStatus)
async def slack_status(call: Call, query: Query) -> SlackStatus:
    """Say whether Slack is connected, what it lacks, and when it was heard last."""
    home = call.member.organization_id
    async with call.engine.connect() as db:
        found = await slack_connections(db, home)
        held = set((await db.execute(SECRETS, {"ids": [each.id for each in found]})).scalars())
        told = dict((await db.execute(DELIVERIES, {"organization": home})).mappings().one())
        syncs = (await db.execute(SYNCS, {"organization": home})).mappings().all()
        seen, reading = await channels_seen(db, home), await incident_settings_of(db, home)
    settings = call.settings
    return SlackStatus(
        connected=any(each.state == "active" for each in found),
        webhooks=bool(settings.slack_signing_secret.get_secret_value()),
        install=bool(settings.slack_client_id and settings.slack_client_secret),
        workspaces=[
            Workspace(
                team_id=each.external_id,
                name=each.account_login,
                state=each.state,
                token=each.id in held,
                scopes=sorted(each.permissions),
                missing_scopes=missing_scopes(list(each.permissions)) if each.id in held else [],
                changed_at=each.changed_at,
            )
            for each in found
        ],
        synchronisations=[
            Synchronisation(team_id=each["name"], **{k: v for k, v in each.items() if k != "name"})
            for each in syncs
        ],
        unheard=unheard(seen, reading),
        **told,
    )


@endpoint("GET", "/connectors/slack/channels", query=Query, answer=Channels)
async def channels(call: Call, query: Query) -> Channels:
    """List channels, which of them are read, and what keeps others from being heard."""
    home = call.member.organization_id
    async with call.engine.connect() as db:
        seen, reading = await channels_seen(db, home), await incident_settings_of(db, home)
    return Channels(items=[listed(each, reading) for each in seen])


def listed(channel: ChannelSeen, reading: Reading) -> Channel:
    """Return a channel as it is listed."""
    read = reading.reads(channel.name, channel.channel_id)
    place = reading.place_of(channel.name, channel.channel_id) if read else None
    told: dict[str, Any] = channel._asdict()
    return Channel(
        **told,
        read=read,
        environment=place.environment if place else None,
        service=place.service if place else None,
        needs=needs(channel) if read else None,
    )


def needs(channel: ChannelSeen) -> str | None:
    """Say what is left to do until a channel is heard."""
    if channel.member or channel.archived:
        return None
    if channel.private:
        return "Invite the bot: /invite @veelocity in the channel."
    return "Synchronise, or invite the bot: /invite @veelocity in the channel."


@endpoint(
    "POST",
    "/connectors/slack/connect",
    roles=("admin",),
    query=Query,
    body=SlackConnect,
    answer=SlackStatus,
    problems=("409", "502"),
)
async def connect_slack(call: Call, query: Query, body: SlackConnect) -> SlackStatus:
    """Connect a workspace by its bot's token, or by its id for events only."""
    token = body.bot_token or call.settings.slack_bot_token
    if body.team_id and not body.bot_token:
        async with call.engine.connect() as db:
            await proven(db, call.member)
        await connect(call.request, call.member, Installed(body.team_id, body.team_id))
        return await slack_status(call, query)
    if token is None:
        raise invalid([{"field": "bot_token", "detail": WHICH}])
    token = sendable(token)
    if body.bot_token is None:
        async with call.engine.connect() as db:
            await proven(db, call.member)
    await connect(call.request, call.member, await workspace_of(call, token, body.team_id))
    return await slack_status(call, query)


async def workspace_of(call: Call, token: SecretStr, team_id: str | None) -> Installed:
    """Ask Slack whose token it is; raise `Problem` where it is nobody's or another's."""
    api_url = call.settings.slack_api_url
    try:
        async with slack_as(api_url, SlackSecret(access_token=token)) as slack:
            told = await slack.workspace()
    except SlackError as error:
        raise Problem(502, "Slack was not connected", str(error)) from None
    if team_id and told.team_id != team_id:
        detail = f"The token belongs to the workspace {told.team_id}."
        raise invalid([{"field": "team_id", "detail": detail}])
    secret = SlackSecret(
        access_token=token,
        bot_user_id=told.bot_user_id,
        scopes=list(told.scopes),
    )
    return Installed(told.team_id, told.name, secret)


@endpoint(
    "POST",
    "/connectors/slack/disconnect",
    roles=("admin",),
    query=Query,
    body=SlackDisconnect,
    answer=SlackStatus,
)
async def disconnect_slack(call: Call, query: Query, body: SlackDisconnect) -> SlackStatus:
    """Let a workspace go: its token is forgotten and its events wait; what it told stays."""
    async with call.engine.connect() as db:
        found = await slack_connection(db, call.member.organization_id, body.team_id)
    if found is None:
        raise Problem(404, "Not Found", "No such workspace is connected.")
    await disconnect(call.request, call.member, found)
    return await slack_status(call, query)


@endpoint("POST", "/connectors/slack/sync", roles=("admin",), query=Query, answer=Asked)
async def sync(call: Call, query: Query) -> Asked:
    """Read channels and people again, and join the public channels that fit the patterns."""
    home = call.member.organization_id
    async with call.engine.begin() as db:
        found = [each for each in await slack_connections(db, home) if each.state == "active"]
        if not found:
            raise Problem(404, "Not Found", "No workspace is connected.")
        await queue(db, [sync_job(each.external_id) for each in found], home)
    return Asked()
