"""A mutated payload is decided, or its fault is named; nothing else happens."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import BigInteger, Integer, SmallInteger

from handlers.github import account
from models.store import content
from tests.handlers.recorded import decided, recorded, story

STRANGE = [
    None, True, -1, 0, 1.5, 2**31, 2**63, 10**30, float("inf"), float("nan"),
    "", "x" * 5000, "\ud800", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "10000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", [], [None], {}, {"id": None},
]  # fmt: skip
LIMITS = {SmallInteger: 2**15, BigInteger: 2**63, Integer: 2**31}
KEYS = {"id", "sha", "full_name", "login", "ref", "after", "before", "name"}


def places(value, path=()):
    """Yield the path to everything inside a payload."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inside in items:
        yield (*path, key)
        if isinstance(inside, dict | list):
            yield from places(inside, (*path, key))


def mutated(body, path, value):
    """Return a copy of a payload with one thing replaced; dropped where the value is `del`."""
    body = copy.deepcopy(body)
    inside = body
    for key in path[:-1]:
        inside = inside[key]
    if value == "del":
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return body


def survives(event, body):
    """Ask for decisions; rows that follow must fit the columns they go to."""
    account(event, body)
    try:
        rows = decided(event, body).rows
    except ValidationError as fault:
        named(fault)
        return
    for row in rows:
        fits(row)


def named(fault):
    assert all(error["loc"] for error in fault.errors())


def fits(row):
    assert len(row.id.encode()) < 2704
    for column in type(row).__table__.columns:
        value = content(row)[column.name]
        if value is None:
            assert column.nullable, column
        limit = LIMITS.get(type(column.type))
        assert limit is None or value is None or -limit <= value < limit


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_one_strange_value_is_decided_or_named(data):
    event, body = data.draw(st.sampled_from(story()))
    path = data.draw(st.sampled_from(list(places(body))))
    survives(event, mutated(body, path, data.draw(st.sampled_from([*STRANGE, "del"]))))


@pytest.mark.parametrize("event", sorted({event for event, _ in story()}))
@pytest.mark.parametrize("value", [None, "del", "x", 10**30, [], {}])
def test_each_part_of_a_payload_may_be_wrong(event, value):
    body = next(body for name, body in story() if name == event)
    for path in places(body):
        if len(path) <= 2:
            survives(event, mutated(body, path, value))


@pytest.mark.parametrize(
    ("event", "action", "path"),
    [
        ("push", None, ("after",)),
        ("push", None, ("repository", "id")),
        ("pull_request", "opened", ("pull_request", "id")),
        ("pull_request", "opened", ("pull_request", "head", "sha")),
        ("pull_request", "opened", ("pull_request", "state")),
        ("pull_request", "opened", ("pull_request", "created_at")),
        ("pull_request_review", "submitted", ("review", "state")),
        ("deployment_status", "created", ("deployment_status", "state")),
        ("deployment_status", "created", ("deployment", "sha")),
        ("deployment", "created", ("deployment", "environment")),
        ("workflow_run", "completed", ("workflow_run", "status")),
        ("workflow_job", "queued", ("workflow_job", "run_id")),
        ("check_run", "created", ("check_run", "head_sha")),
        ("release", "published", ("release", "tag_name")),
        ("issues", "opened", ("issue", "number")),
        ("installation", "created", ("installation", "account", "login")),
    ],
)
@pytest.mark.parametrize("value", ["del", None, {}, ""])
def test_what_a_row_cannot_do_without_is_named(event, action, path, value):
    with pytest.raises(ValidationError) as fault:
        decided(event, mutated(recorded(event, action), path, value))
    assert path in {error["loc"] for error in fault.value.errors()}


@pytest.mark.parametrize("value", ["42", 42.0, True, -1, 2**63])
def test_an_id_is_a_whole_number_that_fits(value):
    with pytest.raises(ValidationError):
        decided("issues", mutated(recorded("issues", "opened"), ("issue", "id"), value))


@pytest.mark.parametrize("value", [[], "x", 7, None, {"id": "7", "login": 8}])
def test_an_account_is_read_from_anything(value):
    for key in ("installation", "organization", "repository", "action"):
        account("installation", mutated(recorded("installation", "created"), (key,), value))


@pytest.mark.parametrize(
    ("event", "action", "path"),
    [
        ("push", None, ("commits", 0, "message")),
        ("push", None, ("commits", 0, "modified", 0)),
        ("pull_request", "opened", ("pull_request", "title")),
        ("deployment", "created", ("deployment", "description")),
        ("installation", "created", ("installation", "permissions", "checks")),
    ],
)
def test_half_a_character_is_named(event, action, path):
    body = recorded(event, action, 1 if event == "push" else 0)
    with pytest.raises(ValidationError, match="unicode string"):
        decided(event, mutated(body, path, "\ud800"))
