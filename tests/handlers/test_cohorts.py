"""People, bots and the agent."""

import pytest

from handlers.github.cohorts import cohort, commenter_cohort, kind
from handlers.github.payloads import User


def user(login, type=None):
    return User(id=1, login=login, type=type)


@pytest.mark.parametrize(
    ("author", "branch", "expected"),
    [
        (user("ada", "User"), "claude/1-mine", "people"),
        (user("abbot", "User"), "main", "people"),
        (user("dependabot[bot]", "Bot"), "dependabot/pip/x", "bots"),
        (user("Renovate-Bot", "User"), "renovate/x", "bots"),
        (user("anything[bot]"), "x", "bots"),
        (user("acme-builder", "Bot"), "x", "bots"),
        (user("acme-builder", "Bot"), "claude/1-x", "agent"),
        (user("claude", "User"), "claude/1-x", "agent"),
        (user("claude", "User"), "x", "bots"),
        (None, "claude/1-x", "people"),
    ],
)
def test_a_pull_request_is_of_people_the_agent_or_bots(author, branch, expected):
    assert cohort(author, branch) == expected


def test_a_reviewer_is_a_person_the_agent_or_a_bot():
    reviewers = [user("ada", "User"), user("claude[bot]", "Bot"), user("codecov[bot]"), None]
    assert [commenter_cohort(one) for one in reviewers] == ["people", "agent", "bots", "people"]
    assert [kind(one) for one in reviewers if one] == ["person", "agent", "bot"]
