"""Whose delivery it is: an organisation is found, founded, or waited for; never guessed."""

import pytest
from sqlalchemy import text

from models.users import forget_expired
from tests.rig import Rig
from tests.story import Story, at

pytestmark = pytest.mark.store


def deployed() -> Story:
    """A repository with one deployment."""
    story = Story()
    story.baseline()
    return story


async def test_an_organisation_named_before_its_installation_is_the_same(rig: Rig) -> None:
    await rig.sign_in("ACME")
    for event, payload in deployed().deliveries:
        await rig.deliver(event, payload)
    await rig.settle()
    body = await rig.get("/metrics/dora", start_date="2026-08-01", end_date="2026-09-30")
    assert body["deployment_frequency"]["count"] == 1
    rows = await rig.ask("select id, login, account_id from organizations")
    assert rows == [{"id": "login:acme", "login": "acme", "account_id": 77}]


async def test_a_delivery_for_nobody_known_waits_for_its_installation(rig: Rig) -> None:
    installed, *rest = deployed().deliveries
    for event, payload in rest:
        await rig.deliver(event, payload)
    await rig.settle()
    rows = await rig.ask("select distinct status, error from deliveries")
    assert rows == [
        {
            "status": "parked",
            "error": "organisation unknown: no connection for installation 4242 of acme",
        }
    ]
    await rig.deliver(*installed)
    await rig.settle()
    assert await rig.ask("select distinct status from deliveries") == [{"status": "settled"}]
    assert len(await rig.ask("select id from service_deployments")) == 1


async def test_another_organisation_sees_nothing_of_it(rig: Rig) -> None:
    for event, payload in deployed().deliveries:
        await rig.deliver(event, payload)
    await rig.settle()
    await rig.sign_in("rival")
    body = await rig.get("/metrics/dora", start_date="2026-08-01", end_date="2026-09-30")
    assert body["deployment_frequency"]["count"] == 0
    assert body["deployment_frequency"]["per_day"] is None
    headers = {"authorization": f"Bearer {rig.token}"}
    query = {"repo_id": "acme/api"}
    answer = await rig.client.get("/api/v1/metrics/dora", params=query, headers=headers)
    assert answer.status_code == 404


async def test_history_follows_the_id_of_a_renamed_repository(rig: Rig) -> None:
    story = deployed()
    story.name = "gateway"
    renamed = story.repository(at("09-02 10:00")) | {"updated_at": "2026-09-02T10:00:00Z"}
    changes = {"repository": {"name": {"from": "api"}}}
    story.tell(
        "repository", at("09-02 10:00"), action="renamed", repository=renamed, changes=changes
    )
    for event, payload in story.deliveries:
        await rig.deliver(event, payload)
    await rig.settle()
    await rig.sign_in()
    dates = {"start_date": "2026-08-01", "end_date": "2026-09-30"}
    body = await rig.get("/metrics/dora", repo_id="acme/gateway", **dates)
    assert body["deployment_frequency"]["count"] == 1
    assert body["scope"]["repository"] == "acme/gateway"


async def test_what_expired_is_forgotten(rig: Rig) -> None:
    engine = rig.app.rest.state.engine
    async with engine.begin() as db:
        for hours, token in ((-1, "old"), (1, "new")):
            await db.execute(
                text(
                    "insert into sign_in_links (token_hash, user_id, expires_at)"
                    " values (:token, 'user:1', now() + make_interval(hours => :hours))"
                ),
                {"token": token, "hours": hours},
            )
        await forget_expired(db)
    assert await rig.ask("select token_hash from sign_in_links") == [{"token_hash": "new"}]
