"""Read what a text refers to: pull requests, issues, commits, deployments, Linear's issues. Pure.

A reference is a text itself, so that rows can hold lists of them:
`number:acme/api#12` (or `number:#12` where no repository is named), `sha:4f2a91c` (7 to 40 hex
digits), `identifier:ENG-123`, `deployment:501` (GitHub's id), `repository:acme/api`.
"""

import re
from collections.abc import Iterator

MOST = 100

OWNER = r"[a-z0-9](?:[a-z0-9-]{0,38})"
NAME = r"[a-z0-9._-]{1,100}"
WEB = re.compile(
    rf"https?://[^\s/<>|]+/({OWNER})/({NAME})"
    r"(?:/(pull|issues|commit|deployments)(?:/(?:activity_log/)?([0-9a-f]+))?)?(?![a-z0-9._-])",
    re.IGNORECASE,
)
NUMBERED = re.compile(
    rf"(?<![\w/#.-])(?:({OWNER}/{NAME}))?#([1-9][0-9]{{0,9}})(?!\w)", re.IGNORECASE
)
SHA = re.compile(r"(?<![\w/.-])(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}(?![\w.-])")
IDENTIFIER = re.compile(r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9]{1,6})-([1-9][0-9]{0,6})(?![\w-])")
BRANCHED = re.compile(r"(?:^|/)([a-z][a-z0-9]{1,6})-([1-9][0-9]{0,6})(?=$|[-_/])", re.IGNORECASE)
FULL_NAME = re.compile(rf"(?<![\w/@.:-])({OWNER})/({NAME})(?![\w/#-])", re.IGNORECASE)
ITEM = r"(?:https?://[^\s,]+|[\w./-]{0,140}#[0-9]+|[A-Za-z][A-Za-z0-9]{1,6}-[0-9]+)"
CLOSING = re.compile(
    r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?|implement(?:s|ed)?)\b:?\s+"
    rf"({ITEM}(?:\s*,\s*{ITEM})*)",
    re.IGNORECASE,
)
NOT_IDENTIFIERS = frozenset(
    {
        *("UTF", "SHA", "ISO", "RFC", "HTTP", "CVE", "SEV", "INC", "PR"),
        *("RELEASE", "REVERT", "HOTFIX", "FIX"),
    }
)


def references(text: str, *, repository: str | None = None) -> list[str]:
    """Return what a text refers to, in order, each once, at most 100.

    `repository`: the `owner/name` that numbers without one belong to.
    """
    words = WEB.sub(" ", text)
    found = dict.fromkeys(
        (
            *addresses(text),
            *numbers(words, repository),
            *shas(words),
            *identifiers(text),
            *repositories(words),
        )
    )
    return list(found)[:MOST]


def closing(text: str, *, repository: str | None = None) -> list[str]:
    """Return the issues that a text says it closes (`Fixes #12`, `Closes ENG-3`)."""
    told = " ".join(found[1] for found in CLOSING.finditer(text))
    kinds = ("number:", "identifier:")
    return [each for each in references(told, repository=repository) if each.startswith(kinds)]


def branch_identifiers(branch: str) -> list[str]:
    """Return the issues of Linear that a branch names (`feature/ENG-123`, `eng-123-login`)."""
    found = (f"identifier:{key.upper()}-{number}" for key, number in BRANCHED.findall(branch))
    return list(dict.fromkeys(each for each in found if is_identifier(each)))


def addresses(text: str) -> Iterator[str]:
    """Yield what addresses on GitHub lead to."""
    for owner, name, kind, which in WEB.findall(text):
        full_name = f"{owner}/{name}".lower()
        if kind.lower() in ("pull", "issues") and which.isdigit():
            yield f"number:{full_name}#{which}"
        elif kind.lower() == "commit" and 7 <= len(which) <= 40:
            yield f"sha:{which.lower()}"
        elif kind.lower() == "deployments" and which.isdigit():
            yield f"deployment:{which}"
        if kind:
            yield f"repository:{full_name}"


def numbers(words: str, repository: str | None) -> Iterator[str]:
    """Yield numbered issues and pull requests of a text without addresses."""
    for full_name, number in NUMBERED.findall(words):
        yield f"number:{(full_name or repository or '').lower()}#{number}"


def shas(words: str) -> Iterator[str]:
    """Yield commits, by at least seven hex digits of which one is a letter and one is not."""
    for found in SHA.findall(words.lower()):
        yield f"sha:{found}"


def identifiers(text: str) -> Iterator[str]:
    """Yield identifiers of Linear's issues."""
    for key, number in IDENTIFIER.findall(text):
        told = f"identifier:{key.upper()}-{number}"
        if is_identifier(told):
            yield told


def repositories(words: str) -> Iterator[str]:
    """Yield repositories that are named in full."""
    for owner, name in FULL_NAME.findall(words):
        yield f"repository:{owner}/{name.rstrip('.')}".lower()


def is_identifier(told: str) -> bool:
    """Tell a team's key from words that only look like one (UTF-8, SHA-256)."""
    return told.removeprefix("identifier:").rpartition("-")[0] not in NOT_IDENTIFIERS
