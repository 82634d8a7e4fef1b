"""One run's folders: the sandbox's work tree, and the git of ours that looks at it from outside.

`<home>/agent/mirrors/` holds one bare mirror a repository, `<home>/agent/runs/` one folder a run:
`tree` and `tmp` belong to the sandbox's user, `own` (GIT_DIR and index) to us alone.
"""

import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bot.agent import mirror as mirrors
from bot.agent.changes import Change, Changes, Entry, Fault, compared, entries
from bot.agent.clones import checked_out, with_history
from bot.agent.folders import agent_home, give, made_home, private, removed, run_folder
from bot.agent.git import Ask, GitRefused, Origin, Place, git, speaking
from bot.agent.git_names import (
    branch_name,
    checked_branch,
    checked_sha,
    checked_url,
    is_path,
    is_sha,
)
from bot.agent.staging import staged
from bot.embedded import digest
from bot.settings import Settings

__all__ = [
    "Change",
    "Changes",
    "Entry",
    "Fault",
    "GitRefused",
    "Origin",
    "Workspace",
    "agent_home",
    "branch_name",
    "workspace",
]

MOST_FILE_BYTES = 2**20
MOST_PATCH_BYTES = 200_000
CUT = "\n… the patch is longer than is shown here.\n"
NOT_THERE = "The commit {sha} is not in the repository."
STALE = "The branch {branch} was changed by someone else in the meantime: nothing was pushed."


@dataclass
class Workspace:
    """The folders of one run, and what git does in them.

    `tree`: the sandbox's `/repo`; `tmp`: its `/tmp`; `owner`: the user they belong to, None: us.
    Everything raises `GitRefused` (a `Refused` with a `kind`) where git could not.
    """

    folder: Path
    mirror: Place
    origin: Origin
    owner: int | None = None
    discarded: bool = field(default=False, init=False)

    @property
    def tree(self) -> Path:
        """The work tree that the sandbox writes to."""
        return self.folder / "tree"

    @property
    def tmp(self) -> Path:
        """The sandbox's folder for temporary files."""
        return self.folder / "tmp"

    @property
    def own(self) -> Path:
        """The folder that nobody but us may enter."""
        return self.folder / "own"

    @property
    def place(self) -> Place:
        """Our own GIT_DIR, on the sandbox's work tree."""
        return Place(self.own / "git", self.tree, self.own / "index")

    @property
    def store(self) -> Place:
        """Our own GIT_DIR, without any work tree."""
        return Place(self.own / "git")

    def discard(self) -> None:
        """Have the folders deleted when the workspace is left."""
        self.discarded = True

    async def fetch(self, *refs: str) -> None:
        """Bring branches (`main`, `refs/heads/main`), `HEAD` or commits into the mirror."""
        await mirrors.fetch(self.mirror, self.origin, refs)

    async def resolve(self, ref: str) -> str | None:
        """Return the commit of a fetched branch, reference or sha; None where there is none."""
        return await mirrors.resolved(self.store, self.mirror, ref)

    async def read(self, sha: str, path: str, most_bytes: int = MOST_FILE_BYTES) -> bytes | None:
        """Return a file of a commit, cut at `most_bytes`; None where there is none.

        A link is followed inside the commit alone; the work tree is never looked at.
        """
        name = path.removeprefix("./")
        if not is_path(name):
            return None
        asked = f"{checked_sha(sha)}:{name}\n".encode()
        ask = Ask(stdin=asked, most_bytes=most_bytes + 200, cut=True)
        said = await git(self.store, "cat-file", "--batch", "--follow-symlinks", ask=ask)
        head, _, body = said.out.partition(b"\n")
        found = re.fullmatch(rb"[0-9a-f]+ blob ([0-9]+)", head)
        return body[: min(int(found[1]), most_bytes)] if found else None

    async def checkout(self, sha: str, *, again: bool = False) -> None:
        """Clone a commit into the work tree; one that is there already is kept, unless `again`."""
        done = self.own / "checked-out"
        if done.exists() and not again:
            return
        done.unlink(missing_ok=True)
        await self.clone(self.place, sha, self.tmp)
        done.write_text(sha)

    async def clone(self, place: Place, sha: str, tmp: Path, **more: int) -> None:
        """Make a work tree of a commit at a place, and its folder for temporary files."""
        assert place.tree  # noqa: S101 - a place with a work tree
        await self.there(sha)
        await removed(place.tree)
        for folder in (place.tree, tmp):
            private(folder)
        await checked_out(place, sha)
        await with_history(place, sha, **more)
        for folder in (place.tree, tmp):
            await give(folder, self.owner)

    async def there(self, sha: str) -> None:
        """Raise `GitRefused` unless a commit is here."""
        if not await mirrors.holds(self.store, checked_sha(sha)):
            raise GitRefused(NOT_THERE.format(sha=sha), "missing")

    async def changes(self, base: str) -> Changes:
        """Return what the work tree changed since a commit, whatever was done to its `.git`."""
        await self.there(base)
        tree, faults = await staged(self.place)
        return await compared(self.store, base, tree, faults)

    async def between(self, base: str, result: str) -> Changes:
        """Return what changed between two commits or trees."""
        return await compared(self.store, checked_sha(base), checked_sha(result))

    async def entries(self, tree: str) -> dict[str, Entry]:
        """Return every file of a tree by its path."""
        return await entries(self.store, checked_sha(tree))

    async def patch(
        self, base: str, tree: str, most_bytes: int = MOST_PATCH_BYTES, *, context: int = 3
    ) -> str:
        """Return the difference of two trees as a patch, cut at `most_bytes`."""
        how = ("-p", "-r", "--no-color", "--no-renames", "--no-ext-diff", "--no-textconv")
        more = (f"--unified={context}", "--ignore-submodules=none", "--end-of-options")
        ask = Ask(most_bytes=most_bytes, cut=True)
        said = await git(
            self.store, "diff-tree", *how, *more, checked_sha(base), checked_sha(tree), ask=ask
        )
        return said.out.decode("utf-8", "replace") + (CUT if len(said.out) == most_bytes else "")

    async def commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        *,
        name: str,
        email: str,
        at: datetime | None = None,
    ) -> str:
        """Make a commit of a tree; the same arguments with the same `at` make the same commit."""
        who = {"NAME": plain(name) or "Claude", "EMAIL": plain(email)}
        if at:
            who["DATE"] = f"@{int(at.timestamp())} +0000"
        both = {f"GIT_{role}_{key}": who[key] for role in ("AUTHOR", "COMMITTER") for key in who}
        told = [part for parent in parents for part in ("-p", checked_sha(parent))]
        ask = Ask(stdin=message.replace("\0", "").encode("utf-8", "replace"), environment=both)
        said = await git(self.store, "commit-tree", *told, "-F", "-", checked_sha(tree), ask=ask)
        return said.text

    async def remote_head(self, branch: str) -> str | None:
        """Return the commit that a branch of the agent has on the remote; None: no such branch."""
        ref = checked_branch(branch)
        url = checked_url(self.origin.url)
        said = await git(self.store, "ls-remote", "--", url, ref, ask=speaking(self.origin))
        found = [line.split("\t") for line in said.text.splitlines()]
        return next((sha for sha, name in found if name == ref and is_sha(sha)), None)

    async def push(self, sha: str, branch: str, *, expected: str | None) -> None:
        """Push a commit to a branch of the agent that is at `expected` (None: not there yet).

        Nothing happens where the remote has it already. Raises `GitRefused` of kind `stale` where
        the branch is somewhere else, and `Refused` at any branch but `claude/…`.
        """
        ref = checked_branch(branch)
        if await self.remote_head(branch) == checked_sha(sha):
            return
        url = checked_url(self.origin.url)
        lease = f"--force-with-lease={ref}:{checked_sha(expected) if expected else ''}"
        quiet = ("--quiet", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")
        more = ("--no-signed", "--no-thin", lease)
        try:
            ask = speaking(self.origin)
            await git(self.store, "push", *quiet, *more, "--", url, f"{sha}:{ref}", ask=ask)
        except GitRefused as error:
            if error.kind == "stale":
                raise GitRefused(STALE.format(branch=branch), "stale") from None
            raise

    @asynccontextmanager
    async def at(self, sha: str) -> AsyncIterator[tuple[Path, Path]]:
        """Check out a commit or a tree into fresh folders; yield work tree and temporary folder.

        Both are deleted at the end.
        """
        commit = await self.as_commit(checked_sha(sha))
        number = secrets.token_hex(8)
        folder = self.folder / f"at-{number}"
        own = self.own / f"index-{number}"
        folder.mkdir(mode=0o711)
        try:
            place = Place(self.own / "git", folder / "tree", own)
            await self.clone(place, commit, folder / "tmp", depth=1)
            yield folder / "tree", folder / "tmp"
        finally:
            own.unlink(missing_ok=True)
            await removed(folder)

    async def as_commit(self, sha: str) -> str:
        """Return a commit as it is, and a tree as a commit of it without parents."""
        await self.there(sha)
        kind = (await git(self.store, "cat-file", "-t", sha)).text
        if kind == "commit":
            return sha
        return await self.commit(sha, (), "Result", name="Claude", email="noreply@anthropic.com")


def plain(text: str) -> str:
    """Return a name or an address without what git's identities cannot hold."""
    return "".join(each for each in text if each.isprintable() and each not in "<>").strip()


async def prepared(space: Workspace) -> None:
    """Make what a run's folder lacks; delete what a killed worker left of checkouts."""
    async with mirrors.alone(space.mirror.folder.with_suffix(".lock")):
        await mirrors.make_bare(space.mirror.folder)
    private(space.own)
    await mirrors.make_bare(space.own / "git", borrowed=space.mirror.folder)
    for left in [*space.folder.glob("at-*"), *space.own.glob("index-*")]:
        await removed(left)
    for folder in (space.tree, space.tmp):
        if not folder.is_dir():
            await give(private(folder), space.owner)


@asynccontextmanager
async def workspace(
    settings: Settings, run_id: int, repository_id: str, origin: Origin, *, owner: int | None
) -> AsyncIterator[Workspace]:
    """Open the folders of a run, made where missing; they stay for the next time.

    Raises `Refused` at an address that git must not be given.
    """
    checked_url(origin.url)
    home = made_home(settings)
    mirror = Place(home / "mirrors" / f"{digest(f'{repository_id} {origin.url}')}.git")
    space = Workspace(run_folder(home, run_id), mirror, origin, owner)
    await prepared(space)
    try:
        yield space
    finally:
        if space.discarded:
            await removed(space.folder)
