"""What an organisation's rule of a repository means: which attempts to ship count (METRICS.md R1).

Pure. A rule narrows and names; it never makes a deployment that nobody told of.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from handlers.changes import Attempt, counting_source
from models.errors import Refused

AUTO = "auto"
COUNTED_BY = {
    "deployments": "deployment_status",
    "workflow": "workflow_run",
    "release": "release",
    "merge": "merge",
    "api": "api",
}
"""The source of attempts that each choice but `auto` stands for."""

CHOICES = (AUTO, *COUNTED_BY)
MOST_PATTERNS, LONGEST_PATTERN = 50, 200
OTHER_WORKFLOW = "the rule of this repository names other workflows"


@dataclass(frozen=True)
class Rule:
    """How a repository's deployments count; as it is made, by default.

    `source`: one of CHOICES. Patterns are globs, read without regard to case. `production` and
    `ignored` are of environments: those that fit `ignored` do not count, those that fit
    `production` are production, and all others are what they were told to be. `workflows` are of
    a workflow's name, file or file's path: where there are any, only runs of these are attempts.
    `changed_at`: None for a rule that is not kept.
    """

    source: str = AUTO
    production: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    changed_at: datetime | None = None


def fits(said: str, patterns: Iterable[str]) -> bool:
    """Tell whether a name fits one of some globs, whatever its case."""
    return any(fnmatchcase(said.lower(), pattern.lower()) for pattern in patterns)


def names_workflow(rule: Rule, name: str, path: str | None) -> bool:
    """Tell whether a rule names a workflow: by its name, its file's path or its file's name."""
    told = (name, path or "", PurePosixPath(path or "").name)
    return any(fits(said, rule.workflows) for said in told if said)


def judged(rule: Rule, attempts: Sequence[Attempt], named: Iterable[str]) -> list[Attempt]:
    """Return attempts with the class that a rule gives their environments, and why some are out.

    `named`: the ids of the runs whose workflows the rule names. Transient environments are left
    out altogether, unless the rule says that they are production.
    """
    known = frozenset(named)
    found = (judged_by(rule, attempt, known) for attempt in attempts)
    return [attempt for attempt in found if attempt.environment_class != "transient"]


def judged_by(rule: Rule, attempt: Attempt, named: frozenset[str]) -> Attempt:
    """Return one attempt as a rule sees it."""
    is_production = fits(attempt.environment, rule.production)
    to = "production" if is_production else attempt.environment_class
    return replace(attempt, environment_class=to, excluded=why_not(rule, attempt, named))


def why_not(rule: Rule, attempt: Attempt, named: frozenset[str]) -> str | None:
    """Say why a rule leaves an attempt out, None where it does not."""
    if fits(attempt.environment, rule.ignored):
        return f"the rule of this repository ignores the environment {attempt.environment}"
    if rule.workflows and attempt.source == "workflow_run" and attempt.id not in named:
        return OTHER_WORKFLOW
    return None


def counting(rule: Rule, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Return which source counts in each class of environments that was ever heard of.

    What the rule chooses counts in production even where it was never heard of, and elsewhere
    where it was: releases and merges tell of production only. All else is as by default.
    """
    heard: dict[str, list[Attempt]] = {attempt.environment_class: [] for attempt in attempts}
    for attempt in attempts:
        if attempt.excluded is None:
            heard[attempt.environment_class].append(attempt)
    return {name: source_of(rule, name, told) for name, told in heard.items()}


def source_of(rule: Rule, environment_class: str, heard: Iterable[Attempt]) -> str:
    """Return which source counts in a class, of the attempts heard of there."""
    heard = list(heard)
    chosen = COUNTED_BY.get(rule.source)
    if chosen and (
        environment_class == "production" or any(each.source == chosen for each in heard)
    ):
        return chosen
    return counting_source(heard)


def counts_merges(rule: Rule, attempts: Iterable[Attempt]) -> bool:
    """Tell whether merges are what counts in production, so that they have to be read."""
    here = (each for each in attempts if each.environment_class == "production")
    return source_of(rule, "production", (each for each in here if not each.excluded)) == "merge"


def superseded_because(rule: Rule, counted: str, attempt: Attempt) -> str:
    """Say why an attempt that succeeded does not count."""
    if attempt.excluded:
        return attempt.excluded
    whose = "deployments are counted" if rule.source == AUTO else "rule counts deployments"
    by, told = counted.replace("_", " "), attempt.source.replace("_", " ")
    return f"this repository's {whose} by {by}, not by {told}"


def checked_patterns(told: Sequence[str]) -> list[str]:
    """Return patterns as they are kept, each once; raise `Refused` for what cannot be one."""
    if len(told) > MOST_PATTERNS:
        raise Refused(f"There may be {MOST_PATTERNS} patterns at most.")
    cleaned = [pattern.strip() for pattern in told]
    for pattern in cleaned:
        if not pattern:
            raise Refused("A pattern is empty.")
        if len(pattern) > LONGEST_PATTERN:
            says = f"A pattern has at most {LONGEST_PATTERN} characters"
            raise Refused(f"{says}: {pattern[:40]!r} has more.")
        if not pattern.isprintable():
            raise Refused(f"A pattern has characters that cannot be seen: {pattern[:40]!r}.")
    return list(dict.fromkeys(cleaned))
