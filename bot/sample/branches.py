"""A branch with its pull request: commits pushed, force-pushed and brought up to date."""

from datetime import datetime, timedelta
from typing import Any

from bot.sample import builds, payloads
from bot.sample.graph import Commit, Files, between
from bot.sample.people import Person, user
from bot.sample.pushes import Push, push, touched
from bot.sample.repositories import Area
from bot.sample.world import PullRequest, Repository, World, commit

FOLLOW_UPS = ("Address review", "Fix tests", "Rename for clarity", "Handle the empty case", "Lint")


def advance(
    world: World, repo: Repository, pr: PullRequest, made: list[Commit], before: str
) -> None:
    """Push these as the branch's newest."""
    pr.commits = [*pr.commits, *(c.sha for c in made)]
    pr.head = made[-1].sha
    own = [c.authored_at for c in made]
    pr.first_commit_at = min(filter(None, [pr.first_commit_at, *own]))
    push_branch(world, repo, pr, before)


def push_branch(
    world: World, repo: Repository, pr: PullRequest, before: str, *, forced: bool = False
) -> None:
    """Send the branch as it is now; what came in with a merge of main is not distinct."""
    created = before == payloads.ZERO
    found = between(repo.commits, [pr.base if created else before], pr.head)
    mine = set(pr.commits)
    pushed = Push(
        ref=f"refs/heads/{pr.branch}",
        before=before,
        after=pr.head,
        news=[(c, c.sha in mine) for c in found],
        forced=forced,
    )
    pr.complete &= push(world, repo, pr.author, pushed, lost=0.012)
    builds.check(world, repo, pr.author, pr.head, pr.branch, pr)


def tell(
    world: World,
    repo: Repository,
    pr: PullRequest,
    action: str,
    sender: Person,
    extra: dict[str, Any] | None = None,
) -> None:
    """Send one `pull_request` delivery."""
    if not world.knows(repo):
        return
    body = {
        "action": action,
        "number": pr.number,
        "pull_request": payloads.pull_request(repo, pr),
        **(extra or {}),
    }
    world.send("pull_request", body, user(sender), payloads.repository(repo))


def more(world: World, repo: Repository, pr: PullRequest, area: Area) -> None:
    """One more commit."""
    before = pr.head
    at = world.now - timedelta(minutes=world.rng.randint(1, 12))
    message = world.rng.choice(FOLLOW_UPS)
    files = touched(world, area)
    made = commit(world, repo, (before,), message, pr.author, at=at, files=files)
    advance(world, repo, pr, [made], before)
    synchronize(world, repo, pr, before)


def update(world: World, repo: Repository, pr: PullRequest) -> None:
    """The button "Update branch": main is merged into the branch."""
    before, parents = pr.head, (pr.head, repo.head)
    message = f"Merge branch 'main' into {pr.branch}"
    made = commit(world, repo, parents, message, pr.author, at=world.now, files=Files())
    pr.base = repo.head
    advance(world, repo, pr, [made], before)
    synchronize(world, repo, pr, before)


def rewrite(world: World, repo: Repository, pr: PullRequest, *, squash: bool) -> None:
    """A force-push: rebased on main, author times kept; or squashed into one new commit."""
    before, kept = pr.head, [repo.commits[sha] for sha in pr.commits]
    kept = [c for c in kept if len(c.parents) == 1]
    if squash:
        files = Files()
        for old in kept:
            files |= old.files
        at = world.now - timedelta(minutes=2)
        pr.commits = [commit(world, repo, (pr.base,), pr.title, pr.author, at=at, files=files).sha]
    else:
        pr.base = repo.head
        pr.commits = rebased(world, repo, kept, pr.base, pr.author, world.now)
    pr.head = pr.commits[-1]
    push_branch(world, repo, pr, before, forced=True)
    synchronize(world, repo, pr, before)


def rebased(
    world: World, repo: Repository, kept: list[Commit], onto: str, by: Person, now: datetime
) -> list[str]:
    """The same commits on another base, with their author times."""
    shas: list[str] = []
    for old in kept:
        made = commit(
            world,
            repo,
            (shas[-1] if shas else onto,),
            old.message,
            old.author,
            at=old.authored_at,
            files=old.files,
            committer=by,
            committed_at=now,
        )
        shas.append(made.sha)
    return shas


def synchronize(world: World, repo: Repository, pr: PullRequest, before: str) -> None:
    """Tell that the pull request's head moved."""
    if not pr.number:
        return
    pr.updated_at = world.now
    pr.test_sha = world.sha("test merge")
    tell(world, repo, pr, "synchronize", pr.author, {"before": before, "after": pr.head})
