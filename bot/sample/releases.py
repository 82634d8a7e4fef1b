"""Bringing main to staging and production, and what is done when that goes wrong."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.sample import builds, payloads
from bot.sample.changes import Work, change
from bot.sample.issues import incident
from bot.sample.merges import Direct, push_directly
from bot.sample.people import TRAIN, Person, after, user
from bot.sample.pushes import tag, touched
from bot.sample.talk import outage
from bot.sample.world import Attempt, Repository, Shipped, Steps, World

Shipping = Generator[datetime, None, bool]


@dataclass(frozen=True)
class Target:
    """What is deployed where by whom, and why; `purpose` is for the story's own record."""

    sha: str
    environment: str
    by: Person
    purpose: str = "new"
    ref: str = "main"


def releases(world: World, repo: Repository) -> Steps:
    """The repository's deployments, one after the other, for ever."""
    while True:
        slots = world.eased(*repo.plan.slots)
        hours = (TRAIN.closes - TRAIN.opens) / slots * world.rng.uniform(0.5, 1.5)
        yield after(world.now, hours, TRAIN)
        running = repo.running[-1][0] if repo.running else None
        if running != repo.head:
            yield from _release(world, repo)
        elif world.chance(0.1):
            yield from ship(world, repo, repo.head, "redeploy")


def _release(world: World, repo: Repository) -> Steps:
    if repo.plan.releases:
        _publish(world, repo, world.person())
    sha = repo.head
    if repo.plan.staging and world.chance(0.8):
        target = Target(sha, repo.plan.staging, world.person())
        if not (yield from _attempt(world, repo, target, fails=0.04)):
            return
        yield world.minutes(2, 25)
    before = len(repo.running)
    yield from ship(world, repo, sha, "new")
    if len(repo.running) > before and world.chance(0.1, 0.05):
        yield from _repair(world, repo)


def ship(world: World, repo: Repository, sha: str, purpose: str) -> Steps:
    """To production, however often it takes (at most 3 times)."""
    by, carried = world.person(), _carried(repo, sha)
    ref = "main" if sha == repo.head else sha
    done = False
    for _ in range(3):
        target = Target(sha, "production", by, purpose, ref)
        done = yield from _attempt(world, repo, target, fails=world.eased(0.09, 0.04))
        if done:
            break
        yield world.minutes(6, 50)
    if not done:
        return
    fix = any(shipped.fix for shipped in carried) and purpose == "new"
    if purpose == "new":
        repo.pending = [shipped for shipped in repo.pending if shipped not in carried]
    repo.running.append((sha, fix))


def _carried(repo: Repository, sha: str) -> list[Shipped]:
    """The changes that wait for production, up to this commit of main."""
    reached = [place for place, shipped in enumerate(repo.pending, 1) if shipped.sha == sha]
    return repo.pending[: reached[0]] if reached else []


def _attempt(world: World, repo: Repository, target: Target, fails: float) -> Shipping:
    """One GitHub deployment with its statuses; True when it came out well."""
    told = (target.sha, world.now, target.purpose, target.by, target.ref)
    attempt = Attempt(world.id("deployment"), *told)
    production = target.environment == "production"
    if production:
        repo.attempts.append(attempt)
    _tell_created(world, repo, target, attempt)
    if world.chance(0.35):
        yield world.minutes(0.05, 0.2)
        _tell(world, repo, target, attempt, "queued")
    yield world.minutes(0.1, 0.6)
    _tell(world, repo, target, attempt, "in_progress")
    minutes = repo.plan.build_minutes
    yield world.minutes(minutes * 0.6, minutes * 1.5)
    if world.chance(fails):
        attempt.failed_at = world.now
        _tell(world, repo, target, attempt, "error" if world.chance(0.15) else "failure")
        if not world.chance(0.25):
            return False
        yield world.minutes(2, 15)
        _tell(world, repo, target, attempt, "in_progress")
        yield world.minutes(minutes * 0.6, minutes * 1.5)
    attempt.succeeded_at = world.now
    _tell(world, repo, target, attempt, "success")
    if production:
        yield from _aftermath(world, repo, target, attempt)
    return True


def _aftermath(world: World, repo: Repository, target: Target, attempt: Attempt) -> Steps:
    """What follows a success and changes nothing: a second status, the old one inactive."""
    if repo.plan.deploy_workflow:
        builds.deploy_run(world, repo, target.by, target.sha)
    succeeded = [a for a in repo.attempts if a.succeeded_at]
    previous = succeeded[-2] if len(succeeded) > 1 else None
    if previous and world.chance(0.2):
        yield world.minutes(0.1, 0.2)
        old = Target(previous.sha, "production", previous.by, ref=previous.ref)
        _tell(world, repo, old, previous, "inactive")
    if world.chance(0.03):
        yield world.minutes(0.5, 3)
        _tell(world, repo, target, attempt, "success")


def _shape(world: World, repo: Repository, target: Target, attempt: Attempt) -> dict[str, Any]:
    url = f"{payloads.API}/repos/{repo.full_name}/deployments/{attempt.id}"
    return {
        "url": url,
        "id": attempt.id,
        "task": "deploy",
        "sha": target.sha,
        "ref": target.ref,
        "original_environment": target.environment,
        "environment": target.environment,
        "description": None,
        "created_at": payloads.iso(attempt.created_at),
        "updated_at": payloads.iso(world.now),
        "statuses_url": f"{url}/statuses",
        "repository_url": f"{payloads.API}/repos/{repo.full_name}",
        "creator": user(target.by),
        "payload": {},
        "transient_environment": False,
        "production_environment": target.environment == "production",
        "performed_via_github_app": None,
    }


def _tell_created(world: World, repo: Repository, target: Target, attempt: Attempt) -> None:
    if not world.knows(repo):
        return
    body = {
        "action": "created",
        "deployment": _shape(world, repo, target, attempt),
        "workflow": None,
        "workflow_run": None,
    }
    world.send("deployment", body, user(target.by), payloads.repository(repo))


def _tell(world: World, repo: Repository, target: Target, attempt: Attempt, state: str) -> None:
    if not world.knows(repo):
        return
    shape = _shape(world, repo, target, attempt)
    status_id, at = world.id("deployment_status"), payloads.iso(world.now)
    status = {
        "url": f"{shape['url']}/statuses/{status_id}",
        "id": status_id,
        "state": state,
        "creator": user(target.by),
        "description": "",
        "environment": target.environment,
        "target_url": "",
        "created_at": at,
        "updated_at": at,
        "deployment_url": shape["url"],
        "environment_url": f"https://{repo.plan.name}.acme.example" if state == "success" else "",
        "log_url": "",
        "performed_via_github_app": None,
    }
    body = {
        "action": "created",
        "deployment_status": status,
        "deployment": shape,
        "check_run": None,
        "workflow": None,
        "workflow_run": None,
    }
    world.send("deployment_status", body, user(target.by), payloads.repository(repo))


def _publish(world: World, repo: Repository, by: Person) -> None:
    """A release with its tag; GitHub tells of it three times."""
    repo.version[1] += 1
    name = "v{}.{}.{}".format(*repo.version)
    tag(world, repo, by, name, repo.head)
    if not world.knows(repo):
        return
    at, release_id = payloads.iso(world.now), world.id("release")
    release = {
        "url": f"{payloads.API}/repos/{repo.full_name}/releases/{release_id}",
        "html_url": f"https://github.com/{repo.full_name}/releases/tag/{name}",
        "id": release_id,
        "tag_name": name,
        "target_commitish": "main",
        "name": name,
        "draft": False,
        "author": user(by),
        "prerelease": False,
        "created_at": payloads.iso(repo.commits[repo.head].committed_at),
        "published_at": at,
        "assets": [],
        "body": "See the commits.",
    }
    for action in ("created", "published", "released"):
        body = {"action": action, "release": release}
        world.send("release", body, user(by), payloads.repository(repo))


def _repair(world: World, repo: Repository) -> Steps:
    """The last deployment broke something: roll back, revert, or hurry a fix."""
    by = world.person()
    yield world.minutes(8, world.eased(90, 40))
    running = repo.running[-1][0]
    culprit = next((s for s in reversed(repo.shipped) if s.sha == running), None)
    lasts = timedelta(minutes=world.rng.randint(25, round(world.eased(240, 90))))
    if world.chance(0.6):
        world.spawn(incident(world, repo, by, lasts))
    elif world.now > world.start:
        world.spawn(outage(world, repo, by, lasts, culprit))
    if _may_roll_back(world, repo) and world.chance(0.7):
        steps = 2 if len(_clean(repo)) > 2 and world.chance(0.2) else 1
        yield from ship(world, repo, repo.running[-1 - steps][0], "rollback")
        yield world.minutes(10, 60)
    fixes = (("revert", 0.4), ("hotfix", 0.4), ("direct", 0.2))
    way = world.pick(fixes)
    if way == "direct":
        _hotfix_directly(world, repo, by)
    else:
        yield from change(world, repo, _urgent(world, repo, by, culprit, way))
    yield world.minutes(1, 8)
    yield from ship(world, repo, repo.head, "new")


def _clean(repo: Repository) -> list[str]:
    """The last SHAs in a row, all different, that went live without a fix."""
    found: list[str] = []
    for sha, fix in reversed(repo.running[-4:]):
        if fix or sha in found or [s for s, _ in repo.running].count(sha) > 1:
            break
        found.append(sha)
    return found


def _may_roll_back(world: World, repo: Repository) -> bool:
    known = [a for a in repo.attempts if a.succeeded_at and a.succeeded_at >= repo.known_from]
    return len(known) > 6 and len(_clean(repo)) > 1


def _urgent(world: World, repo: Repository, by: Person, culprit: Shipped | None, way: str) -> Work:
    area = world.rng.choice(repo.plan.areas)
    if way == "revert" and culprit and culprit.pr:
        title = f'Revert "{culprit.title}"'
        branch = f"revert-{culprit.pr.number}-{culprit.pr.branch}"
        return Work(by, title, branch, area, urgent=True, body=f"Reverts #{culprit.pr.number}")
    subject, number = world.rng.choice(area.subjects), world.count("branch")
    slug = subject.lower().replace(" ", "-")
    shapes = (
        (f"Fix {subject} in production", f"hotfix/{slug}-{number}", ()),
        (f"Fix {subject} for everybody", f"fix/{slug}-{number}", ("hotfix",)),
        (f"Hotfix: {subject}", f"{area.label}/{slug}-{number}", ()),
    )
    title, branch, labels = world.rng.choice(shapes)
    return Work(by, title, branch, area, labels, urgent=True)


def _hotfix_directly(world: World, repo: Repository, by: Person) -> None:
    area = world.rng.choice(repo.plan.areas)
    subject = world.rng.choice(area.subjects)
    authored_at = world.now - timedelta(minutes=world.rng.randint(1, 7))
    message = f"hotfix: {subject} in production"
    direct = Direct(by, message, authored_at, touched(world, area), fix=True)
    push_directly(world, repo, direct)
