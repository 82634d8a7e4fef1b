"""When a Slack thread is an incident (METRICS.md, Incidents). Pure.

- It **starts** in a channel that fits the patterns: by a start word of a person's first message, by
  a message of an alerting tool's bot, or by a start reaction that stands on the first message. It
  began when that message was posted; other bots open nothing by words, and our own least of all.
- It **ends** at the earliest of: a resolve reaction on any message of the thread, a resolve word in
  a reply, or in the first message when that was edited. What came before the start was detected,
  was taken back, deleted or edited away, does not end it.
- A word that is denied ("no outage", "not resolved yet") or only hoped or asked for ("once it is
  resolved", "resolved?") does not count.
- Severity: the last that anybody named in the thread until it ended, else the channel's.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import unescape

import models
from handlers.incidents import (
    CLAUSE,
    LONGEST_DETAIL,
    LONGEST_TITLE,
    End,
    Told,
    denied,
    severity_of,
)
from handlers.references import references
from models.incident_reading import ChannelPlace, Reading
from models.patterns import compiled, found, lines

BOT_ENDS = ("recovered", "closed", "back to normal")
NO_END = re.compile(
    r"\b(?:no|not|never|without|isnt|wasnt|cannot|until|till|unless|once|when|if|before|will|should"
    r"|shall|must|could|would|might|may|to be|going to|almost|nearly|partially|partly|being|hope"
    r"|hopefully)\b|n['\u2019]t\b|['\u2019]ll\b",
    re.IGNORECASE,
)
ASKED = re.compile(r"[^.;!]*\?")
MARKUP = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
EMPHASIS = re.compile(r"(?<![\w*~`])([*_~`]{1,3})(?=\S)([^*~`\n]{1,500}?)(?<=\S)\1(?![\w*~`])")
REMEDY = re.compile(
    r"\b(?:back|revert(?:ed|ing)?|reset(?:ting)?) to\s+\S+"
    r"|\bfix(?:ed|es)?(?: is)?(?:\s+(?:in|by|with|via)\b|:)\s+\S+",
    re.IGNORECASE,
)
WEB = re.compile(r"https?://\S+", re.IGNORECASE)
EMOJI = {"rotating_light": "\U0001f6a8", "white_check_mark": "\u2705"}
SHORTEST_WORDS = re.compile(r"\w")


@dataclass(frozen=True)
class Start:
    """What makes a thread an incident: when it was noticed, why in words, by whom."""

    detected_at: datetime
    why: str
    by: str | None


def incident_of_thread(
    messages: Sequence[models.SlackMessage],
    reactions: Sequence[models.SlackReaction],
    channel: models.SlackChannel | None,
    reading: Reading,
) -> Told | None:
    """Return the incident that a thread is, None where it is none or its first message is gone."""
    root = next((each for each in messages if each.id == each.thread_id), None)
    if root is None or root.deleted or channel is None:
        return None
    if not reading.reads(channel.name, channel.channel_id):
        return None
    standing = sorted((each for each in messages if not each.deleted), key=order)
    start = start_of(root, [each for each in reactions if each.standing], reading)
    if start is None:
        return None
    place = reading.place_of(channel.name, channel.channel_id)
    ends = tuple(
        end for end in ends_of(standing, reactions, reading) if end.at >= start.detected_at
    )
    over = min((end.at for end in ends), default=None)
    told = [each for each in standing if over is None or each.posted_at <= over]
    return Told(
        id=root.id,
        source="slack",
        title=title_of(root, channel),
        detail=plain(root.words)[:LONGEST_DETAIL],
        started_at=root.posted_at,
        detected_at=start.detected_at,
        opened_why=start.why,
        opened_by=start.by,
        url=address(channel, root),
        channel=channel.name,
        severity=severity_in(told, reading) or place.severity,
        environment=place.environment,
        repository_id=place.repository_id,
        service=place.service,
        ends=ends,
        names=tuple(named_in(standing, place)),
    )


def order(message: models.SlackMessage) -> tuple[datetime, str]:
    """Return what messages of a thread are sorted by."""
    return message.posted_at, message.id


def start_of(
    root: models.SlackMessage, standing: Iterable[models.SlackReaction], reading: Reading
) -> Start | None:
    """Return what makes a thread an incident: its author, its words, else a reaction."""
    if not tells_of_the_end(root, reading):
        if tool(root, reading):
            return Start(root.posted_at, f"alert of {root.author_name}", account(root))
        if not root.bot and (word := start_word(spoken(root), reading)):
            return Start(root.posted_at, f"says \u201c{word}\u201d", account(root))
    wanted = set(reading.start_reactions)
    made = [each for each in standing if each.message_id == root.id and each.emoji in wanted]
    first = min(made, key=lambda each: (each.at, each.author_id, each.emoji), default=None)
    if first is None:
        return None
    who = f"{root.id.rpartition(':')[0].rpartition(':')[0]}:{first.author_id}"
    return Start(first.at, f"{shown(first.emoji)} by {first.author_id}", who)


def tells_of_the_end(root: models.SlackMessage, reading: Reading) -> bool:
    """Tell whether a first message was posted to say that something is over ("Resolved: …")."""
    return root.edited_at is None and end_word(root, reading) is not None


def ends_of(
    standing: Sequence[models.SlackMessage],
    reactions: Iterable[models.SlackReaction],
    reading: Reading,
) -> Iterator[End]:
    """Yield everything in a thread that ends an incident; `standing` are its messages."""
    ids, wanted = {each.id for each in standing}, set(reading.resolve_reactions)
    for reaction in reactions:
        if reaction.standing and reaction.emoji in wanted and reaction.message_id in ids:
            team = reaction.message_id.rpartition(":")[0].rpartition(":")[0]
            why = f"{shown(reaction.emoji)} by {reaction.author_id}"
            yield End(reaction.at, why, f"{team}:{reaction.author_id}")
    for message in standing:
        first = message.id == message.thread_id
        word = end_word(message, reading)
        if word is None or (first and message.edited_at is None):
            continue
        speaker = message.author_name or message.author_id or "somebody"
        told = "the message was edited to say" if first else f"{speaker} says"
        at = message.edited_at if first and message.edited_at else message.posted_at
        yield End(at, f"{told} \u201c{word}\u201d", account(message))


def start_word(words: str, reading: Reading) -> str | None:
    """Return the first start word of a text that is not denied."""
    for line in lines(words):
        for match in first_first(found(reading.start_patterns, line)):
            if not denied(line[: match.start()]):
                return match[0]
    return None


def end_word(message: models.SlackMessage, reading: Reading) -> str | None:
    """Return the word by which a person or an alerting tool says that it is over."""
    if message.bot and not tool(message, reading):
        return None
    patterns = (*reading.resolve_patterns, *(BOT_ENDS if message.bot else ()))
    for line in lines(spoken(message)):
        for match in first_first(found(patterns, line)):
            clause = CLAUSE.split(line[: match.start()])[-1]
            if not NO_END.search(clause) and not ASKED.match(line[match.end() :]):
                return match[0]
    return None


def first_first(matches: Iterable[re.Match[str]]) -> list[re.Match[str]]:
    """Sort matches by their place, longer ones first."""
    return sorted((each for each in matches if each[0]), key=lambda m: (m.start(), -m.end()))


def tool(message: models.SlackMessage, reading: Reading) -> bool:
    """Tell whether a message is of an alerting tool's bot, by the bot's name or id."""
    if not message.bot:
        return False
    if message.author_id in reading.alert_bots:
        return True
    return any(compiled(each).search(message.author_name or "") for each in reading.alert_bots)


def severity_in(told: Sequence[models.SlackMessage], reading: Reading) -> str | None:
    """Return the last severity that a person or an alerting tool named."""
    said = (
        severity_of(spoken(each), reading)
        for each in reversed(told)
        if not each.bot or tool(each, reading)
    )
    return next((severity for severity in said if severity), None)


def named_in(standing: Sequence[models.SlackMessage], place: ChannelPlace) -> list[str]:
    """Return what a thread refers to, without what something was set back to, or is mended by."""
    words = "\n".join(REMEDY.sub(" ", plain(each.words, addresses=True)) for each in standing)
    return references(words, repository=place.repository)


def plain(words: str, *, addresses: bool = False) -> str:
    """Return a text without Slack's markup; of links their texts, or their addresses.

    https://docs.slack.dev/messaging/formatting-message-text
    """

    def shown_as(match: re.Match[str]) -> str:
        target, label = match[1], match[2]
        if target[:1] in ("@", "#"):
            return f"{target[0]}{(label or target[1:]).lstrip('@#')}"
        if target.startswith("!"):
            return label or f"@{target[1:].partition('^')[0]}"
        return target if addresses or not label else label

    return unescape(EMPHASIS.sub(r"\2", MARKUP.sub(shown_as, words)))


def spoken(message: models.SlackMessage) -> str:
    """Return the words of a message that patterns are looked for in: no addresses of links."""
    return WEB.sub(" ", plain(message.words))


def title_of(root: models.SlackMessage, channel: models.SlackChannel) -> str:
    """Return the first line of a message that has words."""
    said = (line.strip() for line in plain(root.words).splitlines())
    title = next((line for line in said if SHORTEST_WORDS.search(line)), "")
    return title[:LONGEST_TITLE] or f"Incident in #{channel.name}"


def account(message: models.SlackMessage) -> str | None:
    """Return who wrote a message, as identities are keyed: `slack:<team>:<user>`."""
    team = message.channel_key.rpartition(":")[0]
    return f"{team}:{message.author_id}" if message.author_id else None


def address(channel: models.SlackChannel, root: models.SlackMessage) -> str:
    """Return where a thread is read in Slack."""
    thread = f"{channel.channel_id}-{root.ts}"
    return f"https://app.slack.com/client/{channel.team_id}/{channel.channel_id}/thread/{thread}"


def shown(emoji: str) -> str:
    """Show a reaction as people see it, or by its name."""
    return EMOJI.get(emoji, f":{emoji}:")
