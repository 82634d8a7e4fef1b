"""What is asked of GitHub's GraphQL (https://docs.github.com/en/graphql/reference).

Ids of REST, by which our rows are keyed, are `fullDatabaseId`s here. A page of 50 pull requests
costs about 7 of the 5,000 points of an hour, for each list in a list counts.
"""

from collections.abc import Sequence
from typing import NamedTuple

WHO = """
fragment Who on Actor {
  __typename
  login
  ... on User { databaseId }
  ... on Bot { databaseId }
  ... on Mannequin { databaseId }
  ... on Organization { databaseId }
}
"""
COMMITS = """
fragment Commits on PullRequestCommitConnection {
  totalCount
  pageInfo { hasNextPage endCursor }
  nodes {
    commit { oid message authoredDate committedDate author { name user { login } } }
  }
}
"""
TURNS = """
fragment Turns on PullRequestTimelineItemsConnection {
  pageInfo { hasNextPage endCursor }
  nodes {
    __typename
    ... on ReadyForReviewEvent { createdAt actor { ...Who } }
    ... on ConvertToDraftEvent { createdAt actor { ...Who } }
    ... on HeadRefForcePushedEvent {
      createdAt
      actor { ...Who }
      beforeCommit { oid }
      afterCommit { oid }
    }
  }
}
"""
REMARKS = """
fragment Remarks on PullRequestReviewCommentConnection {
  pageInfo { hasNextPage endCursor }
  nodes { fullDatabaseId createdAt updatedAt author { ...Who } }
}
"""
REVIEWS = """
fragment Reviews on PullRequestReviewConnection {
  pageInfo { hasNextPage endCursor }
  nodes {
    id
    fullDatabaseId
    state
    submittedAt
    author { ...Who }
    comments(first: %d) { ...Remarks }
  }
}
"""
COMMENTS = """
fragment Comments on IssueCommentConnection {
  pageInfo { hasNextPage endCursor }
  nodes { fullDatabaseId createdAt updatedAt author { ...Who } }
}
"""
TURNING = "itemTypes: [READY_FOR_REVIEW_EVENT, CONVERT_TO_DRAFT_EVENT, HEAD_REF_FORCE_PUSHED_EVENT]"
PULL_REQUESTS = (
    """
query PullRequests(
  $owner: String!, $name: String!, $first: Int!, $after: String, $count: Boolean!, $within: String!
) {
  rateLimit { cost limit remaining resetAt }
  counted: search(query: $within, type: ISSUE, first: 1) @include(if: $count) { issueCount }
  repository(owner: $owner, name: $name) {
    pullRequests(
      first: $first, after: $after, orderBy: { field: UPDATED_AT, direction: DESC }
    ) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes {
        id
        fullDatabaseId
        number
        title
        body
        url
        state
        isDraft
        createdAt
        updatedAt
        closedAt
        mergedAt
        headRefName
        headRefOid
        headRepository { databaseId }
        baseRefName
        baseRefOid
        mergeCommit { oid }
        additions
        deletions
        changedFiles
        author { ...Who }
        mergedBy { ...Who }
        labels(first: 100) { nodes { name } }
        commits(first: 50) { ...Commits }
        reviews(first: 10) { ...Reviews }
        timelineItems(first: 50, """
    + TURNING
    + """) { ...Turns }
      }
    }
  }
}
"""
    + WHO
    + COMMITS
    + TURNS
    + REMARKS
    + REVIEWS % 20
)
COUNTS = """
query Counts($pulls: String!, $issues: String!, $owner: String!, $name: String!) {
  rateLimit { cost limit remaining resetAt }
  pulls: search(query: $pulls, type: ISSUE, first: 1) { issueCount }
  issues: search(query: $issues, type: ISSUE, first: 1) { issueCount }
  repository(owner: $owner, name: $name) {
    deployments(first: 100, orderBy: { field: CREATED_AT, direction: DESC }) {
      totalCount
      nodes { createdAt }
    }
    releases(first: 100, orderBy: { field: CREATED_AT, direction: DESC }) {
      totalCount
      nodes { createdAt }
    }
  }
}
"""


class Rest(NamedTuple):
    """The rest of a list of one node: which list (a key of `LISTS`), after which cursor."""

    node_id: str
    name: str
    after: str | None


LISTS = {
    "commits": ("... on PullRequest { commits(first: 100, after: $%s) { ...Commits } }", COMMITS),
    "reviews": ("... on PullRequest { reviews(first: 50, after: $%s) { ...Reviews } }", REVIEWS),
    "timelineItems": (
        "... on PullRequest { timelineItems(first: 100, after: $%s, "
        + TURNING
        + ") { ...Turns } }",
        TURNS,
    ),
    "remarks": (
        "... on PullRequestReview { comments(first: 100, after: $%s) { ...Remarks } }",
        REMARKS,
    ),
    "comments": (
        "... on Issue { comments(first: 100, after: $%s) { ...Comments } }",
        COMMENTS,
    ),
    "talk": (
        "... on PullRequest { comments(first: 100, after: $%s) { ...Comments } }",
        COMMENTS,
    ),
}
"""Lists of nodes that go on, with the fragments that they need."""


def rests(wanted: Sequence[Rest]) -> tuple[str, dict[str, str | None]]:
    """Return one query for the rests of many lists, each under its place (`r0`), and variables."""
    variables: dict[str, str | None] = {}
    declared, asked = [], []
    fragments: dict[str, None] = {}
    for place, rest in enumerate(wanted):
        selection, fragment = LISTS[rest.name]
        variables |= {f"i{place}": rest.node_id, f"a{place}": rest.after}
        declared.append(f"$i{place}: ID!, $a{place}: String")
        asked.append(f"r{place}: node(id: $i{place}) {{ {selection % f'a{place}'} }}")
        needed = (REVIEWS % 20, REMARKS) if fragment is REVIEWS else (fragment,)
        fragments |= dict.fromkeys(needed + (() if fragment is COMMITS else (WHO,)))
    head = (
        f"query Rests({', '.join(declared)}) {{\n  rateLimit {{ cost limit remaining resetAt }}\n"
    )
    return head + "\n".join(asked) + "\n}\n" + "".join(fragments), variables
