"""What follows from GitHub's webhooks, one module a concept."""

from handlers.github import (
    checks,
    commits,
    deployments,
    history,
    ignored,
    installations,
    issues,
    pull_requests,
    releases,
    repositories,
    reviews,
    teams,
    workflows,
)
from handlers.github.installations import account
from handlers.github.source import github

__all__ = [
    "account",
    "checks",
    "commits",
    "deployments",
    "github",
    "history",
    "ignored",
    "installations",
    "issues",
    "pull_requests",
    "releases",
    "repositories",
    "reviews",
    "teams",
    "workflows",
]
