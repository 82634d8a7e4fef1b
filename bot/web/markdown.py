"""Markdown that people wrote, as HTML that is safe to show (https://spec.commonmark.org/)."""

from functools import cache
from typing import TYPE_CHECKING

import nh3
from markupsafe import Markup

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "a"),
    *("ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
HEADINGS = 3


@cache
def parser() -> "MarkdownIt":
    """Return the parser; imported when first needed."""
    from markdown_it import MarkdownIt

    options = {"html": False, "maxNesting": 40}
    made = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    return made.disable("image")


def rendered(markdown: str) -> Markup:
    """Return Markdown as HTML: no HTML of the writer's own, no images, links only to the web.

    Headings begin at the third level, below those of the page.
    """
    tokens = parser().parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + HEADINGS - 1)}"
    html = parser().renderer.render(tokens, parser().options, {})
    attributes = {"a": {"href"}, "th": set[str](), "td": set[str]()}
    cleaned = nh3.clean(
        html, tags=TAGS, attributes=attributes, url_schemes={"http", "https", "mailto"}
    )
    return Markup(cleaned)  # noqa: S704 - nh3 cleaned it
