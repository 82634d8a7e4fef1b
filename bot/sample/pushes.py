"""Commits arriving on GitHub: `push`, `create` and `delete`."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.sample import payloads
from bot.sample.graph import Commit, Files
from bot.sample.people import Person, user
from bot.sample.repositories import Area
from bot.sample.world import Repository, World


@dataclass(frozen=True)
class Push:
    """One ref moved. `news`: each commit, and whether no other branch had it."""

    ref: str
    before: str
    after: str
    news: Sequence[tuple[Commit, bool]] = ()
    forced: bool = False


def push(world: World, repo: Repository, pusher: Person, pushed: Push, lost: float = 0.0) -> bool:
    """Send a `push`; False when GitHub's delivery never arrives, which happens `lost` of times."""
    repo.pushed_at = world.now
    if pushed.ref == "refs/heads/main":
        repo.head = pushed.after
        repo.updated_at = world.now
    if not world.knows(repo):
        return False
    if world.chance(lost):
        world.undelivered.append((repo.plan.id, pushed.ref, pushed.after, world.now))
        return False
    payload = _payload(repo, pusher, pushed)
    world.send("push", payload, user(pusher), payloads.pushed_repository(repo))
    return True


def _payload(repo: Repository, pusher: Person, pushed: Push) -> dict[str, object]:
    created, deleted = pushed.before == payloads.ZERO, pushed.after == payloads.ZERO
    commits = [payloads.pushed_commit(repo, commit, distinct=new) for commit, new in pushed.news]
    head = repo.commits.get(pushed.after)
    span = pushed.after[:12] if created else f"{pushed.before[:12]}...{pushed.after[:12]}"
    return {
        "ref": pushed.ref,
        "before": pushed.before,
        "after": pushed.after,
        "created": created,
        "deleted": deleted,
        "forced": pushed.forced,
        "base_ref": None,
        "compare": f"https://github.com/{repo.full_name}/compare/{span}",
        "commits": commits,
        "head_commit": payloads.pushed_commit(repo, head) if head else None,
        "pusher": {"name": pusher.login, "email": pusher.email},
    }


def tag(world: World, repo: Repository, person: Person, name: str, sha: str) -> None:
    """A new tag: `create` and the `push` of its ref."""
    payload = {
        "ref": name,
        "ref_type": "tag",
        "full_ref": f"refs/tags/{name}",
        "master_branch": "main",
        "description": None,
        "pusher_type": "user",
    }
    if world.knows(repo):
        world.send("create", payload, user(person), payloads.repository(repo))
    push(world, repo, person, Push(f"refs/tags/{name}", payloads.ZERO, sha))


def delete_branch(world: World, repo: Repository, person: Person, branch: str, sha: str) -> None:
    """A branch goes after its merge: `delete` and a last `push`."""
    if not world.knows(repo):
        return
    payload = {"ref": branch, "ref_type": "branch", "pusher_type": "user"}
    world.send("delete", payload, user(person), payloads.repository(repo))
    push(world, repo, person, Push(f"refs/heads/{branch}", sha, payloads.ZERO))


def touched(world: World, area: Area) -> Files:
    """What one commit in this part of the repository touches."""
    rng = world.rng
    paths = [f"{area.folder}/{name}" for name in rng.sample(area.files, k=rng.randint(1, 3))]
    extra = f"{area.folder}/{rng.choice(area.subjects).replace(' ', '_').lower()}.md"
    return Files(
        added=(extra,) if rng.random() < 0.12 else (),
        removed=(paths.pop(),) if len(paths) > 1 and rng.random() < 0.05 else (),
        modified=tuple(paths),
    )
