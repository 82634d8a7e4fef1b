"""What the rows say: commits, pull requests, deployments, repositories, installations."""

from datetime import UTC, datetime

import pytest

from handlers import Account
from handlers.github import account
from tests.handlers.recorded import RECEIVED_AT, ZERO, C, decided, recorded, row

T = datetime(2026, 9, 1, tzinfo=UTC)


def test_a_push_lists_its_commits_oldest_first():
    push = row("pushes", "push", recorded("push", None, 1))
    assert (push.before, push.after, push.shas) == (C["c1"], C["c2"], [C["c2"]])
    assert push.pushed_at == push.changed_at == T.replace(hour=15, minute=5)
    assert push.complete
    assert not push.forced


def test_a_commit_keeps_author_time_headline_and_paths():
    commit = row("commits", "push", recorded("push", None, 1))
    assert commit.authored_at == T.replace(hour=15)
    assert (commit.headline, commit.author_login) == ("Round half to even", "ada")
    assert (commit.paths, commit.paths_known) == (["src/prices.py", "tests/test_prices.py"], True)


def test_a_headline_is_the_first_line_and_not_endless():
    body = recorded("push", None, 1)
    body["commits"][0]["message"] = "x" * 400 + "\nmore"
    assert row("commits", "push", body).headline == "x" * 300


@pytest.mark.parametrize(
    "changed",
    [
        {"forced": True},
        {"created": True},
        {"size": 3},
        {"commits": []},
        {"commits": [{"id": str(n), "timestamp": "2026-09-01T00:00:00Z"} for n in range(2048)]},
    ],
)
def test_a_push_that_does_not_list_all_its_commits_is_not_complete(changed):
    assert not row("pushes", "push", recorded("push", None, 1) | changed).complete


def test_a_tag_is_pushed_to_its_commit_not_to_its_own_object():
    push = row("pushes", "push", recorded("push", None, 5))
    assert (push.ref, push.after) == ("refs/tags/v2.0.0", C["m1"])
    assert push.id == f"github:5002:refs/tags/v2.0.0:{ZERO}:{C['annotated tag v2.0.0']}"


def test_a_push_without_its_time_is_dated_by_its_last_commit():
    body = recorded("push", None, 1)
    del body["repository"]["pushed_at"]
    assert row("pushes", "push", body).pushed_at == datetime(2026, 9, 1, 15, tzinfo=UTC)


def test_a_push_that_tells_no_time_at_all_is_dated_when_received():
    body = recorded("push", None, 1) | {"commits": []}
    del body["repository"]["pushed_at"]
    assert row("pushes", "push", body).pushed_at == RECEIVED_AT


@pytest.mark.parametrize(
    ("nth", "cohort", "login"),
    [(0, "people", "ada"), (1, "bots", "dependabot[bot]"), (2, "agent", "veelocity[bot]")],
)
def test_a_pull_request_knows_its_cohort(nth, cohort, login):
    pr = row("pull_requests", "pull_request", recorded("pull_request", "opened", nth))
    assert (pr.cohort, pr.author_login) == (cohort, login)


def test_only_a_merged_pull_request_has_a_merge_commit():
    opened = row("pull_requests", "pull_request", recorded("pull_request", "opened"))
    merged = row("pull_requests", "pull_request", recorded("pull_request", "closed"))
    assert opened.merge_commit_sha is None
    assert (merged.merge_commit_sha, merged.merged_at) == (C["v1"], T.replace(day=3, hour=10))
    assert (merged.labels, merged.state, merged.base_is_default) == (["bug"], "closed", True)


def test_a_pull_request_to_another_branch_is_not_to_the_default_one():
    body = recorded("pull_request", "opened")
    body["pull_request"]["base"]["ref"] = "release-1"
    assert not row("pull_requests", "pull_request", body).base_is_default


def test_the_author_of_a_deleted_account_is_nobody():
    body = recorded("pull_request", "opened")
    body["pull_request"]["user"] = body["pull_request"]["head"]["repo"] = None
    pr = row("pull_requests", "pull_request", body)
    assert (pr.author_id, pr.cohort, pr.head_repository_id) == (None, "people", None)


@pytest.mark.parametrize(
    ("nth", "expected"),
    [
        (2, ("production", "production")),
        (3, ("pre-production", "staging")),
        (4, ("pr-2", "transient")),
    ],
)
def test_a_deployment_knows_its_environment(nth, expected):
    body = recorded("deployment_status", "created", nth)
    deployment = row("deployments", "deployment_status", body)
    assert (deployment.environment, deployment.environment_class) == expected
    assert (deployment.source, deployment.sha) == ("deployment_status", C["v1"])


def test_a_deployment_status_is_dated_by_itself():
    body = recorded("deployment_status", "created", 2)
    status = row("deployment_statuses", "deployment_status", body)
    assert (status.state, status.deployment_id) == ("success", "github:20001")
    assert status.created_at == T.replace(day=3, hour=12)
    assert status.url == "https://ci.acme.example/20001"


@pytest.mark.parametrize(
    ("action", "nth", "expected"),
    [
        ("requested", 1, ("production", None, None)),
        ("completed", 2, ("production", "failure", T.replace(day=4, hour=13, minute=9))),
        ("completed", 3, ("production", "success", T.replace(day=4, hour=13, minute=30))),
        ("completed", 4, ("staging", "success", T.replace(day=4, hour=12, minute=10))),
    ],
)
def test_a_deploying_workflow_run_ends_with_its_result(action, nth, expected):
    deployment = row("deployments", "workflow_run", recorded("workflow_run", action, nth))
    assert (deployment.environment_class, deployment.result, deployment.result_at) == expected
    assert (deployment.source, deployment.sha) == ("workflow_run", C["m1"])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"event": "pull_request"}, "A workflow run of a pull request ships nothing."),
        ({"path": "dynamic/pages/pages-build-deployment"}, "GitHub's own workflows"),
    ],
)
def test_trials_and_pages_ship_nothing(changed, sentence):
    body = recorded("workflow_run", "completed", 2)
    body["workflow_run"] |= changed
    assert decided("workflow_run", body).says[-1]["note"].startswith(sentence)


@pytest.mark.parametrize(("nth", "sha"), [(0, "tag:v2.0.0"), (2, C["m2"])])
def test_a_release_ships_its_target_or_its_tag(nth, sha):
    deployment = row("deployments", "release", recorded("release", "published", nth))
    assert (deployment.sha, deployment.source, deployment.result) == (sha, "release", "success")
    assert deployment.result_at == deployment.created_at


@pytest.mark.parametrize(
    ("action", "part", "expected"),
    [
        ("renamed", "full_name", "acme/loft"),
        ("edited", "default_branch", "trunk"),
        ("archived", "archived", True),
        ("publicized", "private", False),
        ("renamed", "deleted_at", None),
        ("deleted", "deleted_at", RECEIVED_AT),
    ],
)
def test_a_repository_is_what_github_last_said(action, part, expected):
    body = recorded("repository", action)
    assert getattr(row("repositories", "repository", body), part) == expected


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("created", "active"),
        ("suspend", "suspended"),
        ("unsuspend", "active"),
        ("new_permissions_accepted", "active"),
        ("deleted", "deleted"),
    ],
)
def test_a_connection_has_the_state_of_its_installation(action, state):
    connection = row("connections", "installation", recorded("installation", action))
    assert (connection.state, connection.external_id) == (state, "4242")
    assert connection.permissions["contents"] == "read"


@pytest.mark.parametrize(("action", "selected"), [("added", True), ("removed", False)])
def test_a_repository_is_open_to_an_installation_or_not(action, selected):
    body = recorded("installation_repositories", action)
    rows = decided("installation_repositories", body).rows
    assert [fact.selected for fact in rows if fact.__tablename__ == "connection_repositories"] == (
        [selected] * len(body[f"repositories_{action}"])
    )


def test_an_installation_makes_the_organization_it_is_decided_for():
    organization = row("organizations", "installation", recorded("installation", "created"))
    assert organization.id == organization.organization_id == "github:9001"
    assert (organization.login, organization.account_id) == ("acme", 9001)


def test_a_renamed_organization_is_dated_when_received():
    organization = row("organizations", "organization", recorded("organization", "renamed"))
    assert (organization.login, organization.changed_at) == ("acme-works", RECEIVED_AT)


BOTH = ("installation:4242", "account:9001")


@pytest.mark.parametrize(
    ("event", "action", "expected"),
    [
        ("installation", "created", Account(BOTH, "acme", 9001, founding=True)),
        ("installation", "suspend", Account(BOTH, "acme", 9001, founding=True)),
        ("installation", "deleted", Account(BOTH, "acme-works", 9001)),
        ("installation_repositories", "added", Account(BOTH, "acme", 9001, founding=True)),
        ("issues", "opened", Account(BOTH, "acme", 9001)),
        ("ping", None, Account(())),
    ],
)
def test_a_payload_belongs_to_its_installation_or_else_its_account(event, action, expected):
    assert account(event, recorded(event, action)) == expected


def test_a_payload_of_a_repository_webhook_belongs_to_the_owner():
    body = recorded("issues", "opened")
    del body["installation"], body["organization"]
    assert account("issues", body) == Account(("account:9001",), "acme", 9001)
