"""Incidents in the tables, with the deployments they blame, as the jobs would have written them."""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlmodel import SQLModel

from models.deployments import ServiceDeployment
from models.incidents import FailedDeployment, Incident, IncidentDeployment, IncidentPlace

ORGANIZATION = "github:1"
TITLES = (
    "Checkout answers 502 for every second customer",
    "Sign-in is slow for people in Australia",
    "Exports are empty since this morning",
    "Push notifications arrive twice",
    "Search finds nothing that was added today",
)
HOSTILE = '<img src=x onerror="alert(1)"> **bold** [click](javascript:alert(1))'
CHANNELS = ("incidents", "alerts", "incident-checkout")


def incident(
    number: int, started_at: datetime, minutes: int | None, severity: str | None
) -> Incident:
    """Return an incident that a Slack message opened; without minutes it is open."""
    resolved_at = None if minutes is None else started_at + timedelta(minutes=minutes)
    return Incident(
        id=f"slack:T1:C1:{number}",
        key=f"INC-{number:07d}",
        organization_id=ORGANIZATION,
        source="slack" if number % 3 else "github",
        title=HOSTILE if number == 2 else TITLES[number % len(TITLES)],
        detail=HOSTILE if number == 2 else "Seen in production, looking into it.",
        url="https://acme.slack.com/archives/C1/p1700000000000100",
        channel=CHANNELS[number % len(CHANNELS)] if number % 3 else None,
        severity=severity,
        state="resolved" if resolved_at else "investigating",
        environment="production",
        environment_class="production",
        started_at=started_at,
        detected_at=started_at,
        resolved_at=resolved_at,
        opened_by="grace",
        resolved_by="linus" if resolved_at else None,
        opened_why="the message has the word “incident”",
        resolved_why="a white_check_mark reaction" if resolved_at else None,
    )


def blamed(one: Incident, of: ServiceDeployment) -> Iterator[SQLModel]:
    """Yield what is derived where an incident blames a deployment."""
    yield IncidentPlace(
        incident_id=one.id,
        organization_id=ORGANIZATION,
        repository_id=of.repository_id,
        service_id=of.service_id,
        reason="the message names the repository",
    )
    yield IncidentDeployment(
        incident_id=one.id,
        service_deployment_id=of.id,
        organization_id=ORGANIZATION,
        repository_id=of.repository_id,
        service_id=of.service_id,
        deployment_id=of.deployment_id,
        evidence="window",
        reason="the latest deployment of the service within 24 h before it began",
    )
    yield FailedDeployment(
        service_deployment_id=of.id,
        organization_id=ORGANIZATION,
        repository_id=of.repository_id,
        service_id=of.service_id,
        environment_class="production",
        failed_at=of.finished_at,
        evidence="incident",
        reason=f"{one.key} blames it",
        incidents=[one.id],
        recovered_at=one.resolved_at,
    )


def story(deployments: Sequence[ServiceDeployment]) -> Iterator[SQLModel]:
    """Yield incidents that blame every tenth deployment, and some that blame none."""
    chance, number = random.Random(11), 0
    new = [one for one in deployments if one.kind == "new"]
    for place, one in enumerate(new):
        if place % 10 != 3 and one is not new[-1]:
            continue
        number += 1
        began = one.finished_at + timedelta(minutes=chance.randrange(3, 90))
        minutes = int(chance.lognormvariate(4, 1)) + 2
        severity = chance.choice(("sev1", "sev2", "sev2", "sev3", None))
        told = incident(number, began, None if one is new[-1] else minutes, severity)
        yield told
        yield from blamed(told, one)
    yield incident(number + 1, deployments[-1].finished_at, 25, "sev4")
