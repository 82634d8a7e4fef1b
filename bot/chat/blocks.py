"""Messages as Slack takes them (https://docs.slack.dev/reference/block-kit): escaped and bounded.

Whatever people or sources wrote goes through `said`, `bold` or `link`; nothing else may be put into
a text. What is longer than Slack takes is cut, never refused.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

Block = dict[str, Any]

MOST_BLOCKS = 50
MOST_TEXT, MOST_HEADER, MOST_LABEL, MOST_VALUE, MOST_URL = 3000, 150, 75, 75, 3000
MOST_OPTIONS, MOST_PARTS = 100, 10
MORE = "_and {count} more_"
CALLS = re.compile(r"@(?=channel|here|everyone|group)", re.IGNORECASE)
NO_CALL = "@\N{WORD JOINER}"
LEFT_OVER = re.compile(r"&[a-z]{0,3}$|<[^<>]*$")


def said(text: str | None, most: int = 300) -> str:
    """Return somebody's words for a text: escaped, in one line, calling nobody."""
    line = shortened(" ".join((text or "").split()), most)
    line = "".join(sign for sign in line if sign.isprintable())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return CALLS.sub(NO_CALL, line)


def bold(text: str | None, most: int = 300) -> str:
    """Return somebody's words set bold; their own stars would end that."""
    words = said(text, most).replace("*", "\N{ASTERISK OPERATOR}")
    return f"*{words}*" if words else ""


def shortened(text: str, most: int) -> str:
    """Return a text of so many characters at most."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def link(url: str | None, text: str | None, most: int = 300) -> str:
    """Return words that lead somewhere; only the words where that is not on the web."""
    words = said(text, most).replace("|", "\N{BROKEN BAR}")
    if not url or not url.startswith(("https://", "http://")) or not words:
        return words
    # What ends a link in Slack's mark-up must not stand in its address.
    address = quote(url, safe=":/?#[]@!$&'()*+,;=%~-._").replace("&", "&amp;")
    return f"<{address}|{words}>" if len(address) <= MOST_URL else words


def mrkdwn(text: str) -> dict[str, Any]:
    """Return a text with Slack's mark-up, in which Slack looks for nothing by itself."""
    return {"type": "mrkdwn", "text": cut(text, MOST_TEXT), "verbatim": True}


def cut(text: str, most: int) -> str:
    """Return a text with mark-up of so many characters at most, at the end of a line if it can."""
    if len(text) <= most:
        return text
    kept = text[: most - 2]
    whole = kept.rpartition("\n")[0] or LEFT_OVER.sub("", kept)
    return f"{whole}\n…"


def section(*lines: str) -> Block:
    """Return a paragraph of lines; one that has none says a dash, since Slack refuses it empty."""
    return {"type": "section", "text": mrkdwn("\n".join(line for line in lines if line) or "–")}


def header(text: str) -> Block:
    """Return a heading, which has no mark-up."""
    words = shortened(CALLS.sub(NO_CALL, " ".join(text.split())), MOST_HEADER)
    return {"type": "header", "text": {"type": "plain_text", "text": words, "emoji": True}}


def context(*parts: str) -> Block:
    """Return small print."""
    told = [mrkdwn(part) for part in parts if part][:MOST_PARTS]
    return {"type": "context", "elements": told or [mrkdwn("–")]}


def listed(lines: Sequence[str], most: int = 10, *, all_of: int | None = None) -> list[Block]:
    """Return lines as paragraphs, as many as Slack takes in one, and how many more there are."""
    shown, count = list(lines[:most]), all_of if all_of is not None else len(lines)
    if count > len(shown):
        shown.append(MORE.format(count=count - len(shown)))
    texts = [""]
    for line in shown:
        if len(texts[-1]) + len(line) + 1 > MOST_TEXT:
            texts.append("")
        texts[-1] = f"{texts[-1]}\n{line}".lstrip("\n")
    return [section(text) for text in texts]


def plain(text: str, most: int = MOST_LABEL) -> dict[str, Any]:
    """Return a label, which has no mark-up."""
    return {"type": "plain_text", "text": shortened(" ".join(text.split()) or "–", most)}


def button(label: str, action: str, value: str, **more: Any) -> Block:
    """Return a button that asks us for something. `style`: primary or danger; `confirm`."""
    told = {"type": "button", "text": plain(label), "action_id": action, "value": value}
    return {**told, **more}


def page_button(label: str, url: str) -> Block:
    """Return a button that opens a page."""
    return {"type": "button", "text": plain(label), "action_id": "open_page", "url": url}


def menu(label: str, action: str, options: Mapping[str, str]) -> Block | None:
    """Return a menu of values and their labels; None without any. Values too long are left out."""
    told = [
        {"text": plain(words), "value": value}
        for value, words in options.items()
        if len(value) <= MOST_VALUE
    ][:MOST_OPTIONS]
    if not told:
        return None
    kind = {"type": "static_select", "action_id": action, "placeholder": plain(label)}
    return {**kind, "options": told}


def actions(*elements: Block | None) -> Block:
    """Return a row of buttons and menus."""
    return {"type": "actions", "elements": [each for each in elements if each]}


def message(blocks: Iterable[Block], text: str, **more: Any) -> dict[str, Any]:
    """Return a whole message; `text` is what notifications and screen readers say."""
    told = list(blocks)
    if len(told) > MOST_BLOCKS:
        told = [*told[: MOST_BLOCKS - 1], context("…")]
    return {"blocks": told, "text": cut(text, MOST_TEXT), **more}


def reply(blocks: Iterable[Block], text: str, *, share: bool = False) -> dict[str, Any]:
    """Return the answer to a command, for who asked alone unless it is shared."""
    return message(blocks, text, response_type="in_channel" if share else "ephemeral")


def refusal(words: str) -> dict[str, Any]:
    """Return why something was not done, for who asked alone; what they asked at stays."""
    told = said(words, 2000)
    return {**reply([section(told)], told), "replace_original": False}
