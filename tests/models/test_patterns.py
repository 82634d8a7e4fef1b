"""Patterns that admins write: what they match, and that none can run away."""

import time

import pytest

from models.errors import Refused
from models.patterns import LONGEST_LINE, check_together, checked, compiled, found, lines


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        ("outage", "Outage in Frankfurt", "Outage"),
        ("outage", "outages happen", None),
        ("sev 1", "a SEV  1 now", "SEV  1"),
        ("sev 1", "sev 12", None),
        ("sev1", "xsev1", None),
        ("C++ is down", "c++ is down", "c++ is down"),
        (r"/\bsev[ -]?[12]\b/", "this is SEV-2", "SEV-2"),
        ("/a|b?c/", "xc", "c"),
        ("/(?:api|web)?down/", "apidown", "apidown"),
        (r"/[a-z]+ is down/", "the shop is down", "shop is down"),
        (r"/\d{2,3}%/", "99%", "99%"),
        (r"/\//", "a/b", "/"),
    ],
)
def test_words_are_whole_and_expressions_stand_between_slashes(pattern, text, matched):
    first = next(found([checked(pattern)], text), None)
    assert (first[0] if first else None) == matched


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "  ", "!!!", "//", "/ab", "x" * 201),
        *("/(a+)+b/", "/(a|a)*b/", "/(a*){,99}/", "/(a?){9}/", "/a**/", "/a{2}{3}/", "/a*+/"),
        *("/.*.*x/", "/a+b+/", "/a{0,60}b{0,60}/", "/(?:a?b?c?d?e?f?g?h?i?j?k?l?)/"),
        *("/(?=a)b/", "/(?i)a/", "/(?P<n>a)/", r"/(a)\1/", r"/\A/", "/a{101}/", "/a{5000,}/"),
        *("/" + "a?" * 11 + "a{100}b/", "/.*a{100}x/", "/.*" + "a" * 30 + "/"),
        "/" + "(a|)" * 11 + "x/",
        *("/(a/", "/a)/", "/*a/", "/[[a]/", "/[a--b]/", "/[a/", "/a{,3}/", "/[z-a]/"),
    ],
)
def test_what_cannot_be_or_could_run_away_is_refused_in_words(pattern):
    with pytest.raises(Refused) as refused:
        checked(pattern)
    assert len(str(refused.value)) < 300


def test_what_was_never_checked_matches_nothing():
    assert list(found(["/(a+)+b/"], "aab")) == []
    assert compiled("/(a+)+b/").search("") is None


@pytest.mark.parametrize("pattern", ["/a*ab?x/", "/a+x/", "/.*[ab]?x/", "/(?:a|b)?.*x/"])
def test_the_worst_that_is_taken_reads_the_longest_text_in_half_a_second(pattern):
    started = time.process_time()
    for line in lines("\n".join(["a" * 10_000] * 1_000)):
        assert len(line) == LONGEST_LINE
        list(found([checked(pattern)], line))
    assert time.process_time() - started < 0.5


def test_many_that_are_taken_alone_are_refused_together():
    check_together(["outage", *["/incident #[0-9]+ (?:is )?open/"] * 2, *["/sev-?[12]/"] * 100])
    with pytest.raises(Refused):
        check_together(["/.*[ab]?x/"] * 20)
