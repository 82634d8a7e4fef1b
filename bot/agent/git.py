"""Runs git where the work tree belongs to an attacker: nothing that it holds is ever executed.

An own GIT_DIR, an own environment, and no configuration but what is here; see gitconfig's
documentation, https://git-scm.com/docs/git-config. What git complains of becomes a sentence
(`GitRefused`) that never holds the token.
"""

import asyncio
import base64
import contextlib
import os
import re
import shutil
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import SecretStr

from models.errors import Refused

PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
NOWHERE = "/nonexistent"
LOCAL_SECONDS = 60.0
REMOTE_SECONDS = 1800.0
STUBBORN_SECONDS = 2.0
MOST_BYTES = 64 * 2**20
MOST_WORDS = 300

ENVIRONMENT = {
    "PATH": PATH,
    "HOME": NOWHERE,
    "XDG_CONFIG_HOME": NOWHERE,
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "GIT_SSH_COMMAND": "false",
    "GIT_EDITOR": "false",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
CONFIGURATION = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.excludesFile": os.devnull,
    "core.attributesFile": os.devnull,
    "core.sshCommand": "false",
    "core.gitProxy": "false",
    "core.askPass": "false",
    "core.protectNTFS": "true",
    "core.protectHFS": "true",
    "core.autocrlf": "false",
    "core.safecrlf": "false",
    "core.fileMode": "true",
    "core.symlinks": "true",
    "core.ignoreCase": "false",
    "core.trustctime": "false",  # giving the tree to another user changes it
    "core.checkStat": "minimal",  # and the owner
    "safe.bareRepository": "explicit",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "push.recurseSubmodules": "no",
    "push.followTags": "false",
    "push.gpgSign": "false",
    "commit.gpgSign": "false",
    "gpg.program": "false",
    "credential.helper": "",
    "diff.renames": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "advice.addEmbeddedRepo": "false",
    "init.defaultBranch": "main",
}
ATTRIBUTES = "* -text -eol -ident -filter -working-tree-encoding !diff !merge\n"

NO_GIT = "git is not installed: install it (such as by apt-get install git)."
TOO_SLOW = "git {what} took longer than {seconds:.0f} seconds and was stopped."
TOO_MUCH = "git {what} told more than {most} bytes."
# What git says, the kind of it, and what a person reads: the first that fits.
COMPLAINTS = (
    (r"couldn't find remote ref|not our ref|no such ref", "missing", "The branch or commit asked "
     "for is not in the repository."),
    (r"without `?workflows`? permission", "access", "The GitHub App may not change workflows."),
    (r"stale info|\(fetch first\)|non-fast-forward|cannot lock ref", "stale", "The branch on the "
     "remote was changed by someone else in the meantime."),
    (r"\[remote rejected\].*\((.+)\)", "rejected", "The remote did not take the branch: {0}."),
    (r"Permission to .* denied|Write access|error: 403|not allowed to push", "access",
     "The app may not do this in the repository: it needs the permission Contents: write."),
    (r"Authentication failed|could not read (?:Username|Password)|error: 401", "access",
     "The repository does not accept the app's token."),
    (r"[Rr]epository .*not found|not found$|does not appear to be a git repository"
     r"|does not exist|error: 404", "missing",
     "The repository was not found, or the app has no access to it."),
    (r"unable to update url base|error: 30\d", "moved", "The repository has moved to another "
     "address."),
    (r"Could not resolve|[Ff]ailed to connect|Couldn't connect|Connection (?:refused|reset|timed)"
     r"|too slow|error: 5\d\d|timed out|hung up unexpectedly|early EOF|SSL|certificate",
     "unreachable", "The repository cannot be reached just now."),
    (r"No space left on device", "space", "The disk is full."),
)  # fmt: skip


class GitRefused(Refused):
    """What git could not do, in words.

    `kind`: missing, access, stale, rejected, moved, unreachable, space, slow, other.
    """

    def __init__(self, words: str, kind: str = "other") -> None:
        super().__init__(words)
        self.kind = kind


@dataclass(frozen=True)
class Place:
    """Where a git command works: its GIT_DIR, and a work tree and index where it needs them."""

    folder: Path
    tree: Path | None = None
    index: Path | None = None


def work_of(place: Place) -> tuple[Path, Path]:
    """Return the work tree and the index of a place that has them."""
    if place.tree is None or place.index is None:
        raise ValueError("this place has no work tree")
    return place.tree, place.index


@dataclass(frozen=True)
class Origin:
    """A repository to fetch from and push to: its address without credentials, and a token.

    `url`: `https://…/owner/name.git`, `http://` on loopback only, or `file:///…`.
    """

    url: str
    token: SecretStr | None = None


@dataclass(frozen=True)
class Ask:
    """How one command is run: what it reads, how long, how much it may say, extra environment.

    `secrets` are the texts that no error may repeat; `cut`: what is too much is cut, not refused.
    """

    stdin: bytes = b""
    seconds: float = LOCAL_SECONDS
    most_bytes: int = MOST_BYTES
    cut: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Said:
    """What a command said: exit code, standard output, and standard error as text."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """The output as one stripped text."""
        return self.out.decode("utf-8", "replace").strip()


PLAIN = Ask()


async def git(place: Place, *arguments: str, ask: Ask = PLAIN) -> Said:
    """Run a git command in `place`. Raises `GitRefused` at any code but those of `ask.codes`."""
    program = shutil.which("git", path=PATH)
    if program is None:
        raise GitRefused(NO_GIT)
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        cwd=place.tree or place.folder,
        env=environment(place, ask.environment),
        start_new_session=True,
        umask=0o022,
        pass_fds=ask.descriptors,
    )
    said = await heard(process, arguments[0], ask)
    if said.code not in ask.codes and not (ask.cut and len(said.out) == ask.most_bytes):
        raise complaint(arguments[0], said.err, ask.secrets)
    return said


def environment(place: Place, more: Mapping[str, str]) -> dict[str, str]:
    """Return all that a git process gets to see. Our configuration comes by it as well."""
    numbered = dict(more)
    count = int(numbered.get("GIT_CONFIG_COUNT", 0))
    for number, (key, value) in enumerate(CONFIGURATION.items(), start=count):
        numbered |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    places = {"GIT_DIR": place.folder, "GIT_WORK_TREE": place.tree, "GIT_INDEX_FILE": place.index}
    named = {name: str(path.absolute()) for name, path in places.items() if path}
    total = {"GIT_CONFIG_COUNT": str(count + len(CONFIGURATION))}
    return ENVIRONMENT | named | numbered | total


def configured(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that sets configuration of one command, and no argument of it."""
    written = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        written |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return written


def speaking(origin: Origin, ask: Ask = PLAIN) -> Ask:
    """Return how a command speaks to a remote: one protocol allowed, the token for that address.

    The token is in the environment of this one process: never an argument, an address or a file.
    """
    scheme = origin.url.partition("://")[0]
    settings = {f"protocol.{scheme}.allow": "always"}
    secrets: tuple[str, ...] = ()
    if origin.token and scheme != "file":
        token = origin.token.get_secret_value()
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        settings[f"http.{origin.url}.extraHeader"] = f"Authorization: Basic {basic}"
        secrets = (token, basic)
    told = dict(ask.environment) | configured(settings)
    return replace(ask, seconds=REMOTE_SECONDS, environment=told, secrets=secrets)


async def heard(process: Process, what: str, ask: Ask) -> Said:
    """Feed a process and hear it out. It is ended at the time limit, and when we are cancelled."""
    assert process.stdout  # noqa: S101 - asked for as a pipe
    assert process.stderr  # noqa: S101 - and this
    try:
        async with asyncio.timeout(ask.seconds):
            out, err, _ = await asyncio.gather(
                whole(process, process.stdout, ask.most_bytes),
                last(process.stderr),
                feed(process, ask),
            )
            await process.wait()
    except TimeoutError:
        words = TOO_SLOW.format(what=what, seconds=ask.seconds)
        raise GitRefused(words, "slow") from None
    finally:
        await asyncio.shield(end(process, process.stdout, process.stderr))
    if len(out) == ask.most_bytes and not ask.cut:
        raise GitRefused(TOO_MUCH.format(what=what, most=ask.most_bytes))
    return Said(process.returncode or 0, out, err)


async def whole(process: Process, stream: asyncio.StreamReader, most_bytes: int) -> bytes:
    """Read a stream to its end; a process that says more than is wanted is ended."""
    parts, left = [], most_bytes
    while left > 0 and (part := await stream.read(min(left, 2**18))):
        parts.append(part)
        left -= len(part)
    if not left:
        await end(process, stream)
    return b"".join(parts)


async def last(stream: asyncio.StreamReader, most_bytes: int = 2**18) -> str:
    """Read a stream to its end and return its last words."""
    kept = b""
    while part := await stream.read(2**16):
        kept = (kept + part)[-most_bytes:]
    return kept.decode("utf-8", "replace")


async def feed(process: Process, ask: Ask) -> None:
    """Give a process what it reads; one that does not want all of it is no fault."""
    assert process.stdin  # noqa: S101 - asked for as a pipe
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(ask.stdin)
        await process.stdin.drain()
    process.stdin.close()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await process.stdin.wait_closed()


async def end(process: Process, *unread: asyncio.StreamReader) -> None:
    """End a process and its children: first so that git can take back its lock files.

    What it still says on `unread` is dropped, so that they close: streams that nobody else reads.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STUBBORN_SECONDS)
    for stream in unread:
        while await stream.read(2**18):
            pass


def complaint(what: str, err: str, secrets: Sequence[str] = ()) -> GitRefused:
    """Return what git complained of as words for people, without any of `secrets`."""
    clean = err
    for secret in secrets:
        clean = clean.replace(secret, "***")
    for pattern, kind, words in COMPLAINTS:
        if found := re.search(pattern, clean, re.MULTILINE):
            return GitRefused(words.format(*(shown(part) for part in found.groups())), kind)
    lines = [line for line in clean.splitlines() if line.startswith(("fatal:", "error:"))]
    said = lines[0] if lines else clean.strip().rpartition("\n")[2]
    return GitRefused(f"git {what} failed: {shown(said)}")


def shown(text: str) -> str:
    """Return foreign words as one short line without control characters."""
    return "".join(each if each.isprintable() else " " for each in text)[:MOST_WORDS].strip()
