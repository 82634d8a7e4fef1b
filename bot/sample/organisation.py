"""What happens to the organisation itself, and who starts work when."""

from datetime import timedelta
from typing import Any

from bot.sample import payloads
from bot.sample.changes import Work, change, plan_change
from bot.sample.merges import Direct, push_directly
from bot.sample.people import (
    ADMIN,
    DEPENDABOT,
    NEWCOMER,
    RENOVATE,
    after,
    user,
    working,
)
from bot.sample.pushes import touched
from bot.sample.repositories import APP_ID, INSTALLATION_ID, ORGANIZATION
from bot.sample.teams import newcomer_joins
from bot.sample.world import Repository, Steps, World

PERMISSIONS = {
    "actions": "read",
    "checks": "write",
    "contents": "write",
    "deployments": "read",
    "issues": "write",
    "members": "read",
    "metadata": "read",
    "pull_requests": "write",
}
EVENTS = [
    "check_run",
    "check_suite",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "issue_comment",
    "issues",
    "member",
    "membership",
    "organization",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "release",
    "repository",
    "team",
    "workflow_job",
    "workflow_run",
]
LIBRARIES = ("httpx", "react", "typescript", "zod", "psycopg", "okhttp", "alamofire", "chi", "vite")
CHORES = (
    "docs: correct the readme",
    "chore: bump version",
    "docs: add runbook link",
    "chore: typo",
)


def installation(world: World) -> dict[str, Any]:
    """The app's installation as GitHub describes it."""
    at = payloads.iso(world.start)
    return {
        "id": INSTALLATION_ID,
        "account": payloads.OWNER,
        "repository_selection": "selected",
        "access_tokens_url": f"{payloads.API}/app/installations/{INSTALLATION_ID}/access_tokens",
        "repositories_url": f"{payloads.API}/installation/repositories",
        "html_url": f"https://github.com/organizations/acme/settings/installations/{INSTALLATION_ID}",
        "app_id": APP_ID,
        "app_slug": "veelocity",
        "target_id": ORGANIZATION["id"],
        "target_type": "Organization",
        "permissions": PERMISSIONS,
        "events": EVENTS,
        "created_at": at,
        "updated_at": at,
        "single_file_name": None,
        "suspended_by": None,
        "suspended_at": None,
    }


def install(world: World) -> Steps:
    """The app arrives: first on all repositories but the last, then on that one too."""
    admin, whole = user(ADMIN), installation(world)
    hook = {
        "type": "App",
        "id": 410077251,
        "name": "web",
        "active": True,
        "events": EVENTS,
        "config": {"content_type": "json", "insecure_ssl": "0"},
        "app_id": APP_ID,
    }
    ping = {"zen": "Keep it logically awesome.", "hook_id": hook["id"], "hook": hook}
    world.send("ping", ping, admin)
    *most, last = world.repositories
    body = {
        "action": "created",
        "installation": whole,
        "repositories": [_brief(repo) for repo in most],
        "requester": None,
    }
    world.send("installation", body, admin)
    yield last.known_from
    body = {
        "action": "added",
        "installation": whole,
        "repository_selection": "selected",
        "repositories_added": [_brief(last)],
        "repositories_removed": [],
        "requester": None,
    }
    world.send("installation_repositories", body, admin)


def _brief(repo: Repository) -> dict[str, Any]:
    brief = payloads.nested_repository(repo)
    return {name: brief[name] for name in ("id", "name", "full_name", "private")}


def hire(world: World) -> Steps:
    """The newcomer joins the organisation, and a week later gets into the repositories."""
    membership = {
        "url": f"{payloads.API}/orgs/acme/memberships/{NEWCOMER.login}",
        "state": "active",
        "role": "member",
        "user": user(NEWCOMER),
    }
    body = {"action": "member_added", "membership": membership}
    world.send("organization", body, user(ADMIN))
    newcomer_joins(world)
    yield working(world.now + timedelta(days=2))
    for repo in world.repositories:
        yield world.minutes(0.2, 1)
        body = {"action": "added", "member": user(NEWCOMER), "changes": {}}
        world.send("member", body, user(ADMIN), payloads.repository(repo))


def rename(world: World, repo: Repository) -> Steps:
    """One repository gets the name it has today."""
    before, repo.name = repo.name, repo.plan.name
    repo.updated_at = world.now
    body = {"action": "renamed", "changes": {"repository": {"name": {"from": before}}}}
    world.send("repository", body, user(ADMIN), payloads.repository(repo))
    yield from ()


def backlog(world: World, repo: Repository) -> Steps:
    """Somebody starts on something, again and again."""
    while True:
        pace = world.eased(*repo.plan.changes)
        yield after(world.now, world.rng.expovariate(pace / 9) + 0.05)
        world.spawn(change(world, repo, plan_change(world, repo)))


def chores(world: World, repo: Repository) -> Steps:
    """Small things that go straight to main, with nobody asked."""
    while True:
        yield after(world.now, world.rng.expovariate(0.1 / 9) + 1)
        area = world.rng.choice(repo.plan.areas)
        authored_at = world.now - timedelta(minutes=world.rng.randint(2, 90))
        message = world.rng.choice(CHORES)
        direct = Direct(world.person(), message, authored_at, touched(world, area))
        push_directly(world, repo, direct)


def updates(world: World, repo: Repository) -> Steps:
    """The dependency bot opens its pull requests early each Monday."""
    bot = DEPENDABOT if repo.plan.bot == "dependabot" else RENOVATE
    while True:
        monday = world.now + timedelta(days=7 - world.now.weekday())
        yield monday.replace(hour=4, minute=world.rng.randint(2, 50), second=17)
        for _ in range(world.rng.choice((0, 1, 1, 2))):
            world.spawn(change(world, repo, _bump(world, repo, bot is DEPENDABOT)))


def _bump(world: World, repo: Repository, dependabot: bool) -> Work:
    library, number = world.rng.choice(LIBRARIES), world.count("branch")
    major = 1 + number % 9
    title = f"Bump {library} from {major}.{number % 17}.0 to {major}.{number % 17 + 1}.0"
    if not dependabot:
        title = f"Update dependency {library} to v{major}.{number % 17 + 1}"
    return Work(
        author=DEPENDABOT if dependabot else RENOVATE,
        title=title,
        branch=f"{'dependabot' if dependabot else 'renovate'}/{library}-{number}",
        area=world.rng.choice(repo.plan.areas),
        labels=("dependencies",),
        body=f"{title}.",
    )
