"""Issues and comments: `issues`, `issue_comment`."""

from datetime import timedelta
from typing import Any

from bot.sample import payloads
from bot.sample.people import Person, after, user
from bot.sample.world import PullRequest, Repository, Steps, World

COMPLAINTS = ("{} is slow", "{} fails on retry", "Support asks for {}", "{} shows the wrong state")


def reports(world: World, repo: Repository) -> Steps:
    """People open issues for ever."""
    while True:
        yield after(world.now, world.rng.expovariate(0.45 / 9) + 0.1)
        person = world.person()
        area = world.rng.choice(repo.plan.areas)
        subject = world.rng.choice(area.subjects)
        title = world.rng.choice(COMPLAINTS).format(subject[0].upper() + subject[1:])
        issue = open_issue(world, repo, person, title)
        repo.open_issues.append(issue)
        yield world.minutes(0.2, 3)
        label_issue(world, repo, issue, person, world.rng.choice(("bug", "enhancement")))
        if world.chance(0.3):
            yield world.minutes(20, 300)
            comment(world, repo, world.person(), "I can reproduce this.", issue=issue)
        if len(repo.open_issues) > 12:
            yield world.working(1, person)
            close_issue(world, repo, repo.open_issues[0]["number"], person)


def open_issue(world: World, repo: Repository, person: Person, title: str) -> dict[str, Any]:
    """A new issue, as later events about it carry it."""
    number, repo.number = repo.number, repo.number + 1
    at = payloads.iso(world.now)
    issue = {
        "url": f"{payloads.API}/repos/{repo.full_name}/issues/{number}",
        "html_url": f"https://github.com/{repo.full_name}/issues/{number}",
        "id": world.id("issue"),
        "number": number,
        "title": title,
        "user": user(person),
        "labels": [],
        "state": "open",
        "locked": False,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": 0,
        "created_at": at,
        "updated_at": at,
        "closed_at": None,
        "author_association": "MEMBER",
        "state_reason": None,
        "body": f"{title}. Seen by support this week.",
    }
    _tell(world, repo, issue, "opened", person)
    return issue


def label_issue(
    world: World, repo: Repository, issue: dict[str, Any], person: Person, name: str
) -> None:
    """One more label."""
    issue["labels"] = [*issue["labels"], payloads.label(name)]
    _tell(world, repo, issue, "labeled", person, {"label": payloads.label(name)})


def close_issue(world: World, repo: Repository, number: int, person: Person) -> None:
    """Take it off the backlog, if it is still there."""
    for issue in [issue for issue in repo.open_issues if issue["number"] == number]:
        repo.open_issues.remove(issue)
        _close(world, repo, issue, person)


def _close(world: World, repo: Repository, issue: dict[str, Any], person: Person) -> None:
    issue.update(state="closed", state_reason="completed", closed_at=payloads.iso(world.now))
    _tell(world, repo, issue, "closed", person)


def incident(world: World, repo: Repository, person: Person, lasts: timedelta) -> Steps:
    """Production is broken: an issue with the label `incident` and a severity."""
    opened_at, severity = world.now, world.rng.choice(("sev1", "sev2", "sev2", "sev3"))
    issue = open_issue(world, repo, person, f"Errors in production of {repo.name}")
    number = issue["number"]
    for name in ("incident", severity):
        yield world.minutes(0.1, 0.4)
        label_issue(world, repo, issue, person, name)
    place = len(world.incidents)
    world.incidents.append((repo.plan.id, number, severity, opened_at, None))
    yield opened_at + lasts
    _close(world, repo, issue, person)
    world.incidents[place] = (repo.plan.id, number, severity, opened_at, world.now)


def comment(
    world: World,
    repo: Repository,
    person: Person,
    text: str,
    *,
    issue: dict[str, Any] | None = None,
    pr: PullRequest | None = None,
) -> None:
    """A comment on an issue, or in a pull request's conversation (which GitHub calls an issue)."""
    if not world.knows(repo):
        return
    about = _issue_of(repo, pr) if pr else dict(issue or {})
    if pr:
        pr.comments, pr.updated_at = pr.comments + 1, world.now
    elif issue:
        issue["comments"] += 1
    comment_id, at = world.id("comment"), payloads.iso(world.now)
    written = {
        "url": f"{payloads.API}/repos/{repo.full_name}/issues/comments/{comment_id}",
        "html_url": f"{about['html_url']}#issuecomment-{comment_id}",
        "id": comment_id,
        "user": user(person),
        "created_at": at,
        "updated_at": at,
        "author_association": "MEMBER",
        "body": text,
    }
    body = {"action": "created", "issue": about, "comment": written}
    world.send("issue_comment", body, user(person), payloads.repository(repo))


def _issue_of(repo: Repository, pr: PullRequest) -> dict[str, Any]:
    brief = payloads.brief_pull_request(repo, pr)
    same = ("html_url", "number", "state", "title", "user", "body", "labels", "created_at")
    return {name: brief[name] for name in same} | {
        "id": pr.id + 1,
        "url": f"{payloads.API}/repos/{repo.full_name}/issues/{pr.number}",
        "comments": pr.comments,
        "updated_at": brief["updated_at"],
        "closed_at": brief["closed_at"],
        "draft": pr.draft,
        "author_association": "MEMBER",
        "pull_request": {
            "url": brief["url"],
            "html_url": brief["html_url"],
            "merged_at": brief["merged_at"],
        },
    }


def _tell(
    world: World,
    repo: Repository,
    issue: dict[str, Any],
    action: str,
    person: Person,
    extra: dict[str, Any] | None = None,
) -> None:
    issue["updated_at"] = payloads.iso(world.now)
    if world.knows(repo):
        body = {"action": action, "issue": dict(issue), **(extra or {})}
        world.send("issues", body, user(person), payloads.repository(repo))
