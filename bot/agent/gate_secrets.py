"""Secrets in added lines, by the detectors of https://github.com/Yelp/detect-secrets.

Its detectors are asked directly: no settings of its own, no comments that switch it off, and
nothing is verified over the network. What has the form of a known kind of credential is a
secret; a random-looking text is one only as the value of something named like a secret: lock
files and tests are full of hashes.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from bot.agent.changes import Fault
from bot.agent.gate_lines import Lines

FORMS = (
    "artifactory.ArtifactoryDetector",
    "aws.AWSKeyDetector",
    "azure_storage_key.AzureStorageKeyDetector",
    "basic_auth.BasicAuthDetector",
    "cloudant.CloudantDetector",
    "discord.DiscordBotTokenDetector",
    "github_token.GitHubTokenDetector",
    "gitlab_token.GitLabTokenDetector",
    "ibm_cloud_iam.IbmCloudIamDetector",
    "ibm_cos_hmac.IbmCosHmacDetector",
    "jwt.JwtTokenDetector",
    "mailchimp.MailchimpDetector",
    "npm.NpmDetector",
    "openai.OpenAIDetector",
    "private_key.PrivateKeyDetector",
    "pypi_token.PypiTokenDetector",
    "sendgrid.SendGridDetector",
    "slack.SlackDetector",
    "softlayer.SoftlayerDetector",
    "square_oauth.SquareOAuthDetector",
    "stripe.StripeDetector",
    "telegram_token.TelegramBotTokenDetector",
    "twilio.TwilioKeyDetector",
)
OURS = (
    ("Anthropic API Key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    ("GitHub Token", r"\bgithub_pat_[A-Za-z0-9_]{40,}"),
    ("OpenAI Token", r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{32,}"),
    ("Google API Key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("Slack Token", r"\bxapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{32,}"),
    ("Linear API Key", r"\blin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
    ("Hugging Face Token", r"\bhf_[A-Za-z]{34}\b"),
)
PLACEHOLDER = re.compile(
    r"example|placeholder|change_?me|your|dummy|fake|sample|redacted|xxxx|0000|1234567|abcdefg"
    r"|\*{3}|\.{3}|…|<|>|\$[({A-Za-z_]|\{\{|%\(|process\.env|os\.environ|secrets\.",
    re.IGNORECASE,
)
PLAIN_PASSWORD = re.compile(
    r"^(?:user(?:name)?|pass(?:word|wd)?|pwd|secret|token|test(?:ing)?|admin|root|postgres|guest"
    r"|foo|bar|hunter2|key|x+|\W*)\d{0,3}$",
    re.IGNORECASE,
)
LOCAL = re.compile(r"@(?:localhost|127\.0\.0\.1|\[::1\]|[\w-]+(?::|/|$|['\"\s]))")
LOCK_FILE = re.compile(r"[.-]lock(?:\.\w+)?$|lockfile$|\.sum$|shrinkwrap\.json$", re.IGNORECASE)
RANDOM = re.compile(r"[A-Za-z0-9+/=_.~!@#$%^&*-]{16,}")
KEY_BODY = re.compile(r"(?:PRIVATE KEY[^\n]*|^\W*)[A-Za-z0-9+/=]{40,}\W*(?:n?\W*|-+END.*)$")
LEAST_ENTROPY = 3.5
LEAST_HEX = 32
WINDOW = 4096
OVERLAP = 512
MOST_SECONDS = 60.0
FOUND = "looks like it holds a secret: {what}"
ON_LINE = " (line {number})"
TOO_SLOW = "could not be searched for secrets in reasonable time"

Texts = list[tuple[int, str]]


@dataclass(frozen=True)
class Detector:
    """One kind of secret: its name, patterns, and what tells whether a match really is one."""

    what: str
    patterns: tuple[re.Pattern[str], ...]
    is_real: Callable[[str], bool]


@cache
def detectors() -> tuple[Detector, ...]:
    """Return the detectors of known forms; detect-secrets is loaded by the first call."""
    found = [Detector(what, (re.compile(pattern),), is_token) for what, pattern in OURS]
    for name in FORMS:
        plugin = plugin_of(name)
        told: Callable[[str], bool] = is_token
        if name.startswith("basic_auth"):
            told = is_password
        elif name.startswith("jwt"):
            told = plugin.is_formally_valid
        found.append(Detector(plugin.secret_type, tuple(plugin.denylist), told))
    return tuple(found)


def plugin_of(name: str) -> Any:
    """Return a detector of detect-secrets by its module and class."""
    module, _, kind = name.partition(".")
    return getattr(import_module(f"detect_secrets.plugins.{module}"), kind)()


@cache
def keyword() -> tuple[Any, re.Pattern[str]]:
    """Return the detector of values by the names they have, and a quick look for such names."""
    plugin = plugin_of("keyword.KeywordDetector")
    module = import_module("detect_secrets.plugins.keyword")
    return plugin, re.compile("|".join(module.DENYLIST), re.IGNORECASE)


@cache
def entropies() -> tuple[Any, Any]:
    """Return the measures of randomness for base64 and for hexadecimal texts."""
    return (
        plugin_of("high_entropy_strings.Base64HighEntropyString"),
        plugin_of("high_entropy_strings.HexHighEntropyString"),
    )


def secret_faults(found: Iterable[Lines]) -> list[Fault]:
    """Return the files whose added lines hold a secret, the kind and the line; never the secret.

    Takes time: call it in a thread. After a minute the rest is refused.
    """
    until = time.monotonic() + MOST_SECONDS
    faults: dict[Fault, None] = {}
    for lines in found:
        path = lines.change.path
        for what, number in secrets_in(path, list(windows(lines.added)), until):
            where = ON_LINE.format(number=number) if number else ""
            faults[Fault(path, FOUND.format(what=what) + where)] = None
        if time.monotonic() > until:
            faults[Fault(path, TOO_SLOW)] = None
            break
    return list(faults)


def windows(added: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield lines, long ones in overlapping parts: patterns are slow on endless lines."""
    for number, text in added:
        for start in range(0, max(1, len(text) - OVERLAP), WINDOW - OVERLAP):
            yield number, text[start : start + WINDOW]


def secrets_in(path: str, texts: Texts, until: float) -> Iterator[tuple[str, int]]:
    """Yield the kind and the line of each secret in a file."""
    seen: set[int] = set()
    for start in range(0, len(texts), 200):
        if time.monotonic() > until:
            return
        part = texts[start : start + 204]  # a key's first lines belong together
        for what, number in (*formed(part), *valued(path, part)):
            if number not in seen or not number:
                seen.add(number)
                yield what, number


def formed(texts: Texts) -> Iterator[tuple[str, int]]:
    """Yield what has the form of a known credential."""
    whole = "\n".join(text for _, text in texts)
    for detector in detectors():
        for pattern in detector.patterns:
            if not pattern.search(whole):
                continue
            for at, (number, text) in enumerate(texts):
                matches = [each for each in pattern.finditer(text) if real(detector, each)]
                if matches and (detector.what != "Private Key" or has_key(texts[at : at + 4])):
                    yield detector.what, number


def real(detector: Detector, match: re.Match[str]) -> bool:
    """Tell whether a match is no placeholder."""
    if detector.is_real is is_password:
        around = match.string[match.end() - 1 : match.end() + 80]
        return is_password(match[1]) and not LOCAL.match(around)
    parts = [part for part in match.groups() if part and len(part) >= 16]
    return detector.is_real(parts[0] if parts else match[0])


def is_token(text: str) -> bool:
    """Tell whether a text is no placeholder for a token."""
    return not PLACEHOLDER.search(text) and len(set(text)) > 6


def is_password(text: str) -> bool:
    """Tell whether the password in an address is more than the usual stand-in for one."""
    return not PLACEHOLDER.search(text) and not PLAIN_PASSWORD.match(text)


def has_key(texts: Texts) -> bool:
    """Tell whether the body of a key follows: programs that read keys name the header alone."""
    return any(KEY_BODY.search(text.replace("\\n", "")) for _, text in texts)


def valued(path: str, texts: Texts) -> Iterator[tuple[str, int]]:
    """Yield random-looking values of what is named like a secret."""
    if LOCK_FILE.search(path):
        return
    plugin, named = keyword()
    for number, text in texts:
        if named.search(text):
            told = plugin.analyze_line(filename=path, line=text)
            if any(is_random(each.secret_value or "") for each in told):
                yield plugin.secret_type, number


def is_random(text: str) -> bool:
    """Tell whether a text looks like it was made by a generator of secrets."""
    value = text.strip("'\"`;, ")
    if not RANDOM.fullmatch(value) or PLACEHOLDER.search(value):
        return False
    base64, hexadecimal = entropies()
    if re.fullmatch(r"[0-9a-fA-F]+", value):
        return len(value) >= LEAST_HEX and hexadecimal.calculate_shannon_entropy(value) > 3
    digits = sum(each.isdigit() for each in value)
    letters = sum(each.isalpha() for each in value)
    mixed = digits >= 2 and letters >= 4 and value not in (value.lower(), value.upper())
    return mixed and base64.calculate_shannon_entropy(value) > LEAST_ENTROPY
