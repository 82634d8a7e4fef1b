"""What a fake GitHub keeps of each repository: the newest object of each kind, with its children.

It is built by hand, or from the webhooks that told of it (`absorb`), as GitHub would have it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

STATUSES = {"queued": 0, "in_progress": 1, "completed": 2}
TURNS = {"ready_for_review": "ReadyForReviewEvent", "converted_to_draft": "ConvertToDraftEvent"}
HEADS = "refs/heads/"
GONE = frozenset({"deleted", "transferred"})


@dataclass
class PastRepository:
    """A repository's past as REST describes it. Pull requests and issues are by number.

    `reviews`, `comments`, `commits` and `timeline` are by the number they belong to; `remarks` by
    the review's id, `statuses` by the deployment's, `runs` by the run's and the attempt.
    `branches`: the commits that were pushed to each branch since it was made.
    """

    repository: Json
    pulls: dict[int, Json] = field(default_factory=dict)
    issues: dict[int, Json] = field(default_factory=dict)
    commits: dict[int, list[Json]] = field(default_factory=dict)
    reviews: dict[int, dict[int, Json]] = field(default_factory=dict)
    remarks: dict[int, dict[int, Json]] = field(default_factory=dict)
    comments: dict[int, dict[int, Json]] = field(default_factory=dict)
    timeline: dict[int, list[Json]] = field(default_factory=dict)
    deployments: dict[int, Json] = field(default_factory=dict)
    statuses: dict[int, dict[int, Json]] = field(default_factory=dict)
    workflows: dict[int, Json] = field(default_factory=dict)
    runs: dict[int, dict[int, Json]] = field(default_factory=dict)
    jobs: dict[int, Json] = field(default_factory=dict)
    releases: dict[int, Json] = field(default_factory=dict)
    branches: dict[str, list[Json]] = field(default_factory=dict)

    def absorb(self, event: str, payload: Mapping[str, Any]) -> None:
        """Take in what a webhook tells, if it is newer than what is known."""
        told = payload["repository"]
        if event != "push" and "updated_at" in told:
            self.repository = newer(self.repository, told)
        taken = TAKERS.get(event)
        if taken:
            taken(self, dict(payload))

    def pull_of(self, ref: str) -> Iterator[Json]:
        """Yield the open pull requests of a branch."""
        for pull in self.pulls.values():
            if pull["head"]["ref"] == ref and pull["state"] == "open":
                yield pull


def newer(known: Json | None, told: Json, *clocks: str) -> Json:
    """Return what is known of a thing after something more was told of it."""
    if known is None:
        return dict(told)
    for clock in clocks or ("updated_at",):
        before, now = known.get(clock), told.get(clock)
        if before and now and now < before:
            return {**told, **known}
    return {**known, **told}


def take_pull(past: PastRepository, payload: Json) -> None:
    told, action = payload["pull_request"], payload.get("action", "")
    number = told["number"]
    past.pulls[number] = newer(past.pulls.get(number), told)
    if payload.get("action") == "closed" and told.get("merged_at"):
        past.pulls[number].setdefault("merged_by", payload.get("sender"))
    branch = past.branches.get(told["head"]["ref"], [])
    pushed = [each for each in branch if each.get("distinct", True)]
    if pushed and action in ("opened", "synchronize", "reopened"):
        past.commits[number] = pushed[-int(told.get("commits") or len(pushed)) :]
    if action in TURNS:
        turn = {"type": TURNS[action], "at": told["updated_at"], "actor": payload.get("sender")}
        past.timeline.setdefault(number, []).append(turn)


def take_push(past: PastRepository, payload: Json) -> None:
    if not payload["ref"].startswith(HEADS):
        return
    branch = payload["ref"].removeprefix(HEADS)
    if payload.get("deleted"):
        return
    anew = payload.get("created") or payload.get("forced")
    before = [] if anew else past.branches.get(branch, [])
    past.branches[branch] = [*before, *payload["commits"]]
    for pull in past.pull_of(branch):
        if payload.get("forced"):
            event = {"type": "HeadRefForcePushedEvent", "at": payload_time(payload)}
            event |= {"before": payload["before"], "after": payload["after"]}
            event["actor"] = payload.get("sender")
            past.timeline.setdefault(pull["number"], []).append(event)


def payload_time(payload: Json) -> str:
    """Return when a push was, as GitHub writes times."""
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(int(payload["repository"]["pushed_at"]), UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def take_review(past: PastRepository, payload: Json) -> None:
    pull, review = payload["pull_request"], payload["review"]
    if pull["number"] in past.pulls:
        past.pulls[pull["number"]] = newer(past.pulls[pull["number"]], pull)
    known = past.reviews.setdefault(pull["number"], {})
    if (known.get(review["id"]) or {}).get("state") != "dismissed":
        known[review["id"]] = {**known.get(review["id"], {}), **review}


def take_remark(past: PastRepository, payload: Json) -> None:
    pull, remark = payload["pull_request"], payload["comment"]
    review_id = remark.get("pull_request_review_id") or -remark["id"]
    reviews = past.reviews.setdefault(pull["number"], {})
    pending = {"id": review_id, "state": "pending", "user": remark["user"], "submitted_at": None}
    reviews.setdefault(review_id, pending)
    take_or_leave(past.remarks.setdefault(review_id, {}), remark, payload)


def take_issue(past: PastRepository, payload: Json) -> None:
    issue = payload["issue"]
    if payload.get("action") in GONE:
        past.issues.pop(issue["number"], None)
        return
    past.issues[issue["number"]] = newer(past.issues.get(issue["number"]), issue)


def take_comment(past: PastRepository, payload: Json) -> None:
    issue = payload["issue"]
    past.issues[issue["number"]] = newer(past.issues.get(issue["number"]), issue)
    comments = past.comments.setdefault(issue["number"], {})
    take_or_leave(comments, payload["comment"], payload)


def take_or_leave(known: dict[int, Json], told: Json, payload: Json) -> None:
    """Take what was made or edited, leave what was deleted."""
    if payload.get("action") == "deleted":
        known.pop(told["id"], None)
        return
    known[told["id"]] = newer(known.get(told["id"]), told)


def take_deployment(past: PastRepository, payload: Json) -> None:
    told = payload["deployment"]
    past.deployments[told["id"]] = newer(past.deployments.get(told["id"]), told)


def take_status(past: PastRepository, payload: Json) -> None:
    take_deployment(past, payload)
    status, deployment_id = payload["deployment_status"], payload["deployment"]["id"]
    past.statuses.setdefault(deployment_id, {})[status["id"]] = status
    deployment = past.deployments[deployment_id]
    moved = max(deployment.get("updated_at") or "", status["created_at"])
    past.deployments[deployment_id] = deployment | {"updated_at": moved}


def take_run(past: PastRepository, payload: Json) -> None:
    run = payload["workflow_run"]
    if workflow := payload.get("workflow"):
        past.workflows[workflow["id"]] = newer(past.workflows.get(workflow["id"]), workflow)
    attempts = past.runs.setdefault(run["id"], {})
    attempt = run.get("run_attempt") or 1
    known = attempts.get(attempt)
    attempts[attempt] = furthest(known, newer(known, run))


def take_job(past: PastRepository, payload: Json) -> None:
    job = payload["workflow_job"]
    past.jobs[job["id"]] = furthest(past.jobs.get(job["id"]), job)


def furthest(known: Json | None, told: Json) -> Json:
    """Return what has come further: a job only moves from queued to completed."""
    if known and STATUSES.get(told["status"], 0) < STATUSES.get(known["status"], 0):
        return known
    return dict(told)


def take_release(past: PastRepository, payload: Json) -> None:
    take_or_leave(past.releases, payload["release"], payload)


TAKERS = {
    "pull_request": take_pull,
    "push": take_push,
    "pull_request_review": take_review,
    "pull_request_review_comment": take_remark,
    "issues": take_issue,
    "issue_comment": take_comment,
    "deployment": take_deployment,
    "deployment_status": take_status,
    "workflow_run": take_run,
    "workflow_job": take_job,
    "release": take_release,
}
