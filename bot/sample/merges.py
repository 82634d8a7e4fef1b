"""How a change reaches main: squash, merge, rebase, or straight by a push."""

from dataclasses import dataclass
from datetime import datetime

from bot.sample import builds
from bot.sample.branches import rebased, tell
from bot.sample.graph import Files, between
from bot.sample.people import GITHUB, Person
from bot.sample.pushes import Push, delete_branch, push
from bot.sample.world import PullRequest, Repository, Shipped, World, commit

LOST = 0.03
"""The share of pushes to main whose delivery never arrives."""


def close(world: World, repo: Repository, pr: PullRequest, by: Person) -> None:
    """Given up."""
    pr.state, pr.closed_at, pr.updated_at = "closed", world.now, world.now
    tell(world, repo, pr, "closed", by)


def merge(
    world: World, repo: Repository, pr: PullRequest, *, fix: bool, urgent: bool = False
) -> None:
    """Merge by one of the repository's ways; GitHub sends `push` and `closed` in either order."""
    by = pr.author if pr.author.type == "User" and world.chance(0.6) else world.person(pr.author)
    before = repo.head
    plain = urgent or pr.author.type == "Bot"
    pr.merge_sha = _land(world, repo, pr, by, "squash" if plain else world.pick(repo.plan.merges))
    mine = set(pr.commits)
    news = [(c, c.sha not in mine) for c in between(repo.commits, [before], pr.merge_sha)]
    repo.merges |= {c.sha: pr.number for c, new in news if new}
    pr.state, pr.merged_by = "closed", by
    pr.closed_at = pr.merged_at = pr.updated_at = world.now
    closed_first = world.chance(0.4)
    if closed_first:
        tell(world, repo, pr, "closed", by)
    push(world, repo, by, Push("refs/heads/main", before, pr.merge_sha, news), LOST)
    if not closed_first:
        tell(world, repo, pr, "closed", by)
    if repo.plan.name == "web":
        delete_branch(world, repo, by, pr.branch, pr.head)
    builds.check(world, repo, by, pr.merge_sha, "main")
    first = pr.first_commit_at or world.now
    _ship(repo, Shipped(pr.merge_sha, first, world.now, pr.author, pr.title, fix, pr))


def _land(world: World, repo: Repository, pr: PullRequest, by: Person, way: str) -> str:
    """The SHA of the merge commit, or of the last rebased one."""
    own = [repo.commits[sha] for sha in pr.commits]
    own = [c for c in own if len(c.parents) == 1]
    if way == "rebase":
        return rebased(world, repo, own, repo.head, by, world.now)[-1]
    if way == "merge":
        message = f"Merge pull request #{pr.number} from acme/{pr.branch}\n\n{pr.title}"
        parents, author, files = (repo.head, pr.head), by, Files()
        made = commit(
            world, repo, parents, message, author, at=world.now, files=files, committer=GITHUB
        )
        return made.sha
    files = Files()
    for old in own:
        files |= old.files
    message = f"{pr.title} (#{pr.number})"
    made = commit(
        world, repo, (repo.head,), message, pr.author, at=world.now, files=files, committer=GITHUB
    )
    return made.sha


@dataclass(frozen=True)
class Direct:
    """One commit that goes to main without a pull request."""

    author: Person
    message: str
    authored_at: datetime
    files: Files
    fix: bool = False


def push_directly(world: World, repo: Repository, direct: Direct) -> None:
    """Push to main with no pull request."""
    before = repo.head
    made = commit(
        world,
        repo,
        (before,),
        direct.message,
        direct.author,
        at=direct.authored_at,
        files=direct.files,
    )
    pushed = Push("refs/heads/main", before, made.sha, [(made, True)])
    sent = push(world, repo, direct.author, pushed, LOST * 2)
    builds.check(world, repo, direct.author, made.sha, "main")
    title = direct.message.splitlines()[0]
    _ship(
        repo,
        Shipped(
            made.sha,
            direct.authored_at,
            world.now,
            direct.author,
            title,
            direct.fix,
            lost=not sent,
        ),
    )


def _ship(repo: Repository, shipped: Shipped) -> None:
    repo.shipped.append(shipped)
    repo.pending.append(shipped)
