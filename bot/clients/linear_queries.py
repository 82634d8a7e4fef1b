"""What Linear is asked: each query is small enough for its limit of complexity.

<https://linear.app/developers/rate-limiting>: a field costs 0.1, an object 1, and a list as often
as it may be long; 10,000 at most. The answers are read by the models of the handlers, so that the
same rows follow from them as from webhooks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from bot.clients.linear import Linear, LinearError

WORKSPACE = "query Workspace { organization { id name urlKey } viewer { id name email } }"
LISTS: Mapping[str, str] = {
    "users": """
        query Users($after: String) {
          users(first: 50, after: $after, includeDisabled: true) {
            nodes { id name email app updatedAt } pageInfo { hasNextPage endCursor } } }
    """,
    "teams": """
        query Teams($after: String) {
          teams(first: 50, after: $after, includeArchived: true) {
            nodes { id key name updatedAt } pageInfo { hasNextPage endCursor } } }
    """,
    "projects": """
        query Projects($after: String) {
          projects(first: 50, after: $after, includeArchived: true) {
            nodes { id name url startedAt completedAt updatedAt trashed status { name type } }
            pageInfo { hasNextPage endCursor } } }
    """,
    "cycles": """
        query Cycles($after: String) {
          cycles(first: 50, after: $after, includeArchived: true) {
            nodes { id number name startsAt endsAt completedAt updatedAt team { id } }
            pageInfo { hasNextPage endCursor } } }
    """,
    "issueLabels": """
        query Labels($after: String) {
          issueLabels(first: 50, after: $after, includeArchived: true) {
            nodes { id name updatedAt } pageInfo { hasNextPage endCursor } } }
    """,
    "issues": """
        query Issues($after: String, $filter: IssueFilter) {
          issues(first: 50, after: $after, includeArchived: true, orderBy: updatedAt,
                 filter: $filter) {
            nodes {
              id identifier number title description url priority estimate previousIdentifiers
              createdAt updatedAt startedAt completedAt canceledAt trashed
              team { id } project { id } cycle { id } state { name type }
              assignee { id } creator { id }
              labels(first: 10) { nodes { id name } pageInfo { hasNextPage } }
              attachments(first: 5) { nodes { id url updatedAt } pageInfo { hasNextPage } }
              history(first: 10) { nodes { createdAt toState { type } } pageInfo { hasNextPage } }
            }
            pageInfo { hasNextPage endCursor } } }
    """,
}
"""What is listed page by page, by the name of the list."""

REST_OF_ISSUE = """
    query RestOfIssue($id: String!) {
      issue(id: $id) {
        labels(first: 250) { nodes { id name } }
        attachments(first: 250) { nodes { id url updatedAt } }
        history(first: 250) { nodes { createdAt toState { type } } } } }
"""
STANDING = """
    query Standing($id: String!, $comment: ID!) {
      issue(id: $id) {
        id identifier url state { id type }
        team { states(first: 100) { nodes { id type position } } }
        comments(first: 1, filter: { id: { eq: $comment } }) { nodes { id body } } } }
"""
COMMENT = """
    mutation Comment($input: CommentCreateInput!) { commentCreate(input: $input) { success } }
"""
EDIT_COMMENT = """
    mutation EditComment($id: String!, $input: CommentUpdateInput!) {
      commentUpdate(id: $id, input: $input) { success } }
"""
MOVE = """
    mutation Move($id: String!, $input: IssueUpdateInput!) {
      issueUpdate(id: $id, input: $input) { success } }
"""


Model = TypeVar("Model", bound=BaseModel)


class Answer(BaseModel):
    """Something that Linear answers; its names are in camel case."""

    model_config = {"alias_generator": to_camel, "populate_by_name": True}


class Organization(Answer):
    """A workspace. `url_key` is its name in addresses."""

    id: str
    name: str
    url_key: str


class Viewer(Answer):
    """Whose secret it is: a person, or the app."""

    id: str
    name: str
    email: str | None = None


class Workspace(Answer):
    """Whom a secret opens."""

    organization: Organization
    viewer: Viewer


class PageInfo(Answer):
    """Where a list goes on."""

    has_next_page: bool
    end_cursor: str | None = None


class Page(Answer):
    """A page of a list."""

    nodes: list[dict[str, Any]]
    page_info: PageInfo

    @property
    def next(self) -> str | None:
        """The cursor of the next page; None on the last one."""
        return self.page_info.end_cursor if self.page_info.has_next_page else None


class State(Answer):
    """A state of a workflow. `position` orders those of a team."""

    id: str
    type: str
    position: float = 0.0


@dataclass(frozen=True)
class Standing:
    """How an issue stands: its state, those of its team, and our comment, None where there is none.

    `comment` is what our comment says.
    """

    identifier: str
    state: State
    states: tuple[State, ...]
    comment: str | None

    def first(self, kind: str) -> State | None:
        """Return the first state of a type in the team's workflow; None where it has none."""
        found = [each for each in self.states if each.type == kind]
        return min(found, key=lambda each: (each.position, each.id), default=None)


async def workspace(linear: Linear) -> Workspace:
    """Return whose secret this is."""
    return read(Workspace, await linear.ask(WORKSPACE), "Workspace")


async def page(linear: Linear, name: str, after: str | None, since: datetime | None = None) -> Page:
    """Return a page of a list; `since`: only issues that changed at or after it."""
    variables: dict[str, Any] = {"after": after}
    if name == "issues":
        variables["filter"] = {"updatedAt": {"gte": since.isoformat()}} if since else None
    told = await linear.ask(LISTS[name], **variables)
    return read(Page, told.get(name), name)


async def rest_of_issue(linear: Linear, issue_id: str) -> dict[str, Any]:
    """Return labels, attachments and history of an issue that has more than a page shows."""
    told = (await linear.ask(REST_OF_ISSUE, id=issue_id)).get("issue")
    return dict(told) if isinstance(told, dict) else {}


async def standing(linear: Linear, issue_id: str, comment_id: str) -> Standing:
    """Return how an issue stands, and what our comment on it says."""
    told = (await linear.ask(STANDING, id=issue_id, comment=comment_id)).get("issue") or {}
    try:
        comments = told["comments"]["nodes"]
        return Standing(
            identifier=str(told["identifier"]),
            state=State.model_validate(told["state"]),
            states=tuple(State.model_validate(each) for each in told["team"]["states"]["nodes"]),
            comment=str(comments[0]["body"]) if comments else None,
        )
    except (KeyError, TypeError, ValidationError):
        raise misread("Standing") from None


async def comment(linear: Linear, issue_id: str, comment_id: str, body: str) -> None:
    """Comment on an issue under an id of ours, so that it cannot be done twice."""
    await linear.ask(COMMENT, input={"id": comment_id, "issueId": issue_id, "body": body})


async def edit_comment(linear: Linear, comment_id: str, body: str) -> None:
    """Put other words into a comment of ours."""
    await linear.ask(EDIT_COMMENT, id=comment_id, input={"body": body})


async def move(linear: Linear, issue_id: str, state_id: str) -> None:
    """Move an issue to a state of its team."""
    await linear.ask(MOVE, id=issue_id, input={"stateId": state_id})


def read(model: type[Model], told: Any, asked: str) -> Model:
    """Read an answer; raise `LinearError` for one that is not as Linear documents it."""
    try:
        return model.model_validate(told)
    except ValidationError:
        raise misread(asked) from None


def misread(asked: str) -> LinearError:
    """Say that an answer is not as documented."""
    return LinearError("", f"Linear's answer to {asked} is not as documented.")
