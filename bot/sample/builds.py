"""GitHub Actions at work: `workflow_run`, `workflow_job`, `check_run`, `check_suite`."""

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.sample import payloads
from bot.sample.people import Person, user
from bot.sample.world import PullRequest, Repository, Steps, World


@dataclass(frozen=True)
class Workflow:
    """A file under `.github/workflows`; minutes and failures, early and late in the story.

    `steps`: those of its job, of which each but the first can fail.
    """

    name: str
    file: str
    job: str
    runner: str
    minutes: tuple[float, float]
    failures: tuple[float, float]
    steps: tuple[str, ...] = ("Run actions/checkout@v4", "Lint", "Run the tests")

    @property
    def path(self) -> str:
        """The file in the repository."""
        return f".github/workflows/{self.file}"


IOS = Workflow(
    "iOS",
    "ios.yml",
    "build-and-test",
    "macos-14",
    (24, 15),
    (0.17, 0.08),
    (
        *("Run actions/checkout@v4", "Install pods", "Build with Xcode 16.2", "Run unit tests"),
        *("Run UI tests (shard 1 of 2)", "Run UI tests (shard 2 of 2)", "Sign the app"),
    ),
)
ANDROID = Workflow(
    "Play Store",
    "play-store.yml",
    "assemble",
    "ubuntu-latest",
    (16, 10),
    (0.12, 0.06),
    ("Run actions/checkout@v4", "Lint", "Run unit tests", "Assemble the release"),
)
DEPLOY = Workflow(
    "Deploy",
    "deploy.yml",
    "deploy",
    "ubuntu-latest",
    (6, 4),
    (0, 0),
    ("Run actions/checkout@v4", "Deploy"),
)
FAILED = ("failure", "timed_out")


@dataclass(eq=False)
class Run:
    """One workflow run as it stands."""

    workflow: Workflow
    sha: str
    branch: str
    actor: Person
    pr: PullRequest | None = None
    id: int = 0
    number: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    attempt: int = 1
    status: str = "queued"
    conclusion: str | None = None


def check(
    world: World,
    repo: Repository,
    actor: Person,
    sha: str,
    branch: str,
    pr: PullRequest | None = None,
) -> None:
    """Start what this push has to pass; some pushes change nothing that CI looks at."""
    for workflow in _workflows(repo, sha):
        if workflow.file == "ci.yml" and world.chance(0.35):
            continue
        world.spawn(_run(world, repo, Run(workflow, sha, branch, actor, pr)))


def deploy_run(world: World, repo: Repository, actor: Person, sha: str) -> None:
    """The workflow that deploys: not a deployment of its own where GitHub has one (R1)."""
    world.spawn(_run(world, repo, Run(DEPLOY, sha, "main", actor)))


def _workflows(repo: Repository, sha: str) -> list[Workflow]:
    if repo.plan.name != "mobile":
        minutes = (repo.plan.build_minutes * 1.2, repo.plan.build_minutes * 0.8)
        return [Workflow("CI", "ci.yml", "test", "ubuntu-latest", minutes, (0.1, 0.06))]
    paths = [path for paths in repo.commits[sha].files for path in paths]
    shared = any(path.startswith("shared/") for path in paths) or not paths
    wanted = ((IOS, "ios/"), (ANDROID, "android/"))
    return [w for w, part in wanted if shared or any(path.startswith(part) for path in paths)]


def _run(world: World, repo: Repository, run: Run) -> Steps:
    """Queued, at work, completed, and sometimes again."""
    mobile = run.workflow in (IOS, ANDROID)
    yield world.minutes(0.05, 0.2)
    if not world.knows(repo):
        return
    run.id, run.created_at = world.id("run"), world.now
    repo.runs[run.workflow.file] = repo.runs.get(run.workflow.file, 900) + 1
    run.number = repo.runs[run.workflow.file]
    run.started_at = world.now
    if mobile or world.chance(0.1):
        _tell(world, repo, run, "requested")
    yield from _attempt(world, repo, run, mobile=mobile)
    if run.conclusion == "failure" and world.chance(0.4):
        yield world.minutes(3, 40)
        run.attempt, run.status, run.conclusion, run.started_at = 2, "queued", None, world.now
        _tell(world, repo, run, "requested")
        yield from _attempt(world, repo, run, mobile=mobile, again=True)


def _attempt(
    world: World, repo: Repository, run: Run, *, mobile: bool, again: bool = False
) -> Steps:
    job_id = world.id("job")
    queued_at = world.now
    yield world.minutes(0.1, 2 if mobile else 0.5)
    began_at = world.now
    run.status = "in_progress"
    if mobile and world.chance(0.35):
        _tell(world, repo, run, "in_progress")
        _tell_job(world, repo, run, _job(repo, run, job_id, queued_at, began_at))
    length = world.about(*run.workflow.minutes, spread=0.18)
    yield world.minutes(length, length)
    run.status, run.conclusion = "completed", _conclusion(world, run, again=again)
    if mobile or world.chance(0.3) or run.conclusion in FAILED:
        _tell_job(world, repo, run, _job(repo, run, job_id, queued_at, began_at, world.now))
    if world.chance(0.04):
        _tell_checks(world, repo, run, job_id, began_at)
    _tell(world, repo, run, "completed")


def _conclusion(world: World, run: Run, *, again: bool) -> str:
    if again:
        return "success" if world.chance(0.85) else "failure"
    if world.chance(*run.workflow.failures):
        return "failure"
    return world.pick((("success", 0.96), ("cancelled", 0.03), ("timed_out", 0.01)))


def _tell(world: World, repo: Repository, run: Run, action: str) -> None:
    body = {
        "action": action,
        "workflow": _workflow(repo, run),
        "workflow_run": _shape(world, repo, run),
    }
    world.send("workflow_run", body, user(run.actor), payloads.repository(repo))


def _workflow(repo: Repository, run: Run) -> dict[str, Any]:
    created = payloads.iso(repo.plan.created_at)
    return {
        "id": _workflow_id(repo, run),
        "name": run.workflow.name,
        "path": run.workflow.path,
        "state": "active",
        "created_at": created,
        "updated_at": created,
        "html_url": f"https://github.com/{repo.full_name}/blob/main/{run.workflow.path}",
    }


def _workflow_id(repo: Repository, run: Run) -> int:
    return 30_000_000 + zlib.crc32(f"{repo.plan.id}/{run.workflow.file}".encode()) % 9_000_000


def _shape(world: World, repo: Repository, run: Run) -> dict[str, Any]:
    head = repo.commits[run.sha]
    pages = f"https://github.com/{repo.full_name}/actions/runs/{run.id}"
    event = "pull_request" if run.pr and run.pr.number else "push"
    return {
        "id": run.id,
        "name": run.workflow.name,
        "head_branch": run.branch,
        "head_sha": run.sha,
        "path": run.workflow.path,
        "display_title": head.message.splitlines()[0],
        "run_number": run.number,
        "event": event,
        "status": run.status,
        "conclusion": run.conclusion,
        "workflow_id": _workflow_id(repo, run),
        "check_suite_id": run.id + 11,
        "url": f"{payloads.API}/repos/{repo.full_name}/actions/runs/{run.id}",
        "html_url": pages,
        "pull_requests": _mentions(repo, run) if event == "pull_request" else [],
        "created_at": payloads.iso(run.created_at),
        "updated_at": payloads.iso(world.now),
        "actor": user(run.actor),
        "triggering_actor": user(run.actor),
        "run_attempt": run.attempt,
        "run_started_at": payloads.iso(run.started_at),
        "head_commit": payloads.head_commit(head),
        "repository": payloads.nested_repository(repo),
        "head_repository": payloads.nested_repository(repo),
    }


def _mentions(repo: Repository, run: Run) -> list[dict[str, Any]]:
    pr = run.pr
    if pr is None or not pr.number:
        return []
    short = {"id": repo.plan.id, "name": repo.name, "url": f"{payloads.API}/repos/{repo.full_name}"}
    return [
        {
            "id": pr.id,
            "number": pr.number,
            "url": f"{payloads.API}/repos/{repo.full_name}/pulls/{pr.number}",
            "head": {"ref": pr.branch, "sha": run.sha, "repo": short},
            "base": {"ref": "main", "sha": pr.base, "repo": short},
        }
    ]


def _job(
    repo: Repository,
    run: Run,
    job_id: int,
    queued_at: datetime,
    began_at: datetime,
    done_at: datetime | None = None,
) -> dict[str, Any]:
    page = f"https://github.com/{repo.full_name}/actions/runs/{run.id}/job/{job_id}"
    return {
        "id": job_id,
        "run_id": run.id,
        "workflow_name": run.workflow.name,
        "head_branch": run.branch,
        "run_url": f"{payloads.API}/repos/{repo.full_name}/actions/runs/{run.id}",
        "run_attempt": run.attempt,
        "head_sha": run.sha,
        "html_url": page,
        "status": run.status,
        "conclusion": run.conclusion,
        "created_at": payloads.iso(queued_at),
        "started_at": payloads.iso(began_at),
        "completed_at": payloads.iso(done_at),
        "name": run.workflow.job,
        "steps": _steps(run, job_id, began_at, done_at),
        "labels": [run.workflow.runner],
        "runner_id": 5,
        "runner_name": "GitHub Actions 5",
        "runner_group_id": 2,
        "runner_group_name": "GitHub Actions",
    }


def _steps(
    run: Run, job_id: int, began_at: datetime, done_at: datetime | None
) -> list[dict[str, Any]]:
    """The steps of a job: what fails does so at one of them, and what comes after is skipped."""
    names, ends = run.workflow.steps, run.conclusion if done_at else None
    place = 1 + zlib.crc32(str(job_id).encode()) % (len(names) - 1)
    bad = ends not in (None, "success")
    return [
        {
            "name": name,
            "status": run.status,
            "conclusion": ends if not bad or number == place else _around(number, place),
            "number": number + 1,
            "started_at": payloads.iso(began_at),
            "completed_at": payloads.iso(done_at),
        }
        for number, name in enumerate(names)
    ]


def _around(number: int, place: int) -> str:
    return "success" if number < place else "skipped"


def _tell_job(world: World, repo: Repository, run: Run, job: dict[str, Any]) -> None:
    body = {"action": job["status"], "workflow_job": job}
    world.send("workflow_job", body, user(run.actor), payloads.repository(repo))


def _tell_checks(world: World, repo: Repository, run: Run, job_id: int, began_at: datetime) -> None:
    app = {"id": 15368, "slug": "github-actions", "name": "GitHub Actions", "owner": payloads.OWNER}
    suite = {
        "id": run.id + 11,
        "head_branch": run.branch,
        "head_sha": run.sha,
        "status": "completed",
        "conclusion": run.conclusion,
        "pull_requests": _mentions(repo, run),
        "app": app,
        "created_at": payloads.iso(run.created_at),
        "updated_at": payloads.iso(world.now),
    }
    checked = {
        "id": job_id,
        "name": run.workflow.job,
        "head_sha": run.sha,
        "external_id": "",
        "html_url": f"https://github.com/{repo.full_name}/runs/{job_id}",
        "status": "completed",
        "conclusion": run.conclusion,
        "started_at": payloads.iso(began_at),
        "completed_at": payloads.iso(world.now),
        "output": {"title": None, "summary": None, "text": None, "annotations_count": 0},
        "check_suite": suite,
        "app": app,
        "pull_requests": _mentions(repo, run),
    }
    about = payloads.repository(repo)
    sender = user(run.actor)
    world.send("check_run", {"action": "completed", "check_run": checked}, sender, about)
    whole = suite | {
        "latest_check_runs_count": 1,
        "head_commit": payloads.head_commit(repo.commits[run.sha]),
    }
    world.send("check_suite", {"action": "completed", "check_suite": whole}, sender, about)
