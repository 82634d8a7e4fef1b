"""Reviews, review comments and conversation on pull requests."""

from collections.abc import Generator
from datetime import datetime

from bot.sample import payloads
from bot.sample.issues import comment
from bot.sample.people import Person, user
from bot.sample.world import PullRequest, Repository, World

REMARKS = (
    "Could this be a constant?",
    "What happens when the list is empty?",
    "Nit: the name says less than the code does.",
    "Is there a test for this branch?",
    "This query runs once per row, doesn't it?",
    "Nice, much simpler than before.",
)
TALK = ("Tried it on staging, works.", "Rebased, please look again.", "Waiting for design.")


def review(
    world: World, repo: Repository, pr: PullRequest, *, urgent: bool, last: bool
) -> Generator[datetime, None, bool]:
    """One round by one reviewer; False when the author has to change something first."""
    reviewer = world.person(pr.author)
    bot = pr.author.type == "Bot"
    if (urgent or bot) and world.chance(0.3):
        return True
    if urgent:
        yield world.minutes(4, 20)
    else:
        yield world.working(world.about(1.1, 0.55), reviewer)
    wants_more = not (last or urgent or bot) and world.chance(0.4, 0.25)
    state = "approved" if not wants_more else "changes_requested"
    if wants_more and world.chance(0.4):
        state = "commented"
    if not bot and world.chance(0.12):
        comment(world, repo, reviewer, world.rng.choice(TALK), pr=pr)
        yield world.minutes(1, 5)
    submit(world, repo, pr, reviewer, state)
    if wants_more and world.chance(0.15):
        yield world.minutes(5, 30)
        submit(world, repo, pr, pr.author, "commented")
    return not wants_more


def submit(world: World, repo: Repository, pr: PullRequest, reviewer: Person, state: str) -> None:
    """One review with its comments. Authors answering are `commented` reviews too."""
    pr.updated_at = world.now
    if reviewer != pr.author and pr.first_review_at is None:
        pr.first_review_at = world.now
    if not world.knows(repo):
        pr.complete = False
        return
    review_id = world.id("review")
    approved = state == "approved"
    remarks = 0 if approved and world.chance(0.8) else world.rng.choice((1, 1, 2))
    page = f"https://github.com/{repo.full_name}/pull/{pr.number}"
    written = {
        "id": review_id,
        "user": user(reviewer),
        "body": "Looks good" if approved and world.chance(0.3) else None,
        "commit_id": pr.head,
        "submitted_at": payloads.iso(world.now),
        "state": state,
        "html_url": f"{page}#pullrequestreview-{review_id}",
        "pull_request_url": f"{payloads.API}/repos/{repo.full_name}/pulls/{pr.number}",
        "author_association": "MEMBER",
    }
    for _ in range(remarks):
        pr.review_comments += 1
        _remark(world, repo, pr, reviewer, review_id)
    body = {
        "action": "submitted",
        "review": written,
        "pull_request": payloads.brief_pull_request(repo, pr),
    }
    world.send("pull_request_review", body, user(reviewer), payloads.repository(repo))


def _remark(
    world: World, repo: Repository, pr: PullRequest, reviewer: Person, review_id: int
) -> None:
    remark_id = world.id("review_comment")
    files = repo.commits[pr.head].files
    at = payloads.iso(world.now)
    page = f"https://github.com/{repo.full_name}/pull/{pr.number}"
    remark = {
        "url": f"{payloads.API}/repos/{repo.full_name}/pulls/comments/{remark_id}",
        "pull_request_review_id": review_id,
        "id": remark_id,
        "diff_hunk": "@@ -14,6 +14,9 @@",
        "path": next(iter(files.modified + files.added), "README.md"),
        "commit_id": pr.head,
        "original_commit_id": pr.head,
        "user": user(reviewer),
        "body": world.rng.choice(REMARKS),
        "created_at": at,
        "updated_at": at,
        "html_url": f"{page}#discussion_r{remark_id}",
        "author_association": "MEMBER",
        "line": world.rng.randint(3, 240),
        "side": "RIGHT",
    }
    body = {
        "action": "created",
        "comment": remark,
        "pull_request": payloads.brief_pull_request(repo, pr),
    }
    world.send("pull_request_review_comment", body, user(reviewer), payloads.repository(repo))
