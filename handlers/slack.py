"""What follows from Slack's events (https://docs.slack.dev/apis/events-api/)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import models
from handlers.events import Account, Decision, Job, Note, Source
from handlers.slack_payloads import (
    SKIN_TONE,
    Asked,
    Changed,
    ChannelChangedEvent,
    ChannelNamedEvent,
    EndedEvent,
    Envelope,
    MembershipEvent,
    Message,
    MessageEvent,
    ReactionEvent,
    Said,
    User,
    UserEvent,
    time_of,
)

slack = Source("slack")

POSTED, CHANGED, DELETED = 0, 1, 2
SAID = (None, "bot_message", "file_share", "me_message", "thread_broadcast")
PRIVATE_TALK = ("im", "mpim", "app_home")
OURS = "What our own bot says is no incident."


@slack.on("message")
def message_told(event: MessageEvent) -> Iterator[Decision]:
    """A message counts as it stands: posted, edited or deleted; its thread is judged anew."""
    said = event.event
    if said.channel_type in PRIVATE_TALK:
        yield Note("What people tell the bot alone is no incident.")
        return
    found = standing(said)
    if found is None:
        yield Note(f"A message of the kind {said.subtype!r} says nothing itself.")
        return
    message, rank = found
    if ours(event, message):
        yield Note(OURS)
        return
    at = event.at(said.event_ts or said.ts)
    row = message_row(event.key(said.channel), message, at, rank)
    yield row
    yield follow(row.thread_id)


@slack.on("reaction_added", "reaction_removed")
def reaction_told(event: ReactionEvent) -> Iterator[Decision]:
    """A reaction can begin or end an incident; on a message nobody told us of, it is fetched."""
    reaction, item = event.event, event.event.item
    if item.type != "message" or not item.channel or not item.ts:
        yield Note("A reaction to a file says nothing of an incident.")
        return
    if reaction.user in event.bots:
        yield Note("What our own bot marks is no news.")
        return
    added, at = reaction.type == "reaction_added", event.at(reaction.event_ts)
    message, emoji = event.key(item.channel, item.ts), SKIN_TONE.sub("", reaction.reaction)
    yield models.SlackReaction(
        id=f"{message}:{emoji}:{reaction.user}",
        changed_at=at,
        rank=POSTED if added else CHANGED,
        message_id=message,
        emoji=emoji,
        author_id=reaction.user,
        at=at,
        standing=added,
    )
    if added:
        told = {"message": message, "emoji": emoji}
        yield Job("fetch_message", key=f"fetch_message:{message}:{emoji}", arguments=told)
    yield follow(message)


@slack.on("channel_created", "channel_rename", "group_rename")
def channel_named(event: ChannelNamedEvent) -> Iterator[Decision]:
    """Patterns are about names, so a channel with a new name may be about incidents now."""
    named = event.event
    private = named.type == "group_rename" or bool(named.channel.is_private)
    yield models.SlackChannel(
        id=event.key(named.channel.id),
        changed_at=event.at(named.event_ts),
        rank=POSTED if named.type == "channel_created" else CHANGED,
        team_id=event.team_id,
        channel_id=named.channel.id,
        name=named.channel.name,
        private=private,
    )
    channel = event.key(named.channel.id)
    told = {"channel": channel}
    yield Job("follow_channel", key=f"follow_channel:{channel}", arguments=told)
    if not private:
        yield Job("join_channel", key=f"join_channel:{channel}", arguments=told)


@slack.on("channel_archive", "channel_unarchive", "group_archive", "group_unarchive")
def channel_archived(event: ChannelChangedEvent) -> Iterator[Decision]:
    """Nothing is said in an archived channel; its incidents stay."""
    archived = event.event.type.endswith("_archive")
    yield state_row(event, event.event, "archived", holds=archived)


@slack.on("channel_deleted", "group_deleted")
def channel_deleted(event: ChannelChangedEvent) -> Iterator[Decision]:
    """A deleted channel is shown no more; its incidents stay."""
    yield state_row(event, event.event, "deleted", holds=True)


@slack.on("channel_left", "group_left")
def channel_left(event: ChannelChangedEvent) -> Iterator[Decision]:
    """Our bot was taken out of a channel, so it hears nothing of it any more."""
    yield state_row(event, event.event, "member", holds=False)


@slack.on("member_joined_channel", "member_left_channel")
def membership_changed(event: MembershipEvent) -> Iterator[Decision]:
    """Where our own bot is decides what we hear; who else is in a channel is not asked."""
    if event.event.user not in event.bots:
        yield Note("Who else is in a channel changes no measure.")
        return
    joined = event.event.type == "member_joined_channel"
    yield state_row(event, event.event, "member", holds=joined)
    if joined:
        channel = event.key(event.event.channel)
        yield Job("learn_channel", key=f"learn_channel:{channel}", arguments={"channel": channel})


@slack.on("app_uninstalled", "tokens_revoked")
def installation_ended(event: EndedEvent) -> Iterator[Decision]:
    """A workspace without the app, or whose bot's token was revoked, is connected no more."""
    ended = event.event
    if ended.type == "tokens_revoked" and not (ended.tokens and ended.tokens.bot):
        yield Note("Tokens of people were revoked; only the bot's is used.")
        return
    connection = f"slack:team:{event.team_id}"
    yield models.Connection(
        id=connection,
        changed_at=event.at(ended.event_ts),
        rank=DELETED,
        source="slack",
        external_id=event.team_id,
        account_login=event.team_id,
        state="deleted",
    )
    told = {"connection": connection}
    yield Job("forget_slack_token", key=f"forget_slack_token:{connection}", arguments=told)


@slack.on("team_join", "user_change")
def person_told(event: UserEvent) -> Iterator[Decision]:
    """Somebody of the workspace, whom an address ties to their accounts elsewhere."""
    user = event.event.user
    yield identity_row(event.organization_id, event.team_id, user, event.at(event.event.event_ts))


@slack.on("command", "interaction")
def asked_in_slack(event: Asked) -> Iterator[Decision]:
    """A slash command or a button; who pressed it waits, so the web process acts itself."""
    yield Note("It was answered at once, where it was asked.")


def standing(said: Said) -> tuple[Message, int] | None:
    """Return the message an event is about as it stands now; None where it says nothing."""
    if said.subtype == "message_deleted" and said.deleted_ts:
        return gone(said.previous_message, said.deleted_ts), DELETED
    if said.subtype == "message_changed" and said.message:
        message = said.message
        if message.subtype == "tombstone":
            return gone(said.previous_message, message.ts), DELETED
        before = said.previous_message
        if not message.thread_ts and before and before.thread_ts:
            message = message.model_copy(update={"thread_ts": before.thread_ts})
        return (message, CHANGED) if message.subtype in SAID else None
    return (said, POSTED) if said.subtype in SAID else None


def gone(before: Message | None, ts: str) -> Message:
    """Return a deleted message: of its words nothing stays."""
    empty: dict[str, Any] = {"text": "", "blocks": None, "attachments": None}
    return before.model_copy(update={**empty, "ts": ts}) if before else Message(ts=ts)


def ours(event: Envelope, message: Message) -> bool:
    """Tell whether our own app or bot posted a message."""
    return bool(message.app and message.app == event.api_app_id) or message.user in event.bots


def message_row(channel: str, message: Message, at: datetime, rank: int) -> models.SlackMessage:
    """Return the row of a message in a channel (`slack:T1:C1`) as it stood at a time."""
    profile = message.bot_profile
    return models.SlackMessage(
        id=f"{channel}:{message.ts}",
        changed_at=at,
        rank=rank,
        channel_key=channel,
        thread_id=f"{channel}:{message.thread_ts or message.ts}",
        ts=message.ts,
        author_id=message.user or message.bot_id,
        author_name=message.username or (profile.name if profile else None),
        bot=bool(message.bot_id or message.subtype == "bot_message"),
        words=message.words,
        posted_at=time_of(message.ts),
        edited_at=time_of(message.edited.ts) if message.edited else None,
        deleted=rank == DELETED,
    )


def state_row(
    event: Envelope, changed: Changed, aspect: str, *, holds: bool
) -> models.SlackChannelState:
    """Return whether something holds of a channel since an event."""
    channel = event.key(changed.channel)
    return models.SlackChannelState(
        id=f"{channel}:{aspect}",
        changed_at=event.at(changed.event_ts),
        channel_key=channel,
        aspect=aspect,
        holds=holds,
    )


def identity_row(organization_id: str, team_id: str, user: User, at: datetime) -> models.Identity:
    """Return somebody's account; `updated`, their own clock, goes before that of the event."""
    account = f"slack:{team_id}:{user.id}"
    profile = user.profile
    return models.Identity(
        id=f"{organization_id}/{account}",
        changed_at=time_of(f"{user.updated}.0") if user.updated else at,
        source="slack",
        account=account,
        name=profile.real_name or profile.display_name or user.name,
        email=user.email,
        bot=bool(user.is_bot) or user.id == "USLACKBOT",
    )


def follow(message: str) -> Job:
    """Have the thread of a message judged."""
    return Job("follow_incident", key=f"follow_incident:{message}", arguments={"incident": message})


def account(event: str, payload: Mapping[str, Any]) -> Account:
    """Return whom a payload belongs to: its workspace. Interactions name it as an object."""
    team = payload.get("team_id")
    if team is None and isinstance(payload.get("team"), Mapping):
        team = payload["team"].get("id")
    return Account(keys=(f"team:{team}",) if isinstance(team, str) and team else ())


slack.ignore(
    "app_mention", because="The same message comes as a message of its channel."
)  # fmt: skip
slack.ignore("app_home_opened", because="Somebody looked at the bot; nothing happened.")
slack.ignore("link_shared", because="Links are read where they are posted.")
slack.ignore(
    "app_rate_limited", because="Slack held events back; messages that matter are fetched."
)
slack.ignore(
    "file_shared", "file_created", "file_change", "file_public", "file_deleted",
    because="A file counts by the message it came with.",
)  # fmt: skip
slack.ignore(
    "pin_added", "pin_removed", "star_added", "star_removed", "emoji_changed",
    "channel_history_changed", "channel_shared", "channel_unshared", "channel_id_changed",
    "team_rename", "team_domain_change", "subteam_created", "subteam_updated",
    "subteam_members_changed", "dnd_updated_user", "user_huddle_changed", "user_status_changed",
    "user_profile_changed",
    because="It changes no measure.",
)  # fmt: skip
