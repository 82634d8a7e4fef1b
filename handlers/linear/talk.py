"""Remember that somebody commented in Linear, and what is attached to issues; no words are kept."""

import re
from collections.abc import Iterator
from datetime import datetime

from pydantic import AliasChoices, Field

import models
from handlers.events import Decision, Note
from handlers.linear.issues import link_issues
from handlers.linear.payloads import (
    Event,
    Id,
    Named,
    Person,
    Text,
    Time,
    Told,
    key,
    maybe_key,
    people,
)
from handlers.linear.source import linear

KNOWN, GONE = 0, 1
DATA = AliasChoices("data", "thing")
PULL_REQUEST = re.compile(r"(https?://[^/?#]+/[^/?#]+/[^/?#]+/pull/[0-9]+)(?:[/?#].*)?")
ELSEWHERE = "Only comments on issues are remembered, not those on projects or documents."
NOWHERE = "An attachment without an issue ties nothing together."


class Comment(Told):
    """A comment without its words."""

    id: Id
    issue_id: Id | None = None
    issue: Named | None = None
    user_id: Id | None = None
    user: Person | None = None
    created_at: Time
    updated_at: Time


class Attachment(Told):
    """Something attached to an issue, by its address."""

    id: Id
    issue_id: Id | None = None
    issue: Named | None = None
    url: Text
    updated_at: Time


class CommentEvent(Event):
    """`Comment`: created, updated or removed."""

    comment: Comment = Field(validation_alias=DATA)


class AttachmentEvent(Event):
    """`Attachment`: created, updated or removed."""

    attachment: Attachment = Field(validation_alias=DATA)


@linear.on("Comment")
def comment_changed(event: CommentEvent) -> Iterator[Decision]:
    """That somebody commented is kept, what they wrote is not."""
    comment = event.comment
    at = event.clock(comment.updated_at)
    issue = maybe_key(comment.issue_id, comment.issue)
    yield from people(event, at, comment.user)
    if issue is None:
        yield Note(ELSEWHERE)
        return
    yield models.LinearComment(
        id=key(comment.id),
        changed_at=at,
        rank=GONE if event.removed else KNOWN,
        issue_id=issue,
        author_id=maybe_key(comment.user_id or (comment.user.id if comment.user else None)),
        created_at=comment.created_at,
        deleted=event.removed,
    )


@linear.on("Attachment")
def attachment_changed(event: AttachmentEvent) -> Iterator[Decision]:
    """A pull request that is attached to an issue belongs to it."""
    attachment = event.attachment
    at = event.clock(attachment.updated_at)
    issue = maybe_key(attachment.issue_id, attachment.issue)
    if issue is None:
        yield Note(NOWHERE)
        return
    yield attached(attachment, issue, at, deleted=event.removed)
    yield link_issues(event.organization_id, at)


def attached(
    told: Attachment, issue_id: str, at: datetime, *, deleted: bool = False
) -> models.LinearAttachment:
    """Return the row of an attachment; a pull request's address ends with its number."""
    pull = PULL_REQUEST.fullmatch(told.url)
    return models.LinearAttachment(
        id=key(told.id),
        changed_at=at,
        rank=GONE if deleted else KNOWN,
        issue_id=issue_id,
        url=pull[1] if pull else told.url,
        deleted=deleted,
    )
