"""Recorded deliveries in, decisions out."""

import pytest

from handlers import agent
from tests.handlers.recorded import ZERO, C, decided, recorded, row, said, story

ADA, BEN = "contributors github:101", "contributors github:102"
API, APP = "repositories github:5001", "repositories github:5002"
COLLECT, LINK = "job collect_changes", "job link_issues"
MEASURE, ADA_IS = "job measure_pull_requests", "identities github:9001/github:login:ada"
BUILDS = "job measure_builds"
ASKED = "Permissions are asked of GitHub when they matter, never remembered."
BRANCH = "github:5001:refs/heads/round-half-even"


@pytest.mark.parametrize(
    ("event", "action", "nth", "expected"),
    [
        ("ping", None, 0, ["GitHub reaches us; a ping has no other meaning."]),
        ("star", "created", 0, ["Popularity is not delivery."]),
        ("create", None, 0, [API, ADA, f"refs {BRANCH}"]),
        ("delete", None, 0, [API, BEN, f"refs {BRANCH}"]),
        (
            "push", None, 1,
            [
                API, ADA, f"pushes {BRANCH}:{C['c1']}:{C['c2']}", f"commits github:5001:{C['c2']}",
                f"push_commits {BRANCH}:{C['c1']}:{C['c2']}:{C['c2']}", ADA_IS,
                MEASURE, COLLECT,
            ],
        ),
        ("push", None, 4, [API, BEN, f"refs {BRANCH}", "A deleted ref brings no commits."]),
        (
            "push", None, 5,
            [
                APP, ADA, "refs github:5002:refs/tags/v2.0.0",
                f"pushes github:5002:refs/tags/v2.0.0:{ZERO}:{C['annotated tag v2.0.0']}",
                MEASURE, COLLECT,
            ],
        ),
        (
            "pull_request", "opened", 0,
            [
                API, ADA, "pull_requests github:60002",
                f"pull_request_heads github:60002:{C['c2']}", MEASURE, COLLECT, LINK,
            ],
        ),
        (
            "pull_request", "labeled", 0,
            [
                API, ADA, "pull_requests github:60002",
                f"pull_request_heads github:60002:{C['c2']}", MEASURE, LINK,
            ],
        ),
        (
            "pull_request", "synchronize", 0,
            [
                API, ADA, "pull_requests github:60002",
                f"pull_request_heads github:60002:{C['c2']}",
                f"pull_request_heads github:60002:{C['c2b']}", MEASURE, COLLECT, LINK,
            ],
        ),
        (
            "pull_request", "converted_to_draft", 0,
            [
                API, ADA, "pull_requests github:60002",
                f"pull_request_heads github:60002:{C['c2']}",
                "pull_request_turns github:60002:converted_to_draft:2026-09-01T16:40:00+00:00",
                MEASURE, COLLECT, LINK,
            ],
        ),
        (
            "pull_request", "closed", 0,
            [
                API, BEN, ADA, "pull_requests github:60002",
                f"pull_request_heads github:60002:{C['c2b']}", MEASURE, COLLECT, LINK,
            ],
        ),
        (
            "pull_request_review", "submitted", 0,
            [API, BEN, "reviews github:90001", MEASURE, COLLECT],
        ),
        (
            "pull_request_review", "dismissed", 0,
            [API, ADA, BEN, "reviews github:90001", MEASURE, COLLECT],
        ),
        ("pull_request_review_comment", "created", 0, [API, BEN, "review_comments github:81001"]),
        (
            "issues", "labeled", 0,
            [API, BEN, "issues github:70001", LINK, "job follow_incident", agent.HISTORY],
        ),
        ("issue_comment", "deleted", 0, [API, BEN, "issue_comments github:80002"]),
        ("check_run", "completed", 0, [API, ADA, "check_runs github:41001"]),
        ("check_suite", "completed", 0, [API, ADA, "check_suites github:40001"]),
        ("deployment", "created", 0, [API, BEN, "deployments github:20001"]),
        (
            "deployment_status", "created", 0,
            [
                API, BEN, "deployments github:20001",
                "A deployment that is queued has shipped nothing yet.",
            ],
        ),
        (
            "deployment_status", "created", 2,
            [API, BEN, "deployments github:20001", "deployment_statuses github:21002", COLLECT],
        ),
        (
            "deployment_status", "created", 5,
            [API, BEN, "deployments github:20001", "deployment_statuses github:21005"],
        ),
        (
            "workflow_run", "requested", 0,
            [
                API, ADA, "workflows github:30001", "workflow_runs github:50001/1", BUILDS,
                "Neither 'Tests' nor its file is named for deploying.",
            ],
        ),
        (
            "workflow_run", "requested", 1,
            [
                APP, ADA, "workflows github:30002", "workflow_runs github:50010/1", BUILDS,
                "deployments github:workflow_run:50010",
            ],
        ),
        (
            "workflow_run", "completed", 3,
            [
                APP, ADA, "workflows github:30002", "workflow_runs github:50010/2", BUILDS,
                "deployments github:workflow_run:50010/2", COLLECT,
            ],
        ),
        ("workflow_job", "queued", 0, [API, ADA, "workflow_jobs github:51001", BUILDS]),
        (
            "release", "created", 0,
            [APP, ADA, "releases github:22001", "Drafts and prereleases ship nothing."],
        ),
        (
            "release", "published", 0,
            [APP, ADA, "releases github:22001", "deployments github:release:22001", COLLECT],
        ),
        (
            "release", "prereleased", 0,
            [APP, ADA, "releases github:22002", "Drafts and prereleases ship nothing."],
        ),
        (
            "repository", "renamed", 0,
            [
                "repositories github:5003", "repository_names github:acme/attic", ADA,
                COLLECT, MEASURE, LINK,
            ],
        ),
        (
            "repository", "transferred", 0,
            [
                "repositories github:5003", "repository_names github:emca/loft", ADA,
                COLLECT, MEASURE, LINK,
            ],
        ),
        ("member", "added", 0, [API, ADA, "contributors github:103", ASKED]),
        ("organization", "member_added", 0, [ADA, "contributors github:103", ASKED]),
        ("organization", "member_invited", 0, [ADA, ASKED]),
        ("organization", "renamed", 0, [ADA, "organizations github:9001"]),
        (
            "installation", "created", 0,
            [
                "organizations github:9001", "connections github:installation:4242",
                "connection_repositories github:installation:4242:5001", "job sync_teams",
                "job backfill",
            ],
        ),
        ("team", "created", 0, [ADA, "teams github:team:6001"]),
        (
            "team", "added_to_repository", 0,
            [ADA, "teams github:team:6001", "team_repositories github:team:6001:github:5001"],
        ),
        ("team", "deleted", 0, [ADA, "teams github:team:6001"]),
        (
            "membership", "added", 0,
            [
                ADA, "contributors github:103", "teams github:team:6001",
                "team_members github:team:6001:cleo",
            ],
        ),
        (
            "installation", "deleted", 0,
            [
                "connections github:installation:4242",
                "connection_repositories github:installation:4242:5001",
                "connection_repositories github:installation:4242:5002",
            ],
        ),
        (
            "installation_repositories", "removed", 0,
            [
                "organizations github:9001", "connections github:installation:4242",
                "connection_repositories github:installation:4242:5003",
            ],
        ),
    ],
)  # fmt: skip
def test_what_follows_from_a_delivery(event, action, nth, expected):
    assert said(event, recorded(event, action, nth)) == expected


def test_every_row_belongs_to_the_organization():
    for event, body in story():
        assert {row.organization_id for row in decided(event, body).rows} <= {"github:9001"}


@pytest.mark.parametrize(
    ("event", "action", "nth", "since"),
    [
        ("push", None, 1, "2026-09-01T15:05:00+00:00"),
        ("pull_request", "synchronize", 0, "2026-09-01T17:00:00+00:00"),
        ("pull_request", "closed", 0, "2026-09-03T10:00:00+00:00"),
        ("pull_request_review", "dismissed", 0, "2026-09-02T09:00:00+00:00"),
        ("deployment_status", "created", 2, "2026-09-03T11:50:00+00:00"),
        ("workflow_run", "completed", 2, "2026-09-04T13:00:00+00:00"),
        ("release", "published", 0, "2026-09-05T09:05:00+00:00"),
    ],
)
def test_changes_are_collected_since_the_time_the_news_is_about(event, action, nth, since):
    body = recorded(event, action, nth)
    (job,) = [job for job in decided(event, body).jobs if job.name == "collect_changes"]
    repository = f"github:{body['repository']['id']}"
    assert (job.name, job.lane) == ("collect_changes", "ingest")
    assert job.key == f"collect_changes:{repository}"
    assert job.arguments == {"repository": repository}
    assert job.since.isoformat() == since


def test_a_label_on_a_merged_pull_request_may_make_it_a_hotfix():
    body = recorded("pull_request", "closed") | {"action": "labeled"}
    jobs = decided("pull_request", body).jobs
    assert [job.since.day for job in jobs if job.name == "collect_changes"] == [3]


def test_words_of_comments_and_reviews_are_not_kept():
    for event in ("issue_comment", "pull_request_review_comment"):
        body = recorded(event, "created")
        assert all(body["comment"]["body"] not in str(fact) for fact in decided(event, body).rows)


def test_a_review_that_is_not_submitted_is_only_noted():
    body = recorded("pull_request_review", "submitted")
    body["review"]["submitted_at"] = None
    assert said("pull_request_review", body) == [
        "A review that is not submitted yet has not reached anybody."
    ]


def test_a_review_never_writes_its_trimmed_pull_request():
    tables = {fact.__tablename__ for fact in decided(
        "pull_request_review", recorded("pull_request_review", "submitted")).rows}  # fmt: skip
    assert tables == {"repositories", "contributors", "reviews"}


def test_the_job_of_a_workflow_names_the_step_that_failed():
    job = row("workflow_jobs", "workflow_job", recorded("workflow_job", "completed"))
    assert (job.run_id, job.attempt, job.failed_step) == ("github:50001", 1, "Run make test")


@pytest.mark.parametrize(
    ("name", "path", "platform"),
    [
        ("iOS", ".github/workflows/build.yml", "ios"),
        ("Build Android app", ".github/workflows/ios.yml", "android"),
        ("Build", ".github/workflows/mobile-build.yml", "mobile"),
        ("Curiosity", ".github/workflows/helios.yml", None),
    ],
)
def test_the_platform_is_a_word_of_the_name_or_else_of_the_file(name, path, platform):
    body = recorded("workflow_run", "completed")
    body["workflow"]["name"], body["workflow_run"]["path"] = name, path + "@refs/heads/main"
    run = row("workflow_runs", "workflow_run", body)
    assert (run.platform, run.path) == (platform, path)


def test_a_workflow_run_without_its_workflow_has_its_own_name():
    body = recorded("workflow_run", "completed") | {"workflow": None}
    assert row("workflow_runs", "workflow_run", body).name == "Tests"
    assert "workflows" not in {fact.__tablename__ for fact in decided("workflow_run", body).rows}
