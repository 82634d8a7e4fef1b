"""What the fake GitHub tells: its deliveries, as (event, payload), for `rig.deliver(*labeled(…))`.

Each changes the fake's state as well, so that who asks it afterwards sees what was told.
"""

from typing import Any

from pydantic import SecretStr

from bot.settings import Settings
from tests.fakes.github import FakeGitHub, FakeRepository
from tests.fakes.github_work import FakeCheck, FakeComment, FakeIssue, FakeReview, stamp

INSTALLATION = 42
Delivery = tuple[str, dict[str, Any]]


def settings_for(fake: FakeGitHub, settings: Settings, **more: Any) -> Settings:
    """Return settings with which we are the fake's app."""
    us = {"app_id": fake.app_id, "private_key": SecretStr(fake.private_key)}
    return settings.model_copy(update={"github_api_url": fake.url, **us, **more})


def owner(repository: FakeRepository) -> dict[str, Any]:
    """Return whose a repository is."""
    login = repository.full_name.partition("/")[0]
    return {"login": login, "id": 77, "type": "Organization"}


def payload(repository: FakeRepository, action: str, by: str, **told: Any) -> dict[str, Any]:
    """Return a payload about a repository."""
    described = {
        "id": repository.id,
        "name": repository.full_name.partition("/")[2],
        "full_name": repository.full_name,
        "owner": owner(repository),
        "private": True,
        "html_url": f"https://github.com/{repository.full_name}",
        "fork": False,
        "archived": False,
        "default_branch": repository.default_branch,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "pushed_at": stamp(),
    }
    return {
        "action": action,
        "repository": described,
        "organization": {"login": owner(repository)["login"], "id": 77},
        "installation": {"id": INSTALLATION},
        "sender": repository.github.person(by).told(),
        **told,
    }


def installed(*repositories: FakeRepository, by: str = "ada") -> Delivery:
    """The app was installed for some repositories; deliver it first."""
    first = repositories[0]
    account = owner(first) | {"node_id": "O_77"}
    told = {
        "id": INSTALLATION,
        "account": account,
        "repository_selection": "selected",
        "permissions": first.github.permissions[INSTALLATION],
        "events": ["issues"],
        "created_at": stamp(),
        "updated_at": stamp(),
        "suspended_at": None,
    }
    listed = [
        {"id": each.id, "name": each.full_name, "full_name": each.full_name, "private": True}
        for each in repositories
    ]
    sender = first.github.person(by).told()
    body = {"action": "created", "installation": told, "repositories": listed, "sender": sender}
    return "installation", body


def opened(repository: FakeRepository, issue: FakeIssue) -> Delivery:
    """An issue was opened."""
    told = payload(repository, "opened", issue.by.login, issue=issue.told())
    return "issues", told


def labeled(
    repository: FakeRepository, issue: FakeIssue, label: str = "claude", *, by: str = "ada"
) -> Delivery:
    """Somebody put a label on an issue."""
    issue.labels = list(dict.fromkeys([*issue.labels, label]))
    told = payload(repository, "labeled", by, issue=issue.told(), label={"name": label})
    return "issues", told


def unlabeled(
    repository: FakeRepository, issue: FakeIssue, label: str = "claude", *, by: str = "ada"
) -> Delivery:
    """Somebody took a label off an issue."""
    issue.labels = [each for each in issue.labels if each != label]
    told = payload(repository, "unlabeled", by, issue=issue.told(), label={"name": label})
    return "issues", told


def assigned(
    repository: FakeRepository, issue: FakeIssue, to: str = "veelocity[bot]", *, by: str = "ada"
) -> Delivery:
    """Somebody assigned an issue."""
    assignee = repository.github.person(to).told()
    return "issues", payload(repository, "assigned", by, issue=issue.told(), assignee=assignee)


def closed(
    repository: FakeRepository, issue: FakeIssue, *, by: str = "ada", again: bool = False
) -> Delivery:
    """Somebody closed an issue; `again`: opened it again."""
    issue.state = "open" if again else "closed"
    action = "reopened" if again else "closed"
    return "issues", payload(repository, action, by, issue=issue.told())


def commented(
    repository: FakeRepository,
    issue: FakeIssue,
    body: str | FakeComment,
    *,
    by: str = "ada",
    action: str = "created",
) -> Delivery:
    """Somebody commented on an issue or pull request."""
    made = repository.comment(issue, body, by=by) if isinstance(body, str) else body
    told = payload(repository, action, by, issue=issue.told(), comment=made.told())
    return "issue_comment", told


def pull_changed(
    repository: FakeRepository,
    pull: FakeIssue,
    action: str = "closed",
    *,
    merged: bool = False,
    by: str = "ada",
) -> Delivery:
    """A pull request was opened, closed (or merged), reopened …"""
    pull.state, pull.merged = ("closed" if action == "closed" else "open"), merged
    told = pull.told_as_pull(repository.id)
    return "pull_request", payload(repository, action, by, pull_request=told)


def reviewed(repository: FakeRepository, pull: FakeIssue, review: FakeReview) -> Delivery:
    """Somebody reviewed a pull request."""
    told = pull.told_as_pull(repository.id)
    said = review.told() | {"state": review.state.lower()}
    body = payload(repository, "submitted", review.by.login, pull_request=told, review=said)
    return "pull_request_review", body


def checked(
    repository: FakeRepository, check: FakeCheck, branch: str, *, by: str = "ada"
) -> Delivery:
    """A check ended on a commit of a branch."""
    suite = {"id": check.id + 100_000, "head_branch": branch, "head_sha": check.head_sha}
    told = check.told() | {"check_suite": suite}
    return "check_run", payload(repository, "completed", by, check_run=told)
