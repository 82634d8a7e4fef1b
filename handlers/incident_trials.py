"""What a text in a channel would do, said before anybody posts it. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime

import models
from handlers.incident_threads import (
    end_word,
    incident_of_thread,
    named_in,
    severity_in,
    spoken,
    tells_of_the_end,
    title_of,
)
from handlers.incidents import environment_class
from models.incident_reading import Reading
from models.patterns import found, lines

POSTED = datetime(2000, 1, 1, tzinfo=UTC)
CHANNEL = "slack:T:C"
ROOT = f"{CHANNEL}:1"


@dataclass(frozen=True)
class Trial:
    """What a text in a channel would do: as a first message, and as a reply.

    `why` says why it opens an incident or not; `ends` whether as a reply it would end one. The rest
    is what the incident would be.
    """

    opens: bool
    why: str
    ends: bool
    ends_why: str | None
    title: str
    severity: str | None
    environment: str
    environment_class: str
    repository_id: str | None
    repository: str | None
    service: str | None
    names: tuple[str, ...]


def trial(text: str, channel: str, reading: Reading, bot: str | None = None) -> Trial:
    """Say what a text would do in a channel, posted now by a person, or by the bot so named."""
    name = channel.strip().removeprefix("#").lower()
    root = models.SlackMessage(
        id=ROOT,
        channel_key=CHANNEL,
        thread_id=ROOT,
        ts="1",
        author_name=bot,
        bot=bot is not None,
        words=text,
        posted_at=POSTED,
    )
    where = models.SlackChannel(id=CHANNEL, team_id="T", channel_id="C", name=name)
    incident = incident_of_thread([root], [], where, reading)
    end = end_word(root, reading) if reading.reads(name) else None
    place = reading.place_of(name)
    return Trial(
        opens=incident is not None,
        why=incident.opened_why if incident else why_not(root, where, reading),
        ends=end is not None,
        ends_why=f"says \u201c{end}\u201d" if end else None,
        title=title_of(root, where),
        severity=severity_in([root], reading) or place.severity,
        environment=place.environment,
        environment_class=environment_class(place.environment),
        repository_id=place.repository_id,
        repository=place.repository,
        service=place.service,
        names=tuple(named_in([root], place)),
    )


def why_not(root: models.SlackMessage, channel: models.SlackChannel, reading: Reading) -> str:
    """Say why a first message opens no incident."""
    if not reading.reads(channel.name):
        return f"#{channel.name} fits none of the channels: {', '.join(reading.channels)}"
    if tells_of_the_end(root, reading):
        return f"says \u201c{end_word(root, reading)}\u201d: what is over opens nothing"
    if root.bot:
        return f"{root.author_name} is none of the alerting tools, and other bots open nothing"
    words = (each[0] for line in lines(spoken(root)) for each in found(
        reading.start_patterns, line
    ))  # fmt: skip
    if word := next(words, None):
        return f"\u201c{word}\u201d is denied in it"
    return "says none of the start words"
