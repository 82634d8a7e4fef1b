"""What a workflow run means as a build: whether it counts, why it failed, what it builds. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import models

FAILED = frozenset({"failure", "timed_out"})
COUNTED = FAILED | {"success"}
REASONS: Mapping[str | None, str] = MappingProxyType(
    {
        None: "it still runs",
        "cancelled": "cancelled: it neither passed nor failed",
        "skipped": "skipped: nothing was run",
        "neutral": "neutral: it neither passed nor failed",
        "action_required": "it waits for an approval: nothing was run",
        "stale": "stale: GitHub gave it up",
        "startup_failure": "it could not start: nothing was run",
    }
)
TIMED_OUT, UNTOLD = "timed out", "no failed step was told"
LONGEST = 200

UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
HASH = re.compile(r"\b(?=[a-f]*[0-9])[0-9a-f]{7,64}\b", re.IGNORECASE)
ACTION = re.compile(r"(\b[\w.-]+/[\w./-]+)@[\w./-]+")
NUMBER = re.compile(r"\bv?\d+(?:\.[\dx]+)*(?:-(?:alpha|beta|rc|snapshot)[\w.]*)?\b", re.IGNORECASE)

COMMENT = re.compile(r"(?:^|\s)#.*$", re.MULTILINE)
IOS, ANDROID = "ios", "android"
SIGNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (IOS, re.compile(r"\bxcodebuild\b|\bxcrun\b|\bsetup-xcode\b|\bpod install\b")),
    (IOS, re.compile(r"\bfastlane ios\b|\bflutter build (?:ipa|ios)\b|\b(?:run|build)[:-]ios\b")),
    (ANDROID, re.compile(r"\bgradlew?\b|\bsetup-android\b|\bsdkmanager\b")),
    (ANDROID, re.compile(r"\bfastlane android\b|\bflutter build (?:apk|appbundle|aab)\b")),
    (ANDROID, re.compile(r"\b(?:run|build)[:-]android\b")),
)
EAS = re.compile(r"\beas build\b[^\n]*")
EAS_PLATFORM = re.compile(r"(?:--platform|-p)[ =](ios|android)\b")
FASTLANE = re.compile(r"\bfastlane (?!ios\b|android\b)\w+")
MACHINE = re.compile(r"\b(macos|ubuntu|linux)\b")


@dataclass(frozen=True)
class Run:
    """What is known of a workflow run: its last attempt, and what went before on its commit.

    `named`, `built`, `chosen`: the platform by the workflow's words, by its file, by a person (who
    may say `none`). `failed_before`: an earlier attempt, or an earlier run of the workflow on the
    same commit, had failed. `failed_job`, `failed_step`, `annotation`: of whatever failed first.
    """

    run_id: str
    organization_id: str
    repository_id: str
    workflow_id: str
    name: str
    path: str | None
    named: str | None
    built: str | None
    chosen: str | None
    event: str | None
    branch: str | None
    head_sha: str
    attempt: int
    conclusion: str | None
    started_at: datetime
    completed_at: datetime | None
    actor_login: str | None
    url: str | None
    failed_before: bool
    failed_job: str | None
    failed_step: str | None
    annotation: str | None

    @property
    def outcome(self) -> str | None:
        """How it ended; None while it runs."""
        return self.conclusion if self.completed_at else None

    @property
    def seconds(self) -> float | None:
        """How long its last attempt took; None while it runs."""
        if self.completed_at is None:
            return None
        return max((self.completed_at - self.started_at).total_seconds(), 0.0)


def build_of(run: Run) -> models.Build:
    """Return a run as it is counted: only what passed, failed or timed out is."""
    outcome, (platform, by) = run.outcome, platform_of(run)
    counted, failed = outcome in COUNTED, outcome in FAILED
    return models.Build(
        id=run.run_id,
        organization_id=run.organization_id,
        repository_id=run.repository_id,
        workflow_id=run.workflow_id,
        workflow=run.name or run.path or run.workflow_id,
        path=run.path,
        platform=platform,
        platform_by=by,
        event=run.event,
        branch=run.branch,
        head_sha=run.head_sha,
        attempts=run.attempt,
        outcome=outcome,
        counted=counted,
        reason=None
        if counted
        else REASONS.get(outcome, f"{outcome}: it neither passed nor failed"),
        flaky=outcome == "success" and run.failed_before,
        failure=failure_of(run) if failed else None,
        failed_job=run.failed_job if failed else None,
        annotation=run.annotation if failed else None,
        started_at=run.started_at,
        completed_at=run.completed_at,
        duration_seconds=run.seconds,
        actor_login=run.actor_login,
        url=run.url,
    )


def platform_of(run: Run) -> tuple[str | None, str | None]:
    """Return what a run builds for and who says so: a person before its name before its file."""
    if run.chosen:
        return (None if run.chosen == "none" else run.chosen), "person"
    if run.named:
        return run.named, "name"
    return (run.built, "file") if run.built else (None, None)


def failure_of(run: Run) -> str:
    """Return the reason of a failure: the step, else the job, that failed first."""
    told = run.failed_step or run.failed_job
    if told:
        return failure_group(told)
    return TIMED_OUT if run.outcome == "timed_out" else UNTOLD


def failure_group(name: str) -> str:
    """Return a step's name without what differs from run to run: numbers, versions, SHAs.

    `Run acme/setup@v4` is `Run acme/setup`, `Test shard (3/8)` is `Test shard (#/#)`.
    """
    folded = ACTION.sub(r"\1", name)
    for varying in (UUID, HASH, NUMBER):
        folded = varying.sub("#", folded)
    return " ".join(folded.split())[:LONGEST].rstrip() or UNTOLD


def platform_of_file(content: str) -> tuple[str | None, str | None]:
    """Return what a workflow file builds for, and the words that say so; None where it is no app.

    A file that builds for both is `mobile`. A lane of fastlane that names no platform is for iOS on
    a Mac, and for Android elsewhere, where nothing else can be built.
    """
    said = COMMENT.sub("", content)
    found = dict.fromkeys(sorted(signs(said)))
    platforms = {platform for platform, _ in found}
    if not platforms:
        return None, None
    evidence = ", ".join(dict.fromkeys(words for _, words in found))[:LONGEST]
    return (platforms.pop() if len(platforms) == 1 else "mobile"), evidence


def signs(said: str) -> Iterator[tuple[str, str]]:
    """Yield each platform that a file has a sign of, with the words."""
    for platform, sign in SIGNS:
        yield from ((platform, match.group()) for match in sign.finditer(said))
    for match in EAS.finditer(said):
        named = EAS_PLATFORM.findall(match.group()) or [IOS, ANDROID]
        yield from ((platform, "eas build") for platform in named)
    if lane := FASTLANE.search(said):
        machines = set(MACHINE.findall(said))
        if "macos" in machines:
            yield IOS, lane.group()
        if machines - {"macos"}:
            yield ANDROID, lane.group()
