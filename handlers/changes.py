"""What a sequence of deployments means: the source that counts, their kinds, their changes' times.

Pure, and the only place where METRICS.md R1 and R3 are decided.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import pairwise

SOURCES = ("deployment_status", "workflow_run", "release", "api", "merge")
CORRECTIVE_TITLES = ("hotfix", 'revert "', "revert:")
CORRECTIVE_BRANCHES = ("hotfix/", "hotfix-", "revert-", "revert/")
BOT_SUFFIX = "[bot]"


@dataclass(frozen=True)
class Attempt:
    """A finished attempt to deploy: its first success, or else its last failure.

    `excluded`: why the rule of its repository leaves it out, None where it does not.
    """

    id: str
    source: str
    environment: str
    environment_class: str
    sha: str
    ref: str | None
    creator_login: str | None
    created_at: datetime
    succeeded: bool
    finished_at: datetime
    url: str | None
    excluded: str | None = None


@dataclass(frozen=True)
class Shape:
    """A service's name, the environments it runs in and the paths it is made of (none: all)."""

    name: str
    environment: str
    paths: tuple[str, ...] = ()

    def runs_in(self, environment: str) -> bool:
        """Tell whether a deployment to an environment deploys this service."""
        return fnmatchcase(environment.lower(), self.environment.lower())

    def made_of(self, paths: Sequence[str] | None) -> bool:
        """Tell whether a change touches this service; unknown paths might, so they do."""
        if not self.paths or paths is None:
            return True
        return any(fnmatchcase(path, pattern) for path in paths for pattern in self.paths)


@dataclass(frozen=True)
class Moments:
    """The times of a change, from its first commit to production."""

    first_commit_at: datetime
    ready_at: datetime | None
    first_review_at: datetime | None
    merged_at: datetime
    deployed_at: datetime


@dataclass(frozen=True)
class Stages:
    """A lead time and the four stages that it is the sum of, all in seconds."""

    lead: float
    coding: float
    pickup: float
    review: float
    deploy: float


def counting_source(attempts: Iterable[Attempt]) -> str:
    """Return the one source that counts, of those that were ever heard of; merges count last.

    METRICS.md names merges before reports by API; a repository that reports has said which of
    the two it means, so reports come first here.
    """
    heard = {attempt.source for attempt in attempts}
    return next((source for source in SOURCES if source in heard), "merge")


def shapes_of(environment: str, described: Sequence[Shape]) -> list[Shape]:
    """Return the services that a deployment to an environment deploys; by default itself."""
    found = [shape for shape in described if shape.runs_in(environment)]
    return found or [Shape(environment, environment)]


def kind_of(sha: str, running: str | None, seen: Iterable[str]) -> str:
    """Return baseline, redeploy, rollback or new; a new one may yet prove to be a rollforward."""
    if running is None:
        return "baseline"
    if sha == running:
        return "redeploy"
    return "rollback" if sha in seen else "new"


def is_corrective(title: str, branch: str = "", labels: Iterable[str] = ()) -> bool:
    """Tell whether a change repairs production: a revert or a hotfix by title, branch or label."""
    return (
        title.lower().startswith(CORRECTIVE_TITLES)
        or branch.lower().startswith(CORRECTIVE_BRANCHES)
        or any(label.lower() == "hotfix" for label in labels)
    )


def cohort_of(login: str | None, name: str | None) -> str:
    """Return the cohort of a commit's author, of whom only names are known."""
    said = (login or name or "").lower()
    return "bots" if said.endswith(BOT_SUFFIX) else "people"


def stages_of(moments: Moments) -> Stages:
    """Cut a lead time into coding, pickup, review and deploy, which sum to it.

    Each boundary is held between its neighbours, so that no stage is negative. Without a review
    the merge is the first answer: all of open → merge is pickup.
    """
    start = moments.first_commit_at
    end = max(moments.deployed_at, start)
    merged = min(max(moments.merged_at, start), end)
    ready = min(max(moments.ready_at or merged, start), merged)
    review = min(max(moments.first_review_at or merged, ready), merged)
    marks = (start, ready, review, merged, end)
    coding, pickup, reviewing, deploy = (
        (later - earlier).total_seconds() for earlier, later in pairwise(marks)
    )
    return Stages((end - start).total_seconds(), coding, pickup, reviewing, deploy)


def grouped(shas: Sequence[str], owners: Mapping[str, str]) -> dict[str, list[str]]:
    """Group the commits of a range by the pull request that owns them, in order of appearance."""
    groups: dict[str, list[str]] = {}
    for sha in shas:
        if owner := owners.get(sha):
            groups.setdefault(owner, []).append(sha)
    return groups
