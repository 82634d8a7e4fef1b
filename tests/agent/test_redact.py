"""Attack 14: nothing that leaves carries a secret, or does anything but be read."""

import base64
import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from pydantic import SecretStr

from bot.agent.harmless import harmless, harmless_line
from bot.agent.markdown import parser
from bot.agent.redact import Redactor, secrets_of
from bot.settings import Settings

SECRET = "It5-8fJ2kLm9/Qz4Xw7+Vb_tail"
RAW = SECRET.encode()
HOME = "https://github.com/acme/api"

FORMS: dict[str, Callable[[], str]] = {
    "plain": lambda: SECRET,
    "upper case": SECRET.upper,
    "reversed": lambda: SECRET[::-1],
    "hex": RAW.hex,
    "upper hex": lambda: RAW.hex().upper(),
    "hex by colons": lambda: RAW.hex(":"),
    "hex as bytes": lambda: "".join(f"\\x{byte:02x}" for byte in RAW),
    "hex in an array": lambda: ", ".join(f"0x{byte:02x}" for byte in RAW).replace("0x", ""),
    "reversed hex": lambda: RAW.hex()[::-1],
    "base64": lambda: base64.b64encode(RAW).decode(),
    "base64 after one byte": lambda: base64.b64encode(b"x" + RAW + b"yz").decode(),
    "base64 after two bytes": lambda: base64.b64encode(b"xy" + RAW + b"z").decode(),
    "base64 for addresses": lambda: base64.urlsafe_b64encode(b"--" + RAW).decode(),
    "base64 in lines": lambda: "\n".join(re.findall(".{1,7}", base64.b64encode(RAW).decode())),
    "base64 reversed": lambda: base64.b64encode(RAW).decode()[::-1],
    "base64 of the reversed": lambda: base64.b64encode(RAW[::-1]).decode(),
    "base32": lambda: base64.b32encode(RAW).decode(),
    "address": lambda: quote(SECRET, safe=""),
    "every character of an address": lambda: "".join(f"%{byte:02X}" for byte in RAW),
    "some characters of an address": lambda: SECRET.replace("8", "%38").replace("Q", "%51"),
    "entities": lambda: "".join(f"&#{byte};" for byte in RAW),
    "entities in hex": lambda: "".join(f"&#x{byte:x};" for byte in RAW),
    "octal": lambda: "".join(f"\\{byte:03o}" for byte in RAW),
    "unicode escapes": lambda: "".join(f"\\u{byte:04x}" for byte in RAW),
    "spaces": lambda: " ".join(SECRET),
    "lines": lambda: "\n".join(SECRET),
    "zero-width": lambda: "\u200b".join(SECRET),
    "markup": lambda: "**".join(SECRET),
    "a list": lambda: json.dumps(list(SECRET)),
    "concatenation": lambda: f'"{SECRET[:9]}" + "{SECRET[9:]}"',
    "rotated": lambda: SECRET.translate(
        str.maketrans(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "nopqrstuvwxyzabcdefghijklmNOPQRSTUVWXYZABCDEFGHIJKLM",
        )
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_taken_out_in_any_form(form: Callable[[], str]) -> None:
    written = form()
    said = Redactor([SECRET]).redact(f"Before, {written} after.")
    assert "[redacted]" in said
    assert said.startswith("Before, ")
    assert said.rstrip("=").endswith("after.")
    left = said.removeprefix("Before, ").removesuffix(" after.").replace("[redacted]", "")
    assert len(re.sub(r"[^A-Za-z0-9]", "", left)) <= 5, left


def test_what_is_no_secret_stays_as_it_is() -> None:
    redactor = Redactor([SECRET, "short", "postgres", ""])
    text = "A short text on postgres:\n\n    x = 1 # 2 %41 \\x41\n" + "ordinary words " * 2000
    assert redactor.redact(text) == text


def test_every_occurrence_is_taken_out() -> None:
    text = f"{SECRET} and {SECRET[::-1]}, {SECRET}{SECRET}"
    assert Redactor([SECRET]).redact(text) == "[redacted] and [redacted], [redacted][redacted]"


@pytest.mark.parametrize(
    "token",
    [
        "ghs_" + "aB3" * 12,
        "github_pat_" + "aB3_" * 10,
        "sk-ant-api03-" + "aB3-" * 10,
        "AKIA" + "A1B2" * 4,
        f"eyJ{'a' * 20}.eyJ{'b' * 20}.{'c' * 20}",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIE",
    ],
)
def test_what_looks_like_a_token_is_taken_out_though_it_is_not_ours(token: str) -> None:
    assert Redactor([]).redact(f"see {token}") == "see [redacted]"


def test_a_redactor_does_not_show_what_it_knows() -> None:
    assert repr(Redactor([SECRET])) == "Redactor(1 secrets)"


def test_all_secrets_of_the_settings_are_known() -> None:
    told = {
        name: SecretStr(f"{name}-value-0123456789")
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation) and name not in ("database_url", "redis_url")
    }
    told["private_key"] = SecretStr("-----BEGIN KEY-----\\nfirst-line-of-key\\nsecond-line-of-key")
    told["secret_key"] = SecretStr("newest-key-of-three,older-key-of-three")
    given = Settings(
        database_url=SecretStr("postgresql://me:pass%2Dword%2D1@db/x"),
        redis_url=SecretStr("redis://:redis-password@cache/0"),
        **told,
    )
    known = secrets_of(given, "an-installation-token", SecretStr("out-of-the-vault"), None)
    wanted = {each.get_secret_value() for each in told.values()} | {
        "first-line-of-key",
        "second-line-of-key",
        "older-key-of-three",
        "pass-word-1",
        "redis-password",
        "an-installation-token",
        "out-of-the-vault",
    }
    assert wanted <= set(known)
    assert {"anthropic_api_key", "github_client_secret", "webhook_secret_previous"} <= set(told)


@settings(max_examples=200, deadline=None)
@given(some.text(max_size=60), some.text(max_size=60), some.sampled_from(sorted(FORMS)))
def test_no_surroundings_hide_a_secret(before: str, after: str, form: str) -> None:
    written = FORMS[form]()
    said = Redactor([SECRET]).redact(f"{before} {written} {after}")
    assert written not in said


@settings(max_examples=200, deadline=None)
@given(some.text(max_size=200))
def test_redacting_changes_nothing_else(text: str) -> None:
    assert Redactor([SECRET]).redact(text) == text


class Seen(HTMLParser):
    """What GitHub would act on in a rendered text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = [""]
        self.code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "title")]
        self.code += tag == "code"
        if tag not in ("em", "strong", "s"):
            self.words.append("")

    def handle_endtag(self, tag: str) -> None:
        self.code -= tag == "code"
        if tag not in ("em", "strong", "s"):
            self.words.append("")

    def handle_comment(self, data: str) -> None:
        self.elements.append("comment")

    def handle_data(self, data: str) -> None:
        if not self.code:
            self.words[-1] += data


PLAIN = {
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em",
    "strong", "s", "hr", "br", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ACTS = re.compile(
    r"(?<![A-Za-z0-9_])@[A-Za-z0-9]|https?://|www\.\w|[\w.-]/[\w.-]+#\d"
    r"|\b(close[sd]?|fix(e[sd])?|resolve[sd]?)\b:?\s+(#(?!12(?!\d))|GH-)\d",
    re.IGNORECASE,
)
COMMANDS = re.compile(r"^\s*/[a-z][a-z-]*(\s|$)", re.MULTILINE | re.IGNORECASE)


def acts(markdown: str) -> list[str]:
    """Say what a text would do on GitHub beside being read."""
    seen = Seen()
    seen.feed(parser().render(markdown))
    found = [f"<{tag}>" for tag in seen.elements if tag not in PLAIN] + seen.links
    for words in seen.words:
        found += [words[hit.start() : hit.end() + 20] for hit in ACTS.finditer(words)]
    return found + [hit[0] for hit in COMMANDS.finditer(markdown)]


HOSTILE = [
    "![x](https://evil.example/?d=1)",
    "![x][1]\n\n[1]: https://evil.example/x.png",
    "[a](https://evil.example 'title')",
    "[a][b]\n\n[b]:\nhttps://evil.example",
    "<https://evil.example>",
    "https://evil.example/a_b_c, www.evil.example.",
    "<img src=https://evil.example/x.png>",
    "<div>\n<img src=https://evil.example/x.png>\n\n@everyone\n</div>",
    "<!-- veelocity:ticket:github:1 -->",
    "`<!-- veelocity:ticket:github:1 -->`",
    "```\n<!-- veelocity:ticket:github:1 -->\n```",
    "<!--\n```\n-->\n@everyone\n```",
    "@everyone @acme/team @alice",
    "\\@everyone &#64;everyone &commat;everyone",
    "@**everyone** **@**everyone",
    "`a` @x`b`@y \\`@z` ``@q`",
    "a ` b\n`@everyone` c",
    "| a |\n|---|\n| `a | @everyone` |",
    "- ```\n  x\n  ```\n\n@everyone",
    "~~~\n@x\n~~~\n@everyone",
    "closes #9, Fixes: #10, resolved\n#11",
    "clo**ses** #9, closes **#9**, closes \\#9, closes &#35;9",
    "closes https://github.com/acme/api/issues/9 and fixes acme/other#1 fixes GH-4",
    "closes [#9](https://github.com/acme/api/issues/9)",
    "/claude stop",
    "> /claude stop\n\n- /merge\n\n  /approve",
    "```\n/claude stop\n```",
    "    /claude stop",
    "x\n/lgtm",
    "```mermaid\nclick A 'https://evil.example'\n```",
    "\u200b/claude stop\n@\u200balice clo\u00adses #9",
    "<a href=https://evil.example>x</a><script>x</script><!-- @everyone -->",
    "[^1]: @everyone\n\n[^1]",
    "&lt;img src=x&gt; &amp;#64;everyone",
    "@<code></code>everyone clos<code> </code>es #9 ww<code></code>w.evil.example",
    "@<code>&#8203;</code>everyone <code>&#8203;</code>`@x`",
    "@&#8203;everyone clo&shy;ses #9 htt&ZeroWidthSpace;ps://evil.example",
    "<pre>\n&#8203;/claude stop\n&lt;!&#8203;-- veelocity:ticket:github:1 --&gt;</pre>",
]


@pytest.mark.parametrize("words", HOSTILE)
def test_a_models_words_can_only_be_read(words: str) -> None:
    said = harmless(words, 12)
    assert not acts(said), said
    assert "<!--" not in said.replace("&lt;", "<")
    assert "mermaid" not in said


@pytest.mark.parametrize("words", [each for each in HOSTILE if "```" not in each])
def test_the_test_above_sees_what_it_forbids(words: str) -> None:
    still = (
        "@**everyone**",
        "@<code>",
        "@&#",
        "&lt;img",
        "| a |",
        "`a` @x",
        "`<!--",
        "clo**ses**",
        "a ` b",
        "[^1]",
        "<pre>",
    )
    if not words.startswith((*still, "    /", "> /", "\u200b", "\\@", "- ", "closes ")):
        assert acts(words)


ALPHABET = r"""` * _ ~ [ ] ( ) < > ! # @ / \ | : - + . = & ; 0 1 12 9 closes #9 #12 @bob www.
    ``` ~~~ https://e.example ![ ]( ]: <b> </b> <!-- --> <! <![ <? <img src= <code> </code>
    <pre> </pre> &#64; &lt; /claude acme/x#1 <table> <td> <div> </div> $ [^1] GH-4"""
SPACES = ("\n", "\n", "\n\n", "\t", " ", "    ", "> ", "- ", "1. ", "| a |\n", "|---|\n", "|---|")
PIECES = some.sampled_from([*ALPHABET.split(), *SPACES])


@settings(max_examples=1500, deadline=None)
@given(some.lists(PIECES, max_size=30).map("".join))
@example("`<code>`@bob")
@example("<pre>`@bob")
@example("a <![`> b")
def test_no_words_at_all_do_more_than_be_read(words: str) -> None:
    said = harmless(words, 12)
    assert not acts(said), (words, said)


def test_what_is_good_in_a_models_words_stays() -> None:
    words = (
        "## What\n\nFixes #12: *now* **safe**, see `a | b` and List<String>.\n\n"
        "1. one\n2. two\n   - [ ] open\n   - [x] done\n\n> quoted\n\n"
        "```python\n@decorator\ndef f(): ...\n```\n\n| a | b |\n|---|---|\n| `x` | y |"
    )
    assert harmless(words, 12) == words.replace("<", "&lt;")


def test_links_to_the_repositorys_own_files_stay() -> None:
    own = f"{HOME}/blob/main/a.py#L3"
    assert harmless(f"[here]({own}) {own}.", 12, home=HOME) == f"here ({own}) {own}."
    for other in (f"{HOME}/issues/9", f"{HOME}.evil/blob/main/a", f"{HOME}/blob/m?x=1"):
        assert f"`{other}`" in harmless(f"see {other}", 12, home=HOME)


def test_words_are_cut_where_they_are_too_long_and_nothing_is_left_open() -> None:
    said = harmless("```\n" + "x & y\n" * 9000, 12, most=2000)
    assert len(said) < 2010
    assert not acts(f"{said}\n\n**after**")
    assert "<strong>after</strong>" in parser().render(f"{said}\n\n**after**")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Mend the parser", "Mend the parser"),
        ("Mend  it\n\nCo-authored-by: x <y>", "Mend it Co-authored-by: x <y>"),
        ("Fixes #9 and closes #12", "Fixes issue 9 and closes #12"),
        ("closes acme/x#1, GH-3", "closes acme/x issue 1, GH-3"),
        ("Mend acme/x#1", "Mend acme/x issue 1"),
        ("Mend [skip ci] [CI-SKIP] ***NO_CI***", "Mend (skip ci) (CI-SKIP) (no ci)"),
        ("See https://evil.example/x", "See evil.example/x"),
        ("/claude stop", "claude stop"),
        ("Ask @acme/team", "Ask ＠acme/team"),
        ("Hid\u200bden\u202e", "Hidden"),
        ("closes www.#9, clowww.ses http://#9", "closes issue 9, closes issue 9"),
        ("See hhttp://ttp://evil.example", "See evil.example"),
    ],
)
def test_a_title_is_one_plain_line(words: str, said: str) -> None:
    assert harmless_line(words, 12) == said


@pytest.mark.parametrize(
    "words",
    ["a" * 20_000, "_a" * 10_000, "a" * 10_000 + "/" + "b" * 9_999, "closes " + "a." * 9_990],
)
def test_long_words_take_no_long_time(words: str) -> None:
    began = time.process_time()
    harmless(words, 12)
    assert time.process_time() - began < 2


def test_what_looks_like_many_tokens_takes_no_long_time() -> None:
    began = time.process_time()
    Redactor([SECRET]).redact("eyJ" * 100_000)
    assert time.process_time() - began < 4
