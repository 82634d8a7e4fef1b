"""What a comment asks for, and what it cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.commands import VERBS, Command, Mention, asked


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("/claude develop", Command("develop")),
        ("/CLAUDE Develop", Command("develop")),
        ("   /claude   plan  ", Command("plan")),
        ("/claude", Command("help")),
        ("/claude help", Command("help")),
        ("/claude approve", Command("approve")),
        ("/claude stop now please", Command("stop")),
        ("Thanks!\r\n/claude retry\r\n", Command("retry")),
        ("/claude develop twice:\n\n- a\n- b", Command("develop", words="twice:\n\n- a\n- b")),
        ("/claude plan so:\n```\nx = 1\n```", Command("plan", words="so:\n```\nx = 1\n```")),
        ("/claude stop\n/claude develop", Command("stop")),
        ("/claude model `claude-opus-5-5`", Command("model", "claude-opus-5-5")),
        ("/claude model openai/gpt-6", Command("model", "openai/gpt-6")),
        ("/claude budget 2.5", Command("budget", "2.50")),
        ("/claude budget $12", Command("budget", "12.00")),
        ("/claude budget 7 USD", Command("budget", "7.00")),
        ("/claude allow .github/labeler.yml", Command("allow", ".github/labeler.yml")),
        ("/claude allow ./CODEOWNERS", Command("allow", "CODEOWNERS")),
        ("/claude allow docs/", Command("allow", "docs/")),
        ("/claude allow app/[id]/page.tsx", Command("allow", "app/[id]/page.tsx")),
        ("/claude priority P0", Command("priority", "critical")),
        ("/claude priority HIGH", Command("priority", "high")),
        ("```\ncode\n```\n/claude develop", Command("develop")),
        ("<!-- template -->\n/claude develop", Command("develop")),
    ],
)  # fmt: skip
def test_a_command_is_read(body: str, command: Command) -> None:
    assert asked(body) == command


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Please use /claude develop for that",
        "> /claude develop",
        ">/claude develop\n\nNo.",
        "   > /claude develop",
        "```\n/claude develop\n```",
        "```sh\n/claude develop",
        "~~~\n```\n/claude develop\n~~~",
        "````\n```\n/claude develop\n````",
        "    /claude develop",
        "\t/claude develop",
        "<!-- /claude develop -->",
        "<!--\n/claude develop\n-->",
        "<!--\n/claude develop",
        "/claudette develop",
        "/ claude develop",
        "`/claude develop`",
        "write to a@veelocity.example",
        "@acme/backend please look",
        "thank you @veelocity",
    ],
)
def test_what_asks_nothing_is_left_alone(body: str) -> None:
    assert asked(body) is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("/claude dance", "`/claude dance` is no command."),
        ("/claude <img/src=x>", "`/claude imgsrcx` is no command."),
        ("/claude @everyone", "`/claude everyone` is no command."),
        ("/claude budget", "`/claude budget` needs a value."),
        ("/claude key sk-123", "`/claude key` is no command."),
        ("/claude url https://evil.example", "`/claude url` is no command."),
        *(
            (f"/claude budget {value}", "The budget must be a number")
            for value in ("free", "0", "-1", "NaN", "Infinity", "1e99", "10001", "0.001", "1,5")
        ),
        *(
            (f"/claude allow {value}", "The path must be one of this repository")
            for value in (
                "../other", "a/../../b", "/etc/passwd", "~/.ssh/id", "C:\\Windows", "a\\b",
                "https://evil.example/x", "file:///etc", "**", ".github/*", "a?b", ".git/config",
                "sub/.GIT/hooks", "a//b", "a/./b", "..", ".", "a\x00b", "a\u202eb", "x" * 301,
            )
        ),
        *(
            (f"/claude priority {value}", "The priority must be")
            for value in ("urgent", "P4", "P", "0")
        ),
        *(
            (f"/claude model {value}", "The model must be a name")
            for value in ("https://evil.example/v1", "a b", "$(id)", "x;y", "m" * 101)
        ),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_answered_with_help(body: str, problem: str) -> None:
    found = asked(body)
    assert isinstance(found, Command)
    assert (found.verb, found.value) == ("help", "")
    assert found.problem.startswith(problem)


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("@veelocity please fix this", Command("develop", words="please fix this")),
        ("@Veelocity, fix it\nsoon", Command("develop", words="fix it\nsoon")),
        ("@veelocity[bot] fix it", Command("develop", words="fix it")),
        ("@veelocity", Command("develop")),
        ("@veelocity: plan the move", Command("plan", words="the move")),
        ("@veelocity develop", Command("develop")),
        ("@veelocity stop!", Command("stop")),
        ("@veelocity stop the flicker", Command("develop", words="stop the flicker")),
        ("@veelocity help me", Command("develop", words="help me")),
        ("@veelocity help", Command("help")),
        ("@veelocity priority low", Command("priority", "low")),
        ("@veelocity model the domain", Command("develop", words="model the domain")),
    ],
)
def test_the_app_is_spoken_to_by_name(body: str, command: Command) -> None:
    assert asked(body) == Mention("veelocity", command)


def test_every_command_is_understood() -> None:
    values = {"model": "x", "budget": "1", "allow": "x", "priority": "low"}
    for verb in VERBS:
        found = asked(f"/claude {verb} {values.get(verb, '')}")
        assert isinstance(found, Command)
        assert found.verb == verb
        assert not found.problem


@given(st.text(max_size=300))
def test_no_path_leads_out_whatever_it_is_called(value: str) -> None:
    found = asked(f"/claude allow {value}")
    assert isinstance(found, Command)
    if found.verb == "allow":
        parts = found.value.split("/")
        assert not found.value.startswith(("/", "~"))
        assert not {"..", ".", ".git"} & {part.lower() for part in parts}
        assert "\\" not in found.value
        assert "://" not in found.value


@given(st.text(alphabet="`~> \n\t/@<!->claudeop", max_size=200))
def test_any_text_can_be_asked_about(body: str) -> None:
    found = asked(body)
    quoted = "\n".join(f"> {line}" for line in body.split("\n"))
    assert asked(quoted) is None
    assert found is None or isinstance(found, Command | Mention)
