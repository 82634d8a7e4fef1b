"""Remember who reviewed what and when; the words of reviews and comments are not kept."""

from collections.abc import Iterator

from pydantic import BaseModel

import models
from handlers.events import Decision, Note
from handlers.github.cohorts import commenter_cohort
from handlers.github.payloads import (
    Event,
    Id,
    Name,
    Time,
    User,
    collect_changes,
    key,
    login,
    measure_pull_requests,
)
from handlers.github.repositories import seen
from handlers.github.source import github

SUBMITTED, EDITED, DISMISSED = 0, 1, 2


class Mentioned(BaseModel):
    """The pull request of a review: trimmed, so that only its id is read."""

    id: Id


class Submitted(BaseModel):
    """A review. It has no clock of its own but the time it was submitted."""

    id: Id
    user: User | None = None
    state: Name
    submitted_at: Time | None = None


class ReviewEvent(Event):
    """`pull_request_review.*`."""

    review: Submitted
    pull_request: Mentioned


class Remark(BaseModel):
    """A comment on a line."""

    id: Id
    user: User | None = None
    created_at: Time
    updated_at: Time | None = None


class ReviewCommentEvent(Event):
    """`pull_request_review_comment.*`."""

    comment: Remark
    pull_request: Mentioned


@github.on("pull_request_review")
def review_changed(event: ReviewEvent) -> Iterator[Decision]:
    """The first review ends the wait for one, which is a stage of lead time."""
    review = event.review
    if review.submitted_at is None:
        yield Note("A review that is not submitted yet has not reached anybody.")
        return
    yield from seen(event, review.submitted_at, review.user)
    yield models.Review(
        id=f"github:{review.id}",
        changed_at=review.submitted_at,
        rank=rank(event),
        repository_id=event.repository.key,
        pull_request_id=f"github:{event.pull_request.id}",
        author_id=key(review.user),
        author_login=login(review.user),
        cohort=commenter_cohort(review.user),
        state=review.state.lower(),
        submitted_at=review.submitted_at,
    )
    yield measure_pull_requests(event.repository, review.submitted_at)
    yield collect_changes(event.repository, review.submitted_at)


@github.on("pull_request_review_comment")
def review_comment_changed(event: ReviewCommentEvent) -> Iterator[Decision]:
    """That somebody remarked on a line is kept, what they wrote is not."""
    comment = event.comment
    at = comment.updated_at or comment.created_at
    deleted = event.action == "deleted"
    yield from seen(event, at, comment.user)
    yield models.ReviewComment(
        id=f"github:{comment.id}",
        changed_at=at,
        rank=int(deleted),
        repository_id=event.repository.key,
        pull_request_id=f"github:{event.pull_request.id}",
        author_id=key(comment.user),
        author_login=login(comment.user),
        cohort=commenter_cohort(comment.user),
        created_at=comment.created_at,
        deleted=deleted,
    )


def rank(event: ReviewEvent) -> int:
    """Order the states of a review, whose clock stands still: a dismissal is final."""
    if event.review.state.lower() == "dismissed":
        return DISMISSED
    return EDITED if event.action == "edited" else SUBMITTED
