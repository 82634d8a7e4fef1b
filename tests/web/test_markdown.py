"""Markdown of people is shown, and nothing that it could do."""

import pytest

from bot.web.markdown import rendered


def test_markdown_becomes_html_below_the_headings_of_the_page() -> None:
    said = rendered("# What\n\n- **a**\n\n| a |\n|--|\n| 1 |\n")
    assert "<h3>What</h3>" in said
    assert "<strong>a</strong>" in said
    assert "<td>1</td>" in said


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](https://example.org/pixel.png)",
        '<a href="https://x" style="position:fixed">x</a>',
        "<details open ontoggle=alert(1)>",
    ],
)
def test_nothing_active_is_left(hostile: str) -> None:
    said = rendered(f"before\n\n{hostile}\n\nafter")
    for active in ("<script", "<img", "<details", "<a style", 'href="javascript', 'href="data'):
        assert active not in said
    assert "before" in said
    assert "after" in said


def test_links_lead_to_the_web_and_tell_nothing_of_us() -> None:
    said = rendered("<https://example.org/a>")
    assert 'href="https://example.org/a"' in said
    assert "noreferrer" in said
