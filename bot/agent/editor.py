"""The model's editor: views and changes files in the sandbox, which alone opens their paths.

<https://docs.claude.com/en/docs/agents-and-tools/tool-use/text-editor-tool>
"""

import posixpath
import shlex
from collections.abc import Mapping
from typing import Any

from bot.agent.inputs import Wrong, text, value
from bot.agent.sandbox import Sandbox

SECONDS = 30
SHOWN_CHARACTERS = 10_000
MOST_BYTES = 350_000
MOST_NAMES = 400
AROUND = 4
WHOLE = (1, -1)
PLACES = ("/repo", "/tmp")  # noqa: S108 - the sandbox's own

LOOK = """\
p={path}
if [ ! -e "$p" ]; then exit 3; fi
if [ -d "$p" ]; then
  cd -- "$p" || exit 5
  find . -mindepth 1 -maxdepth 2 -not -path '*/.*' -not -path './node_modules/*' \
-not -path './*/node_modules/*' 2>/dev/null | LC_ALL=C sort | head -n {names}
  exit 4
fi
if [ ! -f "$p" ] || [ ! -r "$p" ]; then exit 5; fi
"""
VIEW = """\
grep -ac '' < "$p"
sed -n {lines} -- "$p" 2>/dev/null | head -c {most}
"""
READ = """\
if [ "$(wc -c < "$p")" -gt {most} ]; then exit 6; fi
cat -- "$p"
"""
WRITE = """\
p={path}
if [ -e "$p" ] && [ ! -f "$p" ]; then exit 5; fi
mkdir -p -- "$(dirname -- "$p")" && cat > "$p"
"""
ODD = {
    3: "{path} does not exist.",
    4: "{path} is a folder.",
    5: "{path} is no file that can be read or written.",
    6: "{path} has more than {most:,} bytes: change it with bash.",
}
COMMANDS = "`command` must be view, create, str_replace or insert."
OUTSIDE = "{path} is outside: paths are below /repo or /tmp, or relative to /repo."
UNSPEAKABLE = "`{name}` has characters in it that no file can have."
RANGE = "`view_range` must be two whole numbers: the first line from 1, and the last line or -1."
BEYOND = "{path} has {count:,} lines only."
BINARY = "{path} is a binary file."
LONGER = (
    "[lines {first}-{last} of {count} were shown; `view_range` shows others, bash finds things]"
)
NO_MATCH = (
    "`old_str` is not in {path}. It must be the same to the letter, with all spaces and line "
    "breaks: view the file again."
)
MATCHES = (
    "`old_str` is in {path} {count} times, in the lines {lines}. Add lines around it, so that it "
    "is there once."
)
LINES = "`insert_line` must be a whole number from 0 (before the first line) to {count}."
TOO_MUCH = "That is more than {most:,} bytes: write it in several files, or with bash."


async def edited(sandbox: Sandbox, given: Mapping[str, Any]) -> str:
    """Do what the editor is asked for and return what the model sees; raise `Wrong` otherwise."""
    commands = {"view": view, "create": create, "str_replace": replace, "insert": insert}
    command = commands.get(text(given, "command"))
    if command is None:
        raise Wrong(COMMANDS)
    return await command(sandbox, path_of(given), given)


def path_of(given: Mapping[str, Any]) -> str:
    """Return the path inside the sandbox that is meant."""
    told = speakable(given, "path")
    path = posixpath.normpath(posixpath.join("/repo", told))
    if "\0" in path or "\n" in path:
        raise Wrong(UNSPEAKABLE.format(name="path"))
    if not any(path == place or path.startswith(f"{place}/") for place in PLACES):
        raise Wrong(OUTSIDE.format(path=told[:200]))
    return path


def speakable(given: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    """Return a text that can be written as UTF-8."""
    told = text(given, name, empty=empty)
    try:
        told.encode()
    except UnicodeEncodeError:
        raise Wrong(UNSPEAKABLE.format(name=name)) from None
    return told


async def view(sandbox: Sandbox, path: str, given: Mapping[str, Any]) -> str:
    """Return the lines of a file with their numbers, or what is in a folder, two levels deep."""
    first, last = range_of(given)
    lines = shlex.quote(f"{first},{'$' if last == -1 else last}p")
    script = LOOK + VIEW.format(lines=lines, most=SHOWN_CHARACTERS * 4)
    done = await sandbox.run(script_for(script, path), seconds=SECONDS)
    shown = done.whole.decode(errors="replace")
    if done.code == 4:
        return listed(path, shown)
    raise_odd(done.code, path)
    count, _, body = shown.partition("\n")
    return numbered(path, body, first, int(count))


def range_of(given: Mapping[str, Any]) -> tuple[int, int]:
    """Return the first and the last line to show; -1 stands for the end."""
    told = given.get("view_range")
    if told is None:
        return WHOLE
    if not isinstance(told, list) or len(told) != 2 or not all(type(n) is int for n in told):
        raise Wrong(RANGE)
    first, last = told
    if first < 1 or (last != -1 and last < first):
        raise Wrong(RANGE)
    return first, last


def script_for(script: str, path: str) -> str:
    """Return a script with a path in it, as one word of the shell's."""
    return script.replace("{names}", str(MOST_NAMES)).replace("{path}", shlex.quote(path))


def raise_odd(code: int, path: str) -> None:
    """Raise `Wrong` for what a script found in the place of a file."""
    if code:
        odd = ODD.get(code, "{path} could not be opened.")
        raise Wrong(odd.format(path=path, most=MOST_BYTES))


def listed(path: str, names: str) -> str:
    """Return what is in a folder."""
    found = [f"{path}/{name.removeprefix('./')}" for name in names.splitlines()]
    more = ["[there is more]"] if len(found) >= MOST_NAMES else []
    return "\n".join([f"{path}/", *found, *more])[:SHOWN_CHARACTERS]


def numbered(path: str, body: str, first: int, count: int) -> str:
    """Return lines with their numbers, as many as fit, and say which others there are."""
    if "\0" in body:
        raise Wrong(BINARY.format(path=path))
    if not body:
        if first > 1:
            raise Wrong(BEYOND.format(path=path, count=count))
        return f"{path} is empty."
    shown, room = [], SHOWN_CHARACTERS
    for number, line in enumerate(body.removesuffix("\n").split("\n"), first):
        shown.append(f"{number:6}\t{line}"[: max(room, 0)])
        room -= len(shown[-1]) + 1
        if room <= 0:
            shown.append(LONGER.format(first=first, last=number, count=max(count, number)))
            break
    return "\n".join(shown)


async def create(sandbox: Sandbox, path: str, given: Mapping[str, Any]) -> str:
    """Write a file, and the folders above it; what it held before is gone."""
    body = speakable(given, "file_text", empty=True)
    await write(sandbox, path, body)
    return f"{path} was written: {body.count(chr(10)) + (not body.endswith(chr(10)))} lines."


async def replace(sandbox: Sandbox, path: str, given: Mapping[str, Any]) -> str:
    """Replace a text that is in a file exactly once; without `new_str` it is taken out."""
    old = speakable(given, "old_str", empty=True)
    if not old:
        raise Wrong("`old_str` is empty.")
    new = "" if given.get("new_str") is None else speakable(given, "new_str", empty=True)
    body = await read(sandbox, path)
    if "\r\n" in body and old not in body:
        old, new = windows(old), windows(new)
    count = body.count(old)
    if count != 1:
        raise Wrong(mismatch(path, body, old, count))
    at = body.index(old)
    body = body[:at] + new + body[at + len(old) :]
    await write(sandbox, path, body)
    return f"{path} was changed:\n{around(body, at, at + len(new))}"


def windows(told: str) -> str:
    """Return a text with the line ends of Windows."""
    return told.replace("\r\n", "\n").replace("\n", "\r\n")


def mismatch(path: str, body: str, old: str, count: int) -> str:
    """Say why a text cannot be replaced: it is not there, or where it is."""
    if not count:
        return NO_MATCH.format(path=path)
    lines, at = [], -1
    for _ in range(min(count, 20)):
        at = body.index(old, at + 1 if at < 0 else at + len(old))
        lines.append(str(body.count("\n", 0, at) + 1))
    return MATCHES.format(path=path, count=count, lines=", ".join(lines))


async def insert(sandbox: Sandbox, path: str, given: Mapping[str, Any]) -> str:
    """Put a text after a line of a file; 0 is before the first."""
    after, new = value(given, "insert_line", int), speakable(given, "insert_text", empty=True)
    body = await read(sandbox, path)
    lines = body.removesuffix("\n").split("\n") if body else []
    if not 0 <= after <= len(lines):
        raise Wrong(LINES.format(count=len(lines)))
    head = "".join(f"{line}\n" for line in lines[:after])
    tail = body[len(head) :]
    if not new.endswith("\n"):
        new += "\n"
    await write(sandbox, path, head + new + tail)
    return f"{path} was changed:\n{around(head + new + tail, len(head), len(head + new) - 1)}"


def around(body: str, start: int, end: int) -> str:
    """Return the lines of a change with a few around them, so that it can be looked at."""
    lines = body.removesuffix("\n").split("\n")
    first = max(body.count("\n", 0, start) - AROUND, 0)
    last = min(body.count("\n", 0, end) + AROUND + 1, len(lines))
    shown = "\n".join(f"{n + 1:6}\t{lines[n]}" for n in range(first, last))
    visible = shown.encode(errors="replace").decode()
    return visible if len(visible) <= SHOWN_CHARACTERS else f"{visible[:SHOWN_CHARACTERS]}…"


async def read(sandbox: Sandbox, path: str) -> str:
    """Return what a text file holds; bytes that are not UTF-8 come back as they were."""
    script = LOOK + READ.format(most=MOST_BYTES)
    done = await sandbox.run(script_for(script, path), seconds=SECONDS)
    raise_odd(done.code, path)
    if b"\0" in done.whole:
        raise Wrong(BINARY.format(path=path))
    return done.whole.decode(errors="surrogateescape")


async def write(sandbox: Sandbox, path: str, body: str) -> None:
    """Write a text file as a whole."""
    whole = body.encode(errors="surrogateescape")
    if len(whole) > MOST_BYTES:
        raise Wrong(TOO_MUCH.format(most=MOST_BYTES))
    done = await sandbox.run(script_for(WRITE, path), seconds=SECONDS, stdin=whole)
    if done.code and done.code not in ODD:
        raise Wrong(f"{path} could not be written: {done.output[:500]}")
    raise_odd(done.code, path)
