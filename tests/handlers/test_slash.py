"""What `/veelocity …` asks for."""

import pytest

from handlers import slash
from handlers.slash import Commands, Opening
from models.errors import Refused

commands: Commands[object] = Commands()  # type: ignore[type-var]


@commands.on("help", role=None)
def told() -> None:
    """Say what there is."""


@commands.on("incidents")
def listed() -> None:
    """List incidents,
    those that are open first.

    More is not said.
    """


@commands.on("incident open TITLE… [sev1] [in REPO]", role="manager")
def opened() -> None:
    """Open an incident."""


@commands.on("subscribe digest weekly|daily|off", role="manager")
def subscribed() -> None:
    """Subscribe."""


def test_a_command_is_named_by_the_words_that_stand_for_themselves() -> None:
    assert [each.name for each in commands.all] == [
        ("help",),
        ("incidents",),
        ("incident", "open"),
        ("subscribe", "digest"),
    ]


def test_help_is_the_first_paragraph_of_a_docstring_in_one_line() -> None:
    assert commands.all[1].help == "List incidents, those that are open first."


def test_words_behind_the_name_are_the_commands() -> None:
    asked = commands.read("Incident OPEN Checkout is down")
    assert asked.command is not None
    assert asked.command.does is opened
    assert asked.words == ("Checkout", "is", "down")
    assert not asked.share


@pytest.mark.parametrize("share", ["--share", "\N{EM DASH}share", "--SHARE"])
def test_an_answer_is_shared_where_that_is_said_as_slack_writes_it(share: str) -> None:
    asked = commands.read(f"{share} incidents now")
    assert asked.share
    assert asked.words == ("now",)


@pytest.mark.parametrize("said", ["", "   ", "--share"])
def test_nothing_asks_for_help(said: str) -> None:
    assert commands.read(said).command is commands.all[0]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("frobnicate now", "`/veelocity frobnicate` is no command."),
        ("incident explode INC-1", "`/veelocity incident explode` is no command."),
        ("incident", "`/veelocity incident` is no command."),
        ("<!channel> hi", "`/veelocity channel` is no command."),
        ("`*&lt;@U1&gt;", "`/veelocity U1` is no command."),
    ],
)
def test_what_is_unknown_is_named_harmlessly(said: str, problem: str) -> None:
    asked = commands.read(said)
    assert asked.command is None
    assert asked.problem == problem


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("ask <@U024BE7LH|bob> in <#C1|general>", "ask @bob in #general"),
        ("see <https://example.org/a|example.org/a>", "see example.org/a"),
        ("see <https://example.org/a>", "see https://example.org/a"),
    ],
)
def test_slacks_escapes_are_read_as_they_were_typed(said: str, plain: str) -> None:
    assert slash.plain(said) == plain


def test_one_word_may_follow_and_no_more() -> None:
    assert slash.one([], "queue [repo]") is None
    assert slash.one(["api"], "queue [repo]") == "api"
    with pytest.raises(Refused, match=r"queue .repo.`: web is more than it takes"):
        slash.one(["api", "web"], "queue [repo]")


@pytest.mark.parametrize(
    ("words", "left", "days"),
    [((), [], 30), (("7d",), [], 7), (("acme/api", "90D"), ["acme/api"], 90)],
)
def test_a_period_may_stand_anywhere(words: tuple[str, ...], left: list[str], days: int) -> None:
    assert slash.period(words) == (left, days)


@pytest.mark.parametrize(
    ("said", "issue"),
    [
        ("acme/api#42", ("acme/api", 42)),
        ("api#7", ("api", 7)),
        ("https://github.com/acme/api/issues/9", ("acme/api", 9)),
    ],
)
def test_issues_are_named_as_on_github(said: str, issue: tuple[str, int]) -> None:
    assert slash.issue(said) == issue


@pytest.mark.parametrize("said", ["api", "#4", "acme/api#0", "a/b/c#4", "acme/api#99999999999"])
def test_what_is_no_issue_is_refused_by_name(said: str) -> None:
    with pytest.raises(Refused, match="is none"):
        slash.issue(said)


@pytest.mark.parametrize(
    ("said", "severity"), [("sev1", "sev1"), ("SEV-3", "sev3"), ("p0", "sev1"), ("P3", "sev4")]
)
def test_severities_have_two_spellings(said: str, severity: str) -> None:
    assert slash.severity(said) == severity


def test_keys_are_read_with_and_without_their_beginning() -> None:
    assert slash.key("inc-7f3k2qx") == slash.key("7F3K2QX") == "INC-7F3K2QX"
    for said in ("INC-1", "7F3K2QX'; drop table", "sev1"):
        with pytest.raises(Refused):
            slash.key(said)
    with pytest.raises(Refused):
        slash.severity("sev9")


@pytest.mark.parametrize(
    ("said", "opening"),
    [
        ("Checkout is down", Opening("Checkout is down")),
        ("Checkout is down sev1", Opening("Checkout is down", "sev1")),
        ("Checkout is down in acme/api p1", Opening("Checkout is down", "sev2", "acme/api")),
        ("Checkout is down sev3 in api", Opening("Checkout is down", "sev3", "api")),
        ("in api", Opening("in api")),
        ("Logged in users", Opening("Logged", place="users")),
    ],
)
def test_an_incident_is_opened_in_plain_words(said: str, opening: Opening) -> None:
    assert slash.opening(said.split()) == opening


def test_the_whole_title_keeps_what_was_no_place() -> None:
    assert slash.opening(["Broken", "in", "Safari"]).whole == "Broken in Safari"


@pytest.mark.parametrize("words", [[], ["sev1"], ["x" * 300]])
def test_an_incident_needs_a_title_of_some_length(words: list[str]) -> None:
    with pytest.raises(Refused):
        slash.opening(words)
