"""Prompt templates: Markdown with a head, named placeholders, and a part for each kind of run.

`{{ name }}` stands for something that is trusted. A line `<!-- part: plan -->` begins what is added
for one kind of run only. What is written by strangers has no placeholder: it never becomes part of
the instructions.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

PLACEHOLDERS = {
    "rules": "the repository's own rules (CLAUDE.md, AGENTS.md)",
    "test": "the command that runs its tests",
    "protected": "the files that must not be changed",
    "number": "the issue's number",
    "type": "the ticket's type, such as bug",
    "priority": "the ticket's priority",
}
KINDS = ("develop", "plan", "review", "checks")
MOST = 40_000
PLACEHOLDER = re.compile(r"\{\{[ \t]*([^{}\n]*?)[ \t]*\}\}")
PART = re.compile(r"^[ \t]*<!--[ \t]*part:[ \t]*(\S*)[ \t]*-->[ \t]*$", re.MULTILINE)
HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


@cache
def default() -> str:
    """Return the template that Veelocity brings."""
    return resources.files("bot.agent").joinpath("prompt.md").read_text()


def head(template: str) -> dict[str, str]:
    """Return what stands in a template's head, such as name and version."""
    found = HEAD.match(template)
    lines = (line.partition(":") for line in found[1].split("\n")) if found else ()
    return {key.strip(): value.strip() for key, colon, value in lines if colon}


def parts(template: str) -> dict[str, str]:
    """Return the parts of a template by their kind; the first, for every kind, is named ``."""
    pieces = PART.split(HEAD.sub("", template, count=1))
    named = zip(pieces[1::2], pieces[2::2], strict=True)
    return {"": pieces[0].strip()} | {kind: body.strip() for kind, body in named}


def faults(template: str) -> list[str]:
    """Say what is wrong with a template; empty when it can be used."""
    said = []
    if not template.strip():
        said.append("It is empty.")
    if len(template) > MOST:
        said.append(f"It is longer than {MOST} characters.")
    unknown = dict.fromkeys(PLACEHOLDER.findall(template))
    if wrong := [name for name in unknown if name not in PLACEHOLDERS]:
        listed = ", ".join(f"{{{{ {name[:40]} }}}}" for name in wrong[:10])
        known = ", ".join(f"{{{{ {name} }}}}" for name in PLACEHOLDERS)
        said.append(f"There is no placeholder {listed}. Known are {known}.")
    if strange := [kind for kind in parts(template) if kind and kind not in KINDS]:
        listed = ", ".join(kind[:40] for kind in strange[:10])
        said.append(f"There is no kind of run named {listed}. Known are {', '.join(KINDS)}.")
    return said


def filled(template: str, kind: str, values: Mapping[str, str]) -> str:
    """Return the instructions for a kind of run; what a template leaves out, the default adds.

    Values are put in once and as they are: a placeholder in a value stays what it is.
    """
    own, ours = parts(template), parts(default())
    pieces = [own[""], own.get(kind) or ours.get(kind) or ""]
    joined = "\n\n".join(piece for piece in pieces if piece)
    named = PLACEHOLDER.findall(joined)
    if "rules" not in named:
        joined += "\n\n# The repository's own rules\n\n{{ rules }}"

    def value(found: re.Match[str]) -> str:
        return values.get(found[1], found[0])

    return PLACEHOLDER.sub(value, joined).strip() + "\n"
