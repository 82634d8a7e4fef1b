"""What follows from what Slack's history tells of a channel: the rows that events would have left.

Only threads that are an incident are taken: the rest is chatter, which would be forgotten again
(`models.slack_chatter`). History says that a reaction stands, but not since when. One that nobody
told us of is dated by the thread: a start reaction by its message, any other by the last that is
known to have happened there. Its row is as old as the message, so that the event itself, where it
still comes, has the last word.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

import models
from handlers.incident_threads import incident_of_thread
from handlers.slack import POSTED, SAID, message_row
from handlers.slack_payloads import SKIN_TONE, Message, Name, Seconds, time_of
from models.incident_reading import Reading


class Standing(BaseModel):
    """A reaction on a message, and who made it."""

    name: Name
    users: list[Name] = []


class Past(Message):
    """A message of the history. `reply_count`: how many answers its thread has."""

    reactions: list[Standing] | None = None
    reply_count: Seconds | None = None

    @property
    def root(self) -> str:
        """The `ts` of the first message of its thread."""
        return self.thread_ts or self.ts


@dataclass(frozen=True)
class Bot:
    """Our own bot in a workspace: what it says and marks is no news."""

    user_id: str = ""
    app_id: str = ""

    def wrote(self, message: Message) -> bool:
        """Tell whether it posted a message."""
        by_app = bool(message.app) and message.app == self.app_id
        return by_app or (bool(message.user) and message.user == self.user_id)


def past(told: Iterable[Mapping[str, Any]], bot: Bot) -> list[Past]:
    """Return the messages of others that say something; what cannot be read says nothing."""
    found = []
    for each in told:
        try:
            message = Past.model_validate(each)
        except ValidationError:
            continue
        if message.subtype in SAID and not bot.wrote(message):
            found.append(message)
    return found


def opens(channel: models.SlackChannel, message: Past, reading: Reading) -> bool:
    """Tell whether a message begins an incident: answers do not."""
    if message.root != message.ts:
        return False
    said = said_row(channel.id, message)
    marks = list(marks_of(channel.id, [message], reading, {}))
    return incident_of_thread([said], marks, channel, reading) is not None


def said_row(channel: str, message: Message) -> models.SlackMessage:
    """Return the row of a message as the history tells it."""
    at = time_of(message.edited.ts if message.edited else message.ts)
    return message_row(channel, message, at, POSTED)


def marks_of(
    channel: str,
    thread: Sequence[Past],
    reading: Reading,
    known: Mapping[str, datetime],
    bot: Bot | None = None,
) -> Iterator[models.SlackReaction]:
    """Yield the reactions of a thread that mean something and of which nobody told.

    `known`: when those were made of which somebody did, by their ids.
    """
    last = max((*known.values(), *(time_of(each.ts) for each in thread)))
    meant = (*reading.start_reactions, *reading.resolve_reactions)
    for message in thread:
        posted = time_of(message.ts)
        for reaction in message.reactions or ():
            emoji = SKIN_TONE.sub("", reaction.name)
            for user in reaction.users if emoji in meant else ():
                mark = f"{channel}:{message.ts}:{emoji}:{user}"
                if mark in known or (bot and user == bot.user_id):
                    continue
                yield models.SlackReaction(
                    id=mark,
                    changed_at=posted,
                    message_id=f"{channel}:{message.ts}",
                    emoji=emoji,
                    author_id=user,
                    at=posted if emoji in reading.start_reactions else last,
                )
