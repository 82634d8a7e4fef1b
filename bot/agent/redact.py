"""Secrets taken out of everything that leaves, in whatever form they were written.

No secret is ever in the sandbox; this is the last line should one get there (attack 14 of
AGENT.md). Letters and digits are compared alone and without case, so that separators, line breaks,
invisible characters, markup and the variants of an alphabet change nothing.
"""

import base64
import contextlib
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from bot.agent.harmless import harmless, harmless_line
from bot.settings import Settings

__all__ = ["Redactor", "harmless", "harmless_line", "secrets_of"]

GONE = "[redacted]"
LEAST = 8
"""A shorter secret would take ordinary words out of every text."""

LEAST_SPREAD = 12
"""How many letters and digits a form has at least to be found in spite of separators."""

SHAPES = re.compile(
    r"gh[a-z]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|sk-(?:ant|proj)-[\w-]{20,}|AIza[\w-]{30,}"
    r"|xox[a-z]-[\w-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|eyJ[\w-]{10,500}\.eyJ[\w-]{10,}\.[\w-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)",
    re.DOTALL,
)
NOT_SPREAD = re.compile(r"[^A-Za-z0-9]+")
ESCAPED = re.compile(
    r"%([0-9A-Fa-f]{2})|\\x([0-9A-Fa-f]{2})|\\u00([0-9A-Fa-f]{2})|&\#x([0-9A-Fa-f]{2});"
    r"|&\#0*(\d{2,3});|\\([0-3][0-7]{2})"
)


class Redactor:
    """Takes secrets out of texts; made once a run, since it works out every form of each."""

    def __init__(self, secrets: Iterable[str]) -> None:
        kept = sorted({each.strip() for each in secrets if is_secret(each.strip())})
        self.plain = tuple(sorted(kept, key=len, reverse=True))
        spread = {squeezed(form) for secret in kept for form in forms(secret)}
        self.spread = tuple(sorted(form for form in spread if len(form) >= LEAST_SPREAD))

    def __repr__(self) -> str:
        return f"Redactor({len(self.plain)} secrets)"

    def redact(self, text: str) -> str:
        """Return a text without secrets; each is replaced by `[redacted]`."""
        for secret in self.plain:
            text = text.replace(secret, GONE)
        text = SHAPES.sub(GONE, text)
        for unfolded in (False, True):
            text = self.without_spread(text, unfolded=unfolded)
        return text

    def without_spread(self, text: str, *, unfolded: bool) -> str:
        """Take out forms that stand between separators; `unfolded`: and behind escapes."""
        if unfolded and not ESCAPED.search(text):
            return text
        flat = squeezed(unescaped(text) if unfolded else text)
        found = [form for form in self.spread if form in flat]
        if not found:
            return text
        letters = list(places(text, unfolded=unfolded))
        return cut(text, spans("".join(letter for letter, _, _ in letters), found, letters))


def is_secret(value: str) -> bool:
    """Tell whether a value is long enough, and not a plain word, which texts have to contain."""
    return len(value) >= LEAST and not (value.isalpha() and value.islower() and len(value) < 12)


def squeezed(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    return NOT_SPREAD.sub("", text).lower()


def unescaped(text: str) -> str:
    """Return a text with the escapes of addresses, programs and HTML read."""
    return ESCAPED.sub(character, text)


def character(found: re.Match[str]) -> str:
    """Return the character that an escape stands for."""
    *hexadecimal, decimal, octal = found.groups()
    if octal:
        return chr(int(octal, 8))
    if decimal:
        return chr(int(decimal))
    return chr(int(next(filter(None, hexadecimal)), 16))


def forms(secret: str) -> Iterator[str]:
    """Yield how a secret may be written: both ways round, and each of these encoded."""
    for way in (secret, secret[::-1]):
        encoded = way.encode()
        plain = [way, encoded.hex(), *in_base64(encoded), *in_base32(encoded)]
        plain += [base64.b85encode(encoded).decode(), rotated(way)]
        for form in plain:
            yield form
            yield form[::-1]


def in_base64(secret: bytes) -> Iterator[str]:
    """Yield what is sure to stand in any base64 of a text that contains a secret."""
    for before, skipped in ((0, 0), (1, 2), (2, 3)):
        whole = base64.b64encode(b"\0" * before + secret).decode().rstrip("=")
        unsure = 0 if (before + len(secret)) % 3 == 0 else 1
        yield whole[skipped : len(whole) - unsure]


def in_base32(secret: bytes) -> Iterator[str]:
    """Yield what is sure to stand in any base32 of a text that contains a secret."""
    for before, skipped in ((0, 0), (1, 2), (2, 4), (3, 5), (4, 7)):
        whole = base64.b32encode(b"\0" * before + secret).decode().rstrip("=")
        unsure = 0 if (before + len(secret)) % 5 == 0 else 1
        yield whole[skipped : len(whole) - unsure]


def rotated(text: str) -> str:
    """Return a text with its letters moved by half the alphabet."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    moved = alphabet[13:] + alphabet[:13]
    return text.translate(str.maketrans(alphabet + alphabet.upper(), moved + moved.upper()))


def places(text: str, *, unfolded: bool) -> Iterator[tuple[str, int, int]]:
    """Yield each letter and digit of a text in lower case, and where it begins and ends."""
    pattern = rf"{ESCAPED.pattern}|[A-Za-z0-9]" if unfolded else r"[A-Za-z0-9]"
    for found in re.finditer(pattern, text):
        letter = squeezed(unescaped(found[0])) if unfolded else found[0].lower()
        if letter:
            yield letter, found.start(), found.end()


def spans(
    flat: str, forms: Iterable[str], letters: list[tuple[str, int, int]]
) -> Iterator[tuple[int, int]]:
    """Yield where in a text forms stand, by the places of its letters."""
    for form in forms:
        since = flat.find(form)
        while since >= 0:
            end = since + len(form)
            yield letters[since][1], letters[end - 1][2]
            since = flat.find(form, end)


def cut(text: str, found: Iterable[tuple[int, int]]) -> str:
    """Return a text with these stretches of it redacted."""
    made, at = "", 0
    for start, end in sorted(found):
        if start >= at:
            made += text[at:start] + GONE
        at = max(at, end)
    return made + text[at:]


def secrets_of(settings: Settings, *more: str | SecretStr | None) -> tuple[str, ...]:
    """Return every secret there is in the settings, with those given, and their parts.

    `more`: tokens of installations, secrets out of the vault.
    """
    told = [getattr(settings, name) for name in Settings.model_fields]
    values = [*(each for each in told if isinstance(each, SecretStr)), *more]
    plain = [each.get_secret_value() if isinstance(each, SecretStr) else each for each in values]
    known = [each for each in (*plain, settings.private_key_pem, *settings.secret_keys) if each]
    return tuple(dict.fromkeys(part for secret in known for part in parts(secret)))


def parts(secret: str) -> Iterator[str]:
    """Yield a secret, the lines of a key that has several, and the password of an address."""
    yield secret
    if "\n" in secret or "\\n" in secret:
        lines = secret.replace("\\n", "\n").split("\n")
        yield from (line for line in lines if line and not line.startswith("-----"))
    with contextlib.suppress(ValueError):
        password = urlsplit(secret).password if "://" in secret else None
        yield from (password, unquote(password)) if password else ()
