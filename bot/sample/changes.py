"""A change on its way: commits, a pull request, reviews, the merge."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.sample import branches, payloads, planning, reviews
from bot.sample.graph import Commit
from bot.sample.issues import close_issue
from bot.sample.merges import close, merge
from bot.sample.people import Person
from bot.sample.pushes import touched
from bot.sample.repositories import Area
from bot.sample.world import PullRequest, Repository, Steps, World, commit

VERBS = ("Add", "Fix", "Rework", "Speed up", "Clean up", "Test", "Simplify", "Extend")
TAILS = ("", "", "", " for guests", " behind a flag", " in the export", " on slow networks")


@dataclass(frozen=True)
class Work:
    """What somebody sets out to do. Urgent work ignores the hour and waits for nobody."""

    author: Person
    title: str
    branch: str
    area: Area
    labels: tuple[str, ...] = ()
    urgent: bool = False
    body: str | None = None
    issue: int | None = None
    planned: int | None = None
    """The number of Linear's issue."""


def plan_change(world: World, repo: Repository) -> Work:
    """Some ordinary piece of work."""
    area = world.rng.choice(repo.plan.areas)
    verb, subject = world.rng.choice(VERBS), world.rng.choice(area.subjects)
    title = f"{verb} {subject}{world.rng.choice(TAILS)}"
    slug = title.lower().replace(" ", "-")
    issue = world.rng.choice(repo.open_issues)["number"] if _tracked(world, repo) else None
    number = world.rng.randint(100, 999) if world.chance(0.3) else None
    author = world.person()
    planned = planning.planned(world, number, title, author) if number else None
    prefix = f"eng-{planned}" if planned else area.label
    return Work(
        author=author,
        title=title,
        branch=f"{prefix}/{slug}-{world.count('branch')}",
        area=area,
        labels=("bug",) if verb == "Fix" and world.chance(0.6) else (),
        body=f"{title}.\n\nCloses #{issue}" if issue else f"{title}.",
        issue=issue,
        planned=planned,
    )


def _tracked(world: World, repo: Repository) -> bool:
    return bool(repo.open_issues) and world.chance(0.3)


def change(world: World, repo: Repository, work: Work) -> Steps:
    """From the first commit to the merge, or to giving up."""
    pr = PullRequest(work.author, work.title, work.branch, base=repo.head, body=work.body)
    yield from _code(world, repo, pr, work)
    yield from _open(world, repo, pr, work)
    if pr.draft:
        yield from _get_ready(world, repo, pr, work)
    if not work.urgent and world.chance(0.05):
        yield world.working(world.about(9, 6), work.author)
        _give_up(world, repo, pr, work)
        return
    for last in (False, False, True):
        content = yield from reviews.review(world, repo, pr, urgent=work.urgent, last=last)
        if content:
            break
        yield from _answer(world, repo, pr, work)
    yield _merge_time(world, pr, work)
    if not work.urgent and pr.author.type == "User" and world.chance(0.02):
        _give_up(world, repo, pr, work)
        return
    merge(world, repo, pr, fix=is_fix(work), urgent=work.urgent)
    planning.finished(world, work.planned, work.author, merged=True)
    if work.issue:
        close_issue(world, repo, work.issue, work.author)


def _give_up(world: World, repo: Repository, pr: PullRequest, work: Work) -> None:
    close(world, repo, pr, work.author)
    planning.finished(world, work.planned, work.author, merged=False)


def is_fix(work: Work) -> bool:
    """Whether the deployment that brings it is a rollforward by METRICS.md R1."""
    return (
        "hotfix" in work.labels
        or work.branch.startswith(("hotfix/", "revert-"))
        or work.title.lower().startswith(("hotfix", "revert "))
    )


def _code(world: World, repo: Repository, pr: PullRequest, work: Work) -> Steps:
    """Commits on the author's machine, then their first push."""
    if work.urgent or pr.author.type == "Bot":
        moments = [world.now]
        pushed_at = world.minutes(0.3, 6)
    else:
        hours = world.about(2.3, 0.85)
        count = min(7, 1 + int(world.rng.expovariate(0.7)))
        shares = sorted(world.rng.uniform(0.1, 0.98) for _ in range(count - 1))
        moments = [world.now, *(world.working(hours * share, pr.author) for share in shares)]
        pushed_at = world.working(hours, pr.author) + timedelta(minutes=world.rng.randint(1, 9))
    yield pushed_at
    made: list[Commit] = []
    for number, moment in enumerate(moments):
        message = work.title if not number else world.rng.choice(branches.FOLLOW_UPS)
        parent = made[-1].sha if made else pr.base
        files = touched(world, work.area)
        made.append(commit(world, repo, (parent,), message, pr.author, at=moment, files=files))
    branches.advance(world, repo, pr, made, payloads.ZERO)


def _open(world: World, repo: Repository, pr: PullRequest, work: Work) -> Steps:
    bot = pr.author.type == "Bot"
    yield world.minutes(0.1, 0.8) if bot or work.urgent else world.minutes(2, 45)
    pr.number, repo.number = repo.number, repo.number + 1
    repo.pulls[pr.number] = pr
    pr.id = world.id("pull_request")
    pr.created_at = pr.updated_at = world.now
    pr.draft = not bot and not work.urgent and world.chance(0.12)
    pr.ready_at = None if pr.draft else world.now
    pr.complete &= world.knows(repo)
    branches.tell(world, repo, pr, "opened", pr.author)
    pr.test_sha = world.sha("test merge")
    names = work.labels if bot or work.urgent or world.chance(0.5) else (work.area.label,)
    for name in names:
        yield world.minutes(0.05, 0.3)
        pr.labels.append(name)
        pr.updated_at = world.now
        extra = {"label": payloads.label(name)}
        branches.tell(world, repo, pr, "labeled", pr.author, extra)


def _get_ready(world: World, repo: Repository, pr: PullRequest, work: Work) -> Steps:
    yield world.working(world.about(2, 1), pr.author)
    branches.more(world, repo, pr, work.area)
    yield world.minutes(1, 20)
    pr.draft = False
    pr.ready_at = pr.updated_at = world.now
    pr.complete &= world.knows(repo)
    branches.tell(world, repo, pr, "ready_for_review", pr.author)


def _answer(world: World, repo: Repository, pr: PullRequest, work: Work) -> Steps:
    yield world.working(world.about(0.7, 0.3), pr.author)
    ways = (("more", 0.6), ("rebase", 0.18), ("squash", 0.12), ("update", 0.1))
    way = world.pick(ways)
    if way == "squash" and pr.complete:
        branches.rewrite(world, repo, pr, squash=True)
    elif way == "rebase":
        branches.rewrite(world, repo, pr, squash=False)
    elif way == "update" and repo.head != pr.base:
        branches.update(world, repo, pr)
    else:
        branches.more(world, repo, pr, work.area)


def _merge_time(world: World, pr: PullRequest, work: Work) -> datetime:
    if work.urgent:
        return world.minutes(1, 8)
    return world.working(world.about(0.4, 0.15), pr.author)
