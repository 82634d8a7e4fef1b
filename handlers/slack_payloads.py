"""What Slack's events carry, each with only the fields that are read.

<https://docs.slack.dev/reference/events>
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from models.columns import EPOCH

MOST_WORDS = 8000
LATEST_SECONDS = 253_402_300_799
STAMP = re.compile(r"\d{1,12}\.\d{1,6}")
SKIN_TONE = re.compile(r"::skin-tone-[2-6]$")


def is_stamp(ts: str) -> str:
    """Return a timestamp of Slack's; raise ValueError for what is none."""
    if not STAMP.fullmatch(ts) or int(ts.partition(".")[0]) > LATEST_SECONDS:
        raise ValueError("not a timestamp of Slack's")
    return ts


def time_of(ts: str) -> datetime:
    """Return the time of a timestamp (`1700000000.000100`), exact to the microsecond."""
    seconds, _, fraction = ts.partition(".")
    return EPOCH + timedelta(seconds=int(seconds), microseconds=int(fraction.ljust(6, "0")))


Text = Annotated[str, Field(max_length=2**26)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Stamp = Annotated[str, Field(max_length=20), AfterValidator(is_stamp)]
Seconds = Annotated[int, Field(ge=0, le=LATEST_SECONDS)]
Part = dict[str, Any]


class Authorization(BaseModel):
    """For whom an event is: our bot, as it is installed in a workspace."""

    user_id: Text | None = None
    is_bot: bool | None = None


class Envelope(BaseModel):
    """What every event comes in. `event_time` is in seconds."""

    team_id: Name
    api_app_id: Text | None = None
    event_time: Seconds | None = None
    authorizations: list[Authorization] | None = None
    organization_id: Text = ""
    received_at: datetime

    @property
    def bots(self) -> frozenset[str]:
        """Our bot's users."""
        told = self.authorizations or ()
        return frozenset(each.user_id for each in told if each.user_id and each.is_bot is not False)

    def key(self, *parts: str) -> str:
        """Return the key of a thing of this workspace."""
        return ":".join(("slack", self.team_id, *parts))

    def at(self, event_ts: str | None) -> datetime:
        """Return when an event happened, by Slack's clocks where they tell."""
        if event_ts:
            return time_of(event_ts)
        if self.event_time:
            return datetime.fromtimestamp(self.event_time, UTC)
        return self.received_at


class Profile(BaseModel):
    """Who a bot says it is."""

    app_id: Text | None = None
    name: Text | None = None


class Edited(BaseModel):
    """When a message was edited last."""

    ts: Stamp


class Message(BaseModel):
    """A message as it stands, in an event or in the history."""

    ts: Stamp
    thread_ts: Stamp | None = None
    subtype: Text | None = None
    user: Text | None = None
    bot_id: Text | None = None
    app_id: Text | None = None
    bot_profile: Profile | None = None
    username: Text | None = None
    text: Text | None = None
    edited: Edited | None = None
    attachments: list[Part] | None = None
    blocks: list[Part] | None = None

    @property
    def app(self) -> str | None:
        """The app that posted it."""
        return self.app_id or (self.bot_profile.app_id if self.bot_profile else None)

    @property
    def words(self) -> str:
        """Everything it says, in Slack's markup: its text, else its blocks, and attachments."""
        said = [self.text or "\n".join(spoken(self.blocks or ()))]
        said += [words for each in self.attachments or () for words in attached(each)]
        told = "\n".join(dict.fromkeys(part.strip() for part in said if part.strip()))
        return told[:MOST_WORDS]


class Said(Message):
    """A `message` event: a message itself, or what became of one."""

    channel: Name
    channel_type: Text | None = None
    event_ts: Stamp | None = None
    deleted_ts: Stamp | None = None
    message: Message | None = None
    previous_message: Message | None = None


class MessageEvent(Envelope):
    """`message`."""

    event: Said


class Item(BaseModel):
    """What a reaction is on."""

    type: Text
    channel: Text | None = None
    ts: Stamp | None = None


class Reaction(BaseModel):
    """A reaction that was added or taken away."""

    type: Text
    user: Name
    reaction: Name
    item: Item
    event_ts: Stamp | None = None


class ReactionEvent(Envelope):
    """`reaction_added`, `reaction_removed`."""

    event: Reaction


class Channel(BaseModel):
    """A channel where it is told with its name."""

    id: Name
    name: Name
    is_private: bool | None = None


class Named(BaseModel):
    """A channel that was made, or has a new name."""

    type: Text
    channel: Channel
    event_ts: Stamp | None = None


class ChannelNamedEvent(Envelope):
    """`channel_created`, `channel_rename`, `group_rename`."""

    event: Named


class Changed(BaseModel):
    """A channel that was archived, deleted or left."""

    type: Text
    channel: Name
    event_ts: Stamp | None = None


class ChannelChangedEvent(Envelope):
    """`channel_archive`, `channel_unarchive`, `channel_deleted`, `channel_left` and `group_…`."""

    event: Changed


class Membership(Changed):
    """Somebody who came into a channel, or left it."""

    user: Name


class MembershipEvent(Envelope):
    """`member_joined_channel`, `member_left_channel`."""

    event: Membership


class Tokens(BaseModel):
    """Whose tokens were revoked."""

    bot: list[Text] = Field(default_factory=list)


class Ended(BaseModel):
    """The end of an installation, or of its tokens."""

    type: Text
    tokens: Tokens | None = None
    event_ts: Stamp | None = None


class EndedEvent(Envelope):
    """`app_uninstalled`, `tokens_revoked`."""

    event: Ended


class UserProfile(BaseModel):
    """What somebody shows of themselves; the address only where the scope was granted."""

    display_name: Text | None = None
    real_name: Text | None = None
    email: Text | None = None


class User(BaseModel):
    """Somebody of a workspace. `updated` is when they last changed, in seconds.

    `is_stranger`: they are of another workspace, whose admins may write what they like of them.
    """

    id: Name
    name: Text | None = None
    is_bot: bool | None = None
    is_stranger: bool | None = None
    is_email_confirmed: bool | None = None
    updated: Seconds | None = None
    profile: UserProfile = UserProfile()

    @property
    def email(self) -> str | None:
        """Their address in lower case, where the workspace itself vouches for it."""
        if self.is_stranger or self.is_email_confirmed is False:
            return None
        return (self.profile.email or "").strip().lower() or None


class Seen(BaseModel):
    """Somebody who is new, or has changed."""

    user: User
    event_ts: Stamp | None = None


class UserEvent(Envelope):
    """`team_join`, `user_change`."""

    event: Seen


class Asked(BaseModel):
    """A slash command or a button, as it is kept."""


def spoken(parts: Any) -> Iterator[str]:
    """Yield the texts inside blocks, whatever their kind."""
    for part in parts if isinstance(parts, list | tuple) else ():
        if not isinstance(part, Mapping):
            continue
        text = part.get("text")
        if isinstance(text, str):
            yield text
        elif isinstance(text, Mapping) and isinstance(text.get("text"), str):
            yield text["text"]
        for name in ("fields", "elements"):
            yield from spoken(part.get(name))


def attached(part: Part) -> Iterator[str]:
    """Yield what an attachment says, unless Slack made it of a link."""
    if part.get("is_msg_unfurl") or part.get("from_url") or part.get("original_url"):
        return
    texts = [part.get(name) for name in ("pretext", "title", "text")]
    fields = part.get("fields")
    texts += [
        f"{each.get('title') or ''}: {each.get('value') or ''}".strip(": ")
        for each in (fields if isinstance(fields, list) else ())
        if isinstance(each, Mapping)
    ]
    said = [text for text in texts if isinstance(text, str) and text]
    said = said or list(spoken(part.get("blocks")))
    fallback = part.get("fallback")
    yield from said or ([fallback] if isinstance(fallback, str) else [])
