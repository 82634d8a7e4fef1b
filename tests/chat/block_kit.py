"""What Slack refuses of a message (https://docs.slack.dev/reference/block-kit), said in words."""

import re
from collections.abc import Iterator
from typing import Any

MOST_BLOCKS, MOST_TEXT, MOST_HEADER, MOST_ELEMENTS, MOST_PARTS = 50, 3000, 150, 25, 10
MOST_LABEL, MOST_VALUE, MOST_OPTION_VALUE, MOST_OPTIONS, MOST_URL = 75, 2000, 75, 100, 3000
LINK = re.compile(r"<(https?://[^|<>\s]+)\|[^<>|\n]+>")
ESCAPE = re.compile(r"&(?:amp|lt|gt);")


def faults(message: dict[str, Any]) -> list[str]:
    """Say what is wrong with a whole message; nothing where Slack would take it."""
    blocks = message.get("blocks", [])
    found = [] if message.get("text") else ["no text for notifications"]
    found += [] if 0 < len(blocks) <= MOST_BLOCKS else [f"{len(blocks)} blocks"]
    found += markup(message.get("text", ""))
    for block in blocks:
        found += [f"{block['type']}: {fault}" for fault in KINDS[block["type"]](block)]
    names = [each.get("block_id") for each in blocks if each.get("block_id")]
    return found + (["a block_id twice"] if len(set(names)) < len(names) else [])


def sections(block: dict[str, Any]) -> Iterator[str]:
    yield from texts(block["text"], MOST_TEXT)


def headers(block: dict[str, Any]) -> Iterator[str]:
    if block["text"]["type"] != "plain_text":
        yield "a header has no mark-up"
    yield from texts(block["text"], MOST_HEADER)


def contexts(block: dict[str, Any]) -> Iterator[str]:
    if not 0 < len(block["elements"]) <= MOST_PARTS:
        yield f"{len(block['elements'])} elements"
    for each in block["elements"]:
        yield from texts(each, MOST_TEXT)


def actions(block: dict[str, Any]) -> Iterator[str]:
    elements = block["elements"]
    if not 0 < len(elements) <= MOST_ELEMENTS:
        yield f"{len(elements)} elements"
    if len({each["action_id"] for each in elements}) < len(elements):
        yield "an action_id twice"
    for each in elements:
        yield from ELEMENTS[each["type"]](each)


def buttons(element: dict[str, Any]) -> Iterator[str]:
    yield from texts(element["text"], MOST_LABEL)
    if len(element.get("value", "")) > MOST_VALUE:
        yield "a long value"
    url = element.get("url", "")
    if url and (not url.startswith(("https://", "http://")) or len(url) > MOST_URL):
        yield f"no address: {url[:40]}"


def menus(element: dict[str, Any]) -> Iterator[str]:
    yield from texts(element["placeholder"], MOST_HEADER)
    if not 0 < len(element["options"]) <= MOST_OPTIONS:
        yield f"{len(element['options'])} options"
    for option in element["options"]:
        yield from texts(option["text"], MOST_LABEL)
        if not 0 < len(option["value"]) <= MOST_OPTION_VALUE:
            yield "a value of an option that is too long, or empty"


def texts(text: dict[str, Any], most: int) -> Iterator[str]:
    if not 0 < len(text["text"]) <= most:
        yield f"{len(text['text'])} characters of {most}"
    if text["type"] == "mrkdwn":
        yield from markup(text["text"])
        if text.get("verbatim") is not True:
            yield "Slack would look for names and channels in it"


def markup(text: str) -> Iterator[str]:
    """Say what Slack would read as more than words: mentions, and links that are none."""
    bare = LINK.sub("", text)
    if "<" in bare or ">" in bare:
        yield f"mark-up that is no link: {bare[max(bare.find('<'), 0) :][:60]!r}"
    if "&" in ESCAPE.sub("", text):
        yield f"a sign that is not escaped: {text[:60]!r}"
    if re.search(r"@(channel|here|everyone)", text):
        yield "everybody is called"


KINDS = {"section": sections, "header": headers, "context": contexts, "actions": actions}
ELEMENTS = {"button": buttons, "static_select": menus}


def words(message: dict[str, Any]) -> str:
    """Return all that a message says, to be looked through."""
    parts = [message.get("text", "")]
    for block in message.get("blocks", []):
        parts += [block["text"]["text"]] if "text" in block else []
        parts += [each["text"]["text"] if isinstance(each["text"], dict) else each["text"]
                  for each in block.get("elements", []) if "text" in each]  # fmt: skip
    return "\n".join(parts)
