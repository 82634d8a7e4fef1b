"""Builds of a small organisation, so that their screen has something to show."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlmodel import SQLModel

from models.builds import Build
from models.workflows import Workflow

ORGANIZATION = "github:1"
WORKFLOWS = (
    ("github:w1", "iOS app", "github:11", "ios", 19, 0.82),
    ("github:w2", "Android app", "github:11", "android", 13, 0.88),
    ("github:w3", "CI", "github:10", None, 6, 0.93),
    ("github:w4", "Nightly <b>everything</b>", "github:12", None, 41, 0.7),
)
REASONS = (
    ("Run unit tests", "Test.swift:41: expected 3 items, found 2"),
    ("Compile", "cannot find 'Basket' in scope"),
    ("Sign and upload the archive to the store, with a name that is longer than a phone", None),
    ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>"),
)


def workflows() -> Iterator[Workflow]:
    """Yield the workflows."""
    for key, name, repository, *_ in WORKFLOWS:
        yield Workflow(
            id=key,
            organization_id=ORGANIZATION,
            repository_id=repository,
            name=name,
            path=f".github/workflows/{key[-2:]}.yml",
        )


def build(number: int, begun: datetime, chance: random.Random) -> Build:
    """Make one build: most pass, some are called off, few run still."""
    key, name, repository, platform, minutes, passes = WORKFLOWS[number % len(WORKFLOWS)]
    lot = chance.random()
    outcome = "success" if lot < passes else "cancelled" if lot > 0.97 else "failure"
    counted = outcome != "cancelled"
    reason, annotation = chance.choice(REASONS) if outcome == "failure" else (None, None)
    seconds = minutes * 60 * chance.lognormvariate(0, 0.35)
    return Build(
        id=f"github:{7_000_000 + number}",
        organization_id=ORGANIZATION,
        repository_id=repository,
        workflow_id=key,
        workflow=name,
        path=f".github/workflows/{key[-2:]}.yml",
        platform=platform,
        platform_by="name" if platform else None,
        event="push",
        branch="main" if number % 3 else f"feature/ENG-{number}-with-a-long-name-of-a-branch",
        head_sha=f"{number:040x}",
        attempts=2 if number % 17 == 0 else 1,
        outcome=outcome,
        counted=counted,
        reason=None if counted else "cancelled: neither passed nor failed",
        flaky=outcome == "success" and number % 17 == 0,
        failure=reason,
        annotation=annotation,
        started_at=begun,
        completed_at=begun + timedelta(seconds=seconds),
        duration_seconds=seconds,
        actor_login="dependabot[bot]" if number % 11 == 0 else "ada",
        url=f"https://github.com/acme/mobile/actions/runs/{number}",
    )


def story(now: datetime, days: int = 190) -> Iterator[SQLModel]:
    """Yield the builds of the last days, the same for the same time; the last one runs."""
    chance, number = random.Random(11), 0
    for back in range(days, -1, -1):
        day = now - timedelta(days=back)
        for _ in range(chance.randrange(1 if day.weekday() > 4 else 3, 9)):
            number += 1
            yield build(number, day - timedelta(minutes=70 + chance.randrange(500)), chance)
    running = build(number + 1, now - timedelta(minutes=4), chance)
    running.outcome, running.counted, running.reason = None, False, "running: has not ended"
    running.completed_at, running.duration_seconds, running.failure = None, None, None
    running.flaky, running.annotation = False, None
    yield running
