"""The inbox in words, and bodies that are safe to show."""

import json
import zlib

from bot.web.pages.deliveries import LONGEST_BODY, readable
from bot.web.words import decided


def test_decisions_are_said_in_words() -> None:
    said = decided(
        [
            {"handler": "commits_pushed", "remember": "push_commits", "id": "a"},
            {"handler": "commits_pushed", "remember": "push_commits", "id": "b"},
            {"handler": "commits_pushed", "job": "collect_changes", "key": "github:1"},
            {"note": "nobody registered for 'star'"},
        ]
    )
    assert said == [
        "nobody registered for 'star'",
        "remembers 2 push commits",
        "orders collect changes",
    ]


def test_a_body_is_indented() -> None:
    body = readable(zlib.compress(b'{"a":{"b":1}}'))
    assert body.text == json.dumps({"a": {"b": 1}}, indent=2)
    assert body.whole


def test_a_long_body_is_cut_before_it_is_unpacked() -> None:
    body = readable(zlib.compress(b"x" * (LONGEST_BODY * 50)))
    assert len(body.text) == LONGEST_BODY
    assert not body.whole


def test_a_body_that_is_no_json_is_shown_as_it_came() -> None:
    assert readable(zlib.compress(b"\xff nonsense")).text == "\N{REPLACEMENT CHARACTER} nonsense"
    assert readable(b"not compressed").text == "not compressed"
    assert readable(zlib.compress(b"[" * 100_000)).text.startswith("[[[")
