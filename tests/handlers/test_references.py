"""What a text refers to."""

import pytest

from handlers.references import branch_identifiers, closing, references


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("broken since #12", ["number:acme/api#12"]),
        ("Broken by Acme/Web#7, see ENG-3", ["number:acme/web#7", "identifier:ENG-3"]),
        (
            "https://github.com/acme/api/pull/9 and <https://github.com/acme/api/issues/4|4>",
            ["number:acme/api#9", "repository:acme/api", "number:acme/api#4"],
        ),
        ("rolled back 4f2a91c now", ["sha:4f2a91c"]),
        ("https://github.com/acme/api/commit/4f2a91c0", ["sha:4f2a91c0", "repository:acme/api"]),
        (
            "https://github.com/acme/api/deployments/activity_log/501",
            ["deployment:501", "repository:acme/api"],
        ),
        ("acme/api is down.", ["repository:acme/api"]),
        ("UTF-8, SHA-256, 1234567, deadbeef, colour #ffaa00, SEV-1", []),
    ],
)
def test_a_text_refers_to_what_it_names(words: str, told: list[str]) -> None:
    assert references(words, repository="acme/api") == told


def test_a_number_without_repository_stays_without() -> None:
    assert references("see #12") == ["number:#12"]


def test_what_a_text_closes_is_told_from_what_it_mentions() -> None:
    words = "Fixes #12, closes: ENG-4 and resolves acme/web#3; see #99"
    told = ["number:acme/api#12", "number:acme/web#3", "identifier:ENG-4"]
    assert closing(words, repository="acme/api") == told


@pytest.mark.parametrize(
    ("branch", "told"),
    [
        ("feature/ENG-123", ["identifier:ENG-123"]),
        ("eng-123-fix-login", ["identifier:ENG-123"]),
        ("ada/eng-12-a-thing", ["identifier:ENG-12"]),
        ("revert-12-main", []),
        ("release-2026-11", []),
        ("main", []),
    ],
)
def test_a_branch_names_an_issue(branch: str, told: list[str]) -> None:
    assert branch_identifiers(branch) == told


def test_a_long_text_is_read_in_time_and_bounded() -> None:
    words = " ".join(f"#{number}" for number in range(1, 400)) + "fixes " * 20_000 + "a-" * 50_000
    assert len(references(words, repository="acme/api")) == 100
    assert len(closing(words, repository="acme/api")) == 0
