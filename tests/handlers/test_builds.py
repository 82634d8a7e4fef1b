"""What a workflow run means as a build, case by case."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.builds import Run, build_of, failure_group, platform_of_file
from tests.story import at

START = at("09-01 12:00")


def run(**told: Any) -> Run:
    """A run that passed after ten minutes."""
    return Run(
        **{
            "run_id": "github:1",
            "organization_id": "acme",
            "repository_id": "github:900",
            "workflow_id": "github:7",
            "name": "CI",
            "path": ".github/workflows/ci.yml",
            "named": None,
            "built": None,
            "chosen": None,
            "event": "push",
            "branch": "main",
            "head_sha": "a" * 40,
            "attempt": 1,
            "conclusion": "success",
            "started_at": START,
            "completed_at": START + timedelta(minutes=10),
            "actor_login": "ada",
            "url": None,
            "failed_before": False,
            "failed_job": None,
            "failed_step": None,
            "annotation": None,
            **told,
        }
    )


@pytest.mark.parametrize(
    ("conclusion", "reason"),
    [
        ("success", None),
        ("failure", None),
        ("timed_out", None),
        ("cancelled", "cancelled: it neither passed nor failed"),
        ("skipped", "skipped: nothing was run"),
        ("neutral", "neutral: it neither passed nor failed"),
        ("action_required", "it waits for an approval: nothing was run"),
        ("stale", "stale: GitHub gave it up"),
        ("startup_failure", "it could not start: nothing was run"),
        ("brand_new", "brand_new: it neither passed nor failed"),
    ],
)
def test_only_what_passed_or_failed_counts(conclusion: str, reason: str | None) -> None:
    build = build_of(run(conclusion=conclusion))
    assert (build.outcome, build.counted, build.reason) == (conclusion, reason is None, reason)


def test_a_run_that_is_not_over_has_no_outcome_and_no_duration() -> None:
    build = build_of(run(conclusion=None, completed_at=None))
    assert (build.outcome, build.counted, build.reason) == (None, False, "it still runs")
    assert build.duration_seconds is None


def test_a_build_lasts_from_the_start_of_its_last_attempt() -> None:
    assert build_of(run()).duration_seconds == 600
    assert build_of(run(completed_at=START - timedelta(seconds=1))).duration_seconds == 0


@pytest.mark.parametrize(
    ("conclusion", "failed_before", "flaky"),
    [
        ("success", True, True),
        ("success", False, False),
        ("failure", True, False),
        ("cancelled", True, False),
    ],
)
def test_flaky_is_what_passed_after_it_had_failed(
    conclusion: str, failed_before: bool, flaky: bool
) -> None:
    assert build_of(run(conclusion=conclusion, failed_before=failed_before)).flaky is flaky


@pytest.mark.parametrize(
    ("told", "platform", "by"),
    [
        ({}, None, None),
        ({"built": "ios"}, "ios", "file"),
        ({"built": "ios", "named": "android"}, "android", "name"),
        ({"built": "ios", "named": "android", "chosen": "mobile"}, "mobile", "person"),
        ({"named": "android", "chosen": "none"}, None, "person"),
    ],
)
def test_a_person_outweighs_the_name_and_the_name_the_file(
    told: dict[str, str], platform: str | None, by: str | None
) -> None:
    build = build_of(run(**told))
    assert (build.platform, build.platform_by) == (platform, by)


@pytest.mark.parametrize(
    ("told", "failure"),
    [
        ({"failed_step": "Run make test", "failed_job": "test (3.12)"}, "Run make test"),
        ({"failed_job": "test (3.12)"}, "test (#)"),
        ({"conclusion": "timed_out"}, "timed out"),
        ({}, "no failed step was told"),
        ({"failed_step": " "}, "no failed step was told"),
    ],
)
def test_the_reason_of_a_failure_is_its_step_else_its_job(
    told: dict[str, str], failure: str
) -> None:
    assert build_of(run(**{"conclusion": "failure", **told})).failure == failure


def test_what_passed_has_no_reason_of_a_failure() -> None:
    build = build_of(run(failed_step="Lint", failed_job="lint", annotation="a.py:1: no"))
    assert (build.failure, build.failed_job, build.annotation) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("Run tests", "Run tests"),
        ("Test shard (3/8)", "Test shard (#/#)"),
        ("Set up Ruby 3.2.1", "Set up Ruby #"),
        ("Install v1.2.3-beta.1", "Install #"),
        ("Run actions/checkout@v4", "Run actions/checkout"),
        ("Run acme/tools/setup@8ade135a41bc03ea155e62e844d188df1ea18608", "Run acme/tools/setup"),
        ("Deploy 8ade135", "Deploy #"),
        ("Deploy 123e4567-e89b-12d3-a456-426614174000", "Deploy #"),
        ("Build iPhone 15 Pro  (iOS 17.x)", "Build iPhone # Pro (iOS #)"),
        ("Run e2e on x86_64", "Run e2e on x86_64"),
        ("Deface the facade", "Deface the facade"),
    ],
)
def test_failures_that_differ_by_numbers_are_one_reason(name: str, group: str) -> None:
    assert failure_group(name) == group


@given(st.text())
def test_to_group_a_group_changes_nothing(name: str) -> None:
    group = failure_group(name)
    assert group
    assert failure_group(group) == group


@pytest.mark.parametrize(
    ("content", "platform", "evidence"),
    [
        ("run: make test", None, None),
        ("run: xcodebuild -scheme App test", "ios", "xcodebuild"),
        ("run: ./gradlew assembleRelease", "android", "gradlew"),
        ("run: gradle build", "android", "gradle"),
        ("run: bundle exec fastlane ios beta", "ios", "fastlane ios"),
        ("run: fastlane android beta", "android", "fastlane android"),
        ("runs-on: macos-14\n  - run: fastlane beta", "ios", "fastlane beta"),
        ("runs-on: ubuntu-latest\n  - run: fastlane beta", "android", "fastlane beta"),
        ("run: flutter build apk --release", "android", "flutter build apk"),
        ("run: flutter build ipa", "ios", "flutter build ipa"),
        ("run: flutter build apk\nrun: flutter build ipa", "mobile", None),
        ("run: eas build --platform ios", "ios", "eas build"),
        ("run: eas build -p android --local", "android", "eas build"),
        ("run: eas build --platform all", "mobile", "eas build"),
        ("run: npx react-native run-android", "android", "run-android"),
        ("run: xcodebuild test\nrun: ./gradlew test", "mobile", None),
        ("# run: xcodebuild\nrun: make test  # not ./gradlew", None, None),
        ("", None, None),
    ],
)
def test_a_workflow_file_says_what_it_builds(
    content: str, platform: str | None, evidence: str | None
) -> None:
    found = platform_of_file(content)
    assert found[0] == platform
    assert evidence is None or found[1] == evidence
