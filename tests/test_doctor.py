"""`doctor`: what it finds, how it says to mend it, and that it needs nothing to begin with."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from bot import doctor
from bot.checkups import github as github_checks
from bot.checkups import machine, models, stores
from bot.checkups.finding import Finding, Patient
from bot.settings import Settings
from tests.command_line import Bot
from tests.fakes.anthropic import Fake, fake_anthropic
from tests.fakes.faults import answering
from tests.fakes.github import FakeGitHub, app_key, fake_github
from tests.fakes.serving import serving
from tests.test_developing import acme, write

NOWHERE = "http://127.0.0.1:1"


async def told(check: doctor.Check, patient: Patient) -> dict[str, Finding]:
    """Return what a check says, by what it is about."""
    return {finding.check: finding async for finding in check(patient)}


def states(found: dict[str, Finding]) -> dict[str, str]:
    """Return how each thing stands."""
    return {name: finding.state for name, finding in found.items()}


@pytest.fixture
def public() -> Iterator[str]:
    """A web process that answers as ours does."""

    async def healthy(request: Any) -> JSONResponse:
        return JSONResponse({"status": "healthy"})

    with serving(Starlette(routes=[Route("/healthz", healthy)])) as url:
        yield url


@pytest.fixture
def github(public: str) -> Iterator[FakeGitHub]:
    """A GitHub at which all is as it should be."""
    with fake_github(writes=True) as fake:
        fake.events, fake.hook_url = list(github_checks.EVENTS), f"{public}/webhooks/github"
        yield fake


@pytest.fixture
def anthropic() -> Iterator[Fake]:
    """An Anthropic that lists its models."""
    with fake_anthropic([]) as fake:
        yield fake


@pytest.fixture
async def patient(
    settings: Settings, engine: AsyncEngine, github: FakeGitHub, anthropic: Fake, public: str
) -> Patient:
    """Somebody who lacks nothing."""
    told = {
        "base_url": public,
        "github_api_url": github.url,
        "app_id": github.app_id,
        "private_key": SecretStr(github.private_key),
        "anthropic_api_key": SecretStr("key"),
        "anthropic_base_url": anthropic.url,
    }
    await acme(engine)
    async with engine.begin() as db:
        await db.execute(
            text(
                "insert into deliveries (source, delivery_id, event, headers, body, sha256, status)"
                " values ('github', '1', 'push', '{}', '', '', 'settled')"
            )
        )
    return Patient(settings.model_copy(update=told), engine)


def but(patient: Patient, **told: Any) -> Patient:
    """Return somebody with other settings."""
    return Patient(patient.settings.model_copy(update=told), patient.store)


async def test_where_nothing_is_missing_nothing_is_said_to_be(patient: Patient) -> None:
    checks = [check for check in doctor.CHECKS if check is not machine.sandbox]
    found = [each for check in checks for each in await doctor.checked(check, patient)]
    missing = [finding for finding in found if finding.state == "missing"]
    assert missing == []
    assert {"github", "app", "model key", "postgres", "schema", "redis", "git", "budgets"} <= {
        finding.check for finding in found if finding.state == "ok"
    }
    assert all((finding.mend is None) == (finding.state == "ok") for finding in found)


async def test_the_sandbox_is_what_the_agent_says_of_it(patient: Patient) -> None:
    from bot.agent.sandbox import lacks

    lacking = await lacks(patient.settings)
    found = [finding async for finding in machine.sandbox(patient)]
    assert [finding.mend for finding in found if finding.state == "missing"] == [
        lack.mend for lack in lacking
    ]
    image = [finding async for finding in machine.sandbox(but(patient, sandbox="container"))]
    assert any("SANDBOX_IMAGE" in finding.words for finding in image)


async def test_permissions_that_are_not_granted_are_named(
    patient: Patient, github: FakeGitHub
) -> None:
    github.permissions[42] |= {"contents": "read"}
    del github.permissions[42]["checks"]
    found = await told(github_checks.app, patient)
    lacking = found["permissions of acme"]
    assert (lacking.state, lacking.words) == (
        "missing",
        "write is missing for contents, checks",
    )
    assert f"{github.url}/apps/veelocity" in str(lacking.mend)


async def test_an_app_that_is_installed_nowhere_or_suspended_is_said(
    patient: Patient, engine: AsyncEngine
) -> None:
    async with engine.begin() as db:
        await db.execute(text("update connections set state = 'suspended'"))
    found = await told(github_checks.app, patient)
    assert found["permissions of acme"].words == "the installation is suspended"
    async with engine.begin() as db:
        await db.execute(text("delete from connections"))
    found = await told(github_checks.app, patient)
    assert found["installations"].state == "missing"


async def test_events_and_webhooks_that_go_elsewhere_are_said(
    patient: Patient, github: FakeGitHub
) -> None:
    github.events, github.hook_url = ["push", "issues"], "https://elsewhere.example.org/hook"
    found = await told(github_checks.app, patient)
    assert found["webhook address"].words == f"GitHub sends to {github.hook_url}"
    assert "issue_comment" in found["events"].words
    assert "issues," not in found["events"].words


async def test_in_pull_mode_the_log_is_looked_at_and_no_address(
    patient: Patient, github: FakeGitHub
) -> None:
    github.hook_url = "https://veelocity.invalid/webhooks/github"
    pulling = but(patient, pull=True, base_url="http://127.0.0.1:9")
    found = await told(github_checks.app, pulling)
    assert states(found)["pull mode"] == "ok"
    assert "webhook address" not in found
    assert set(await told(github_checks.reachable, pulling)) == {"deliveries"}
    github.fail(answering(404, {"message": "Not Found"}), on="/app/hook/deliveries")
    found = await told(github_checks.app, pulling)
    assert (found["pull mode"].state, "Active" in str(found["pull mode"].mend)) == ("missing", True)


async def test_a_key_of_the_app_that_github_refuses_is_said(
    patient: Patient, github: FakeGitHub
) -> None:
    other = FakeGitHub(key=app_key(1))
    found = await told(github_checks.app, but(patient, private_key=SecretStr(other.private_key)))
    assert states(found) == {"app": "missing"}
    found = await told(github_checks.app, but(patient, app_id=None, private_key=None))
    assert found["app"].words == github_checks.NO_APP
    assert "/setup" in str(found["app"].mend)


async def test_an_address_that_nobody_answers_at_is_said(patient: Patient) -> None:
    found = await told(github_checks.reachable, but(patient, base_url=NOWHERE))
    assert (found["public address"].state, found["deliveries"].state) == ("missing", "ok")
    with serving(answering(200, {"status": "something else"})) as url:
        found = await told(github_checks.reachable, but(patient, base_url=url))
    assert "not as we do" in found["public address"].words


async def test_github_cannot_reach_this_machines_own_address(patient: Patient) -> None:
    real = but(patient, github_api_url="https://api.github.com")
    found = await told(github_checks.reachable, real)
    assert found["public address"].state == "warning"


async def test_silence_of_github_is_said(patient: Patient, engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await db.execute(text("update deliveries set received_at = now() - interval '8 days'"))
    found = await told(github_checks.reachable, patient)
    assert (found["deliveries"].state, found["deliveries"].words) == (
        "warning",
        "the last one came 8 d ago",
    )
    async with engine.begin() as db:
        await db.execute(text("delete from deliveries"))
    assert (await told(github_checks.reachable, patient))["deliveries"].state == "warning"


async def test_a_github_that_does_not_answer_is_said(patient: Patient) -> None:
    found = await told(github_checks.clock, but(patient, github_api_url=NOWHERE))
    assert states(found) == {"github": "missing"}


async def test_clocks_are_compared(patient: Patient) -> None:
    found = await told(github_checks.clock, patient)
    assert states(found) == {"github": "ok", "clock of GitHub": "ok"}
    assert stores.skew("clock", 61.0) == Finding(
        "clock", "warning", "61.0 s ahead of this machine's", stores.SET_CLOCK
    )
    assert stores.skew("clock", -6.0).words == "6.0 s behind this machine's"


async def test_a_model_key_that_is_missing_or_refused_is_said(patient: Patient) -> None:
    found = await told(models.claude, but(patient, anthropic_api_key=None))
    assert (found["model key"].state, found["model key"].words) == ("missing", models.NO_KEY)
    with serving(answering(401, {"error": {"type": "authentication_error"}})) as url:
        found = await told(models.claude, but(patient, anthropic_base_url=url))
    assert found["model key"].state == "missing"
    assert "ANTHROPIC_API_KEY" in found["model key"].words
    found = await told(models.claude, but(patient, anthropic_base_url=NOWHERE))
    assert found["model key"].state == "warning"


async def test_models_that_are_not_offered_or_end_are_said(
    patient: Patient, anthropic: Fake
) -> None:
    unheard = but(patient, claude_model="claude-unheard-of-9")
    found = [finding async for finding in models.claude(unheard)]
    assert ("model claude-unheard-of-9", "missing") in [(each.check, each.state) for each in found]
    alias = but(patient, claude_model="claude-sonnet-4-5")
    found = [finding async for finding in models.claude(alias)]
    assert not any("may not use it" in finding.words for finding in found)
    today = datetime.now(UTC).date()
    said = {days: models.ending("m", today + timedelta(days)).state for days in (0, 89, 91)}
    assert said == {0: "missing", 89: "warning", 91: "ok"}
    assert models.ending("m", None).state == "ok"
    assert models.ending("m", date(2026, 1, 1)).words == "it ended on 2026-01-01"


async def test_keys_of_other_makers_are_asked_for_where_they_are_named(patient: Patient) -> None:
    assert await told(models.others, patient) == {}
    named = but(patient, agent_models=("gpt-5", "gemini-2.5-pro"))
    found = await told(models.others, named)
    assert states(found) == {"key of openai": "missing", "key of google": "missing"}
    given = Patient(named.settings.model_copy(update={"openai_api_key": SecretStr("key")}))
    assert (await told(models.others, given))["key of openai"].state == "ok"


async def test_a_model_without_a_price_is_said(patient: Patient) -> None:
    assert states(await told(models.prices, patient)) == {"prices": "ok"}
    found = await told(models.prices, but(patient, agent_models=("claude-unheard-of-9",)))
    assert found["prices"].words == "none is known of claude-unheard-of-9"


async def test_a_full_disk_is_said(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ENOUGH_BYTES", 1 << 60)
    assert states(await told(machine.disk, patient)) == {"disk": "warning"}
    monkeypatch.setattr(machine, "LEAST_BYTES", 1 << 60)
    assert states(await told(machine.disk, patient)) == {"disk": "missing"}


async def test_a_git_that_is_old_or_not_there_is_said(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert states(await told(machine.git, patient)) == {"git": "ok"}
    monkeypatch.setattr("bot.agent.lacking.OLDEST_GIT", (99, 0))
    found = await told(machine.git, patient)
    assert found["git"].state == "missing"
    assert "99.0" in str(found["git"].mend)
    monkeypatch.setenv("PATH", "")
    assert (await told(machine.git, patient))["git"].words == "git is not installed"


async def test_a_schema_that_is_behind_is_said(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await told(stores.postgres, patient)
    assert states(found) == {"postgres": "ok", "schema": "ok", "clock of Postgres": "ok"}
    monkeypatch.setattr(stores, "newest_revision", lambda: "9999")
    found = await told(stores.postgres, patient)
    assert found["schema"].state == "missing"
    assert "migrate" in str(found["schema"].mend)


async def test_a_redis_that_is_away_or_not_there_is_said(patient: Patient) -> None:
    away = but(patient, redis_url=SecretStr("redis://127.0.0.1:1/0"))
    assert states(await told(stores.redis, away)) == {"redis": "missing"}
    assert states(await told(stores.redis, but(patient, redis_url=None))) == {"redis": "warning"}


async def test_workers_and_budgets_are_looked_at(patient: Patient, engine: AsyncEngine) -> None:
    assert states(await told(stores.worker, patient)) == {"worker": "warning"}
    found = await told(stores.budgets, but(patient, ticket_budget_usd=0))
    assert found["budgets"].state == "missing"
    assert "TICKET_BUDGET_USD" in found["budgets"].words
    async with engine.begin() as db:
        await db.execute(
            text(
                "insert into agent_settings (organization_id, ticket_budget_usd)"
                " values ('github:1', 0)"
            )
        )
    found = await told(stores.budgets, patient)
    assert states(found) == {"budgets": "ok", "budgets of acme": "warning"}


async def test_a_store_that_is_away_is_a_finding_like_others(patient: Patient) -> None:
    from models.store import engine as open_engine

    away = open_engine("postgresql://nobody@127.0.0.1:1/nothing")
    [finding] = await doctor.checked(stores.postgres, Patient(patient.settings, away))
    await away.dispose()
    assert (finding.check, finding.state) == ("postgres", "missing")
    assert finding.words.startswith("Postgres did not do it: ")


@pytest.fixture
def alone(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> Bot:
    """Run a command with nothing set, and no network."""
    monkeypatch.setenv("GITHUB_API_URL", NOWHERE)
    monkeypatch.setenv("BASE_URL", NOWHERE)
    return bot


def test_it_works_without_anything_and_makes_nothing(alone: Bot, tmp_path: Path) -> None:
    said = alone("doctor")
    assert said.code == 1
    assert "■ missing postgres: DATABASE_URL is not set" in said.out
    assert "■ missing app: " in said.out
    assert "■ missing model key: ANTHROPIC_API_KEY is not set" in said.out
    assert said.out.splitlines()[-1].endswith("no run can work yet.")
    assert list(tmp_path.iterdir()) == []


def test_json_is_a_list_of_findings(alone: Bot) -> None:
    said = alone("doctor", "--json")
    found = json.loads(said.out)
    assert said.code == 1
    assert all(set(each) == {"check", "state", "words", "mend"} for each in found)
    assert {each["state"] for each in found} <= {"ok", "warning", "missing"}


@pytest.mark.store
def test_without_an_app_it_says_so(
    stored: Bot, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", NOWHERE)
    monkeypatch.setenv("BASE_URL", NOWHERE)
    write(postgres_url, acme)
    found = {each["check"]: each for each in json.loads(stored("doctor", "--json").out)}
    assert found["app"]["words"] == github_checks.NO_APP
    assert (found["postgres"]["state"], found["schema"]["state"]) == ("ok", "ok")


def test_the_code_says_whether_something_is_missing(
    alone: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fine(patient: Patient) -> AsyncIterator[Finding]:
        yield Finding("a", "ok", "fine")
        yield Finding("b", "warning", "odd", "Look.")

    monkeypatch.setattr(doctor, "CHECKS", (fine,))
    said = alone("doctor")
    assert said.code == 0
    assert said.out.splitlines() == [
        "● ok      a: fine",
        "▲ warning b: odd",
        "            Look.",
        "Nothing is missing, 1 warning: tickets can be developed.",
    ]
