"""The agent's figures: which runs count, what they cost, how soon they answer."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from models import Prompt, PullRequest, Run, Ticket
from models.metrics.agent import METRIC, agent, agent_by, agent_series, prompt_reports
from models.metrics.core import Bucket, Scope, Window
from models.metrics.explanation import Page, explanation
from tests.models.metrics.rows import (
    at,
    change,
    deployment,
    failure,
    found,
    keep,
    keep_failures,
)

pytestmark = pytest.mark.store
SEPTEMBER = Window(date(2026, 9, 1), date(2026, 9, 30), "Europe/Berlin")
ACME = Scope("acme")
HOUR = 3600
PLACE = {"organization_id": "acme", "repository_id": "acme/api"}


async def ticket(db: AsyncConnection, number: int = 1, **told: Any) -> str:
    """Write a ticket; return its id."""
    row = {
        **PLACE,
        "id": f"github:{number}",
        "number": number,
        "title": "Mend it",
        "body": "",
        "type": "bug",
        "priority": "medium",
        "position": 1.0,
        "source": "label",
        "requested_at": at("09-02 12:00"),
        **told,
    }
    await db.execute(insert(Ticket), [row])
    return str(row["id"])


async def ran(db: AsyncConnection, finished: str | None, state: str = "done", **told: Any) -> int:
    """Write a run of the ticket github:1 that was asked for and taken up an hour before its end."""
    end = at(finished) if finished else None
    began = (end or at("09-02 12:00")) - timedelta(hours=1)
    row = {
        **PLACE,
        "ticket_id": "github:1",
        "state": state,
        "kind": "develop",
        "model": "claude-sonnet-5-5",
        "prompt_name": "default",
        "created_at": began,
        "started_at": began,
        "finished_at": end,
        **told,
    }
    made = await db.execute(insert(Run).values(**row))
    assert made.inserted_primary_key
    return int(made.inserted_primary_key[0])


async def pull_request(db: AsyncConnection, number: int, **told: Any) -> None:
    """Write a pull request of the agent."""
    row = {
        **PLACE,
        "id": f"github:pr{number}",
        "changed_at": at("09-02 12:00"),
        "number": number,
        "title": "Mend it",
        "state": "open",
        "cohort": "agent",
        "base_ref": "main",
        "head_ref": f"claude/{number}",
        "head_sha": "b" * 40,
        "opened_at": at("09-02 13:00"),
        **told,
    }
    await db.execute(insert(PullRequest), [row])


async def test_without_runs_values_are_null_and_say_why(db: AsyncConnection) -> None:
    await found(db)
    told = await agent(db, ACME, SEPTEMBER)
    assert json.loads(json.dumps(told)) == told
    assert (told["runs"], told["success_rate"], told["turns_mean"]) == (0, None, None)
    assert told["cost"] == {
        "total_usd": 0,
        "per_run_usd": None,
        "per_merged_pull_request_usd": None,
    }
    assert told["tokens"]["cache_hit_rate"] is None
    assert told["response_time"] == {"median_seconds": None, "p90_seconds": None, "count": 0}
    assert told["reason"] == (
        "no attempt of the agent at a ticket ended from 2026-09-01 to 2026-09-30"
    )
    explained = await explanation(db, METRIC, ACME, SEPTEMBER, Page())
    assert explained["next_step"] == METRIC.connect


async def test_success_is_pull_requests_merged_of_attempts_that_ended(db: AsyncConnection) -> None:
    await ticket(db)
    await pull_request(db, 7, merged_at=at("09-04 12:00"))
    await pull_request(db, 8)
    await ran(db, "09-02 13:00", pull_request_number=7)
    await ran(db, "09-03 13:00", "draft", pull_request_number=8)
    await ran(db, "09-03 14:00", "failed")
    await ran(db, "09-03 15:00", "over_budget")
    told = await agent(db, ACME, SEPTEMBER)
    assert (told["runs"], told["pull_requests"], told["merged"]) == (4, 2, 1)
    assert told["success_rate"] == 0.25
    assert told["states"] == {"done": 1, "draft": 1, "failed": 1, "over_budget": 1}
    assert told["reason"] is None


async def test_follow_ups_cost_but_are_no_attempts(db: AsyncConnection) -> None:
    await ticket(db)
    await pull_request(db, 7, merged_at=at("09-04 12:00"))
    await ran(db, "09-02 13:00", pull_request_number=7, cost_usd=1, turns=10)
    await ran(db, "09-02 14:00", kind="review", pull_request_number=7, cost_usd=0.5, turns=4)
    await ran(db, "09-02 15:00", "failed", kind="checks", pull_request_number=7, cost_usd=0.25)
    await ran(db, "09-02 16:00", "cancelled", cost_usd=0.25, turns=2)
    told = await agent(db, ACME, SEPTEMBER)
    assert (told["runs"], told["merged"], told["success_rate"]) == (1, 1, 1)
    assert told["cost"] == {
        "total_usd": 2,
        "per_run_usd": 2,
        "per_merged_pull_request_usd": 2,
    }
    assert (told["turns"], told["turns_mean"]) == (16, 10)
    explained = await explanation(db, METRIC, ACME, SEPTEMBER, Page())
    assert explained["counted"] == 1
    assert sum(group["count"] for group in explained["excluded"]) == 3
    assert all(row["counted"] == (row["reason"] is None) for row in explained["rows"])


async def test_a_pull_request_of_two_attempts_is_merged_once(db: AsyncConnection) -> None:
    await ticket(db)
    await pull_request(db, 7, merged_at=at("09-04 12:00"))
    await ran(db, "09-02 13:00", "draft", pull_request_number=7)
    await ran(db, "09-03 13:00", pull_request_number=7)
    told = await agent(db, ACME, SEPTEMBER)
    assert (told["runs"], told["merged"], told["success_rate"]) == (2, 1, 0.5)


async def test_runs_that_go_on_are_not_counted(db: AsyncConnection) -> None:
    await ticket(db)
    await ran(db, None, "developing", cost_usd=1)
    told = await agent(db, ACME, SEPTEMBER)
    assert (told["runs"], told["cost"]["total_usd"], told["states"]) == (0, 0, {})


async def test_the_cache_hit_rate_is_of_all_input(db: AsyncConnection) -> None:
    await ticket(db)
    tokens = {"input_tokens": 10, "cache_read_tokens": 80, "cache_write_tokens": 10}
    await ran(db, "09-02 13:00", output_tokens=5, **tokens)
    told = (await agent(db, ACME, SEPTEMBER))["tokens"]
    assert told == {
        "input": 10,
        "output": 5,
        "cache_read": 80,
        "cache_write": 10,
        "cache_hit_rate": 0.8,
    }


async def test_response_time_is_from_the_label_to_the_open_pull_request(
    db: AsyncConnection,
) -> None:
    await ticket(db, requested_at=at("09-02 11:00"))
    await pull_request(db, 7, opened_at=at("09-02 13:00"))
    await ran(db, "09-02 14:00", pull_request_number=7)
    told = (await agent(db, ACME, SEPTEMBER))["response_time"]
    assert told == {"median_seconds": 2 * HOUR, "p90_seconds": 2 * HOUR, "count": 1}


async def test_a_second_attempt_at_an_open_pull_request_answers_nobody_anew(
    db: AsyncConnection,
) -> None:
    await ticket(db, requested_at=at("09-05 11:00"))
    await pull_request(db, 7, opened_at=at("09-02 13:00"))
    await ran(db, "09-02 13:30", pull_request_number=7)
    await ran(db, "09-05 13:00", pull_request_number=7)
    await ran(db, "09-05 14:00", "failed")
    told = (await agent(db, ACME, SEPTEMBER))["response_time"]
    assert (told["count"], told["median_seconds"]) == (1, 0.5 * HOUR)


async def test_before_github_told_of_the_pull_request_the_runs_end_counts(
    db: AsyncConnection,
) -> None:
    await ticket(db, requested_at=at("09-02 11:00"))
    await ran(db, "09-02 14:00", pull_request_number=7)
    told = await agent(db, ACME, SEPTEMBER)
    assert told["response_time"]["median_seconds"] == 3 * HOUR
    assert told["merged"] == 0


async def test_tickets_count_by_how_their_last_run_ended(db: AsyncConnection) -> None:
    for number in (1, 2, 3, 4):
        await ticket(db, number)
    await ran(db, "09-02 13:00", "failed")
    await ran(db, "09-02 14:00", "done")
    await ran(db, "09-02 15:00", "blocked", ticket_id="github:2")
    await ran(db, "09-02 15:00", "draft", ticket_id="github:3")
    await ran(db, "09-02 15:00", "nothing_to_do", ticket_id="github:4")
    told = (await agent(db, ACME, SEPTEMBER))["tickets"]
    assert told == {"count": 4, "done": 1, "draft": 1, "failed": 1, "other": 1}


async def test_failures_stand_beside_those_of_people(db: AsyncConnection) -> None:
    both = deployment("09-02 10:00", cohorts=["agent", "people"])
    people = deployment("09-03 10:00", cohorts=["people"])
    await keep(db, [both, people], [])
    told = (await agent(db, ACME, SEPTEMBER))["change_failure_rate"]
    assert told["agent"] == {"rate": 0, "failed": 0, "count": 1}
    await keep_failures(db, [failure(both, None)])
    told = (await agent(db, ACME, SEPTEMBER))["change_failure_rate"]
    assert told["agent"] == {"rate": 1, "failed": 1, "count": 1}
    assert told["people"] == {"rate": 0.5, "failed": 1, "count": 2}
    assert told["reason"] is None
    told = (await agent(db, Scope("other"), SEPTEMBER))["change_failure_rate"]
    assert told["reason"] == (
        "of agent and people: no deployment of new code to production finished from 2026-09-01 "
        "to 2026-09-30"
    )


async def test_lead_times_stand_beside_those_of_people(db: AsyncConnection) -> None:
    await found(db)
    old, shipped = deployment("08-30 12:00", "baseline"), deployment("09-03 12:00")
    theirs = change(shipped, "09-02 12:00")
    ours = change(shipped, "09-03 06:00", cohort="agent")
    await keep(db, [old, shipped], [theirs, ours])
    told = (await agent(db, ACME, SEPTEMBER))["change_lead_time"]
    assert told["people"] == {"median_seconds": 24 * HOUR, "count": 1}
    assert told["agent"] == {"median_seconds": 6 * HOUR, "count": 1}
    assert told["reason"] is None


async def test_who_has_no_lead_time_is_named(db: AsyncConnection) -> None:
    await found(db)
    old, shipped = deployment("08-30 12:00", "baseline"), deployment("09-03 12:00")
    await keep(db, [old, shipped], [change(shipped, "09-02 12:00")])
    told = (await agent(db, ACME, SEPTEMBER))["change_lead_time"]
    assert told["agent"] == {"median_seconds": None, "count": 0}
    assert told["reason"] is not None
    assert told["reason"].startswith("of agent: ")


async def test_figures_by_prompt_model_and_repository(db: AsyncConnection) -> None:
    await found(db)
    await ticket(db)
    ids = []
    for version in (1, 2):
        row = {"organization_id": "acme", "version": version, "body": "x"}
        made = await db.execute(insert(Prompt).values(**row))
        assert made.inserted_primary_key
        ids.append(made.inserted_primary_key[0])
    await ran(db, "09-02 13:00", prompt_id=ids[0], prompt_name="organisation", cost_usd=1)
    await ran(db, "09-03 13:00", prompt_id=ids[1], prompt_name="organisation")
    await ran(db, "09-04 13:00", model="gpt-5", cost_usd=3)
    told = await agent(db, ACME, SEPTEMBER)
    by_prompt = {group["name"]: group["runs"] for group in told["by_prompt"]}
    assert by_prompt == {"organisation 1": 1, "organisation 2": 1, "default": 1}
    by_model = {group["name"]: group["cost"]["total_usd"] for group in told["by_model"]}
    assert by_model == {"claude-sonnet-5-5": 1, "gpt-5": 3}
    [repository] = await agent_by(db, ACME, SEPTEMBER, "repo")
    assert (repository["name"], repository["key"], repository["runs"]) == (
        "acme/api",
        "acme/api",
        3,
    )
    reports = await prompt_reports(db, "acme")
    assert [(report["name"], report["version"]) for report in reports] == [
        ("default", None),
        ("organisation", 2),
        ("organisation", 1),
    ]
    assert reports[0]["last_used_at"] == "2026-09-04T13:00:00Z"
    assert await prompt_reports(db, "globex") == []


async def test_days_are_those_of_the_organisations_zone(db: AsyncConnection) -> None:
    await ticket(db)
    await ran(db, "09-02 22:30")
    series = await agent_series(db, ACME, SEPTEMBER, Bucket.DAY)
    assert len(series) == 30
    assert [day["start_date"] for day in series if day["runs"]] == ["2026-09-03"]
    assert series[0]["success_rate"] is None
    weeks = await agent_series(db, ACME, SEPTEMBER, Bucket.WEEK)
    assert sum(week["runs"] for week in weeks) == 1


async def test_only_the_scopes_runs_of_the_window_are_read(db: AsyncConnection) -> None:
    await ticket(db)
    await ran(db, "08-31 12:00")
    await ran(db, "10-01 12:00")
    await ran(db, "09-10 12:00", organization_id="globex")
    await ran(db, "09-10 12:00", repository_id="acme/web")
    scope = Scope("acme", "acme/api")
    assert (await agent(db, scope, SEPTEMBER))["runs"] == 0
    assert (await agent(db, ACME, SEPTEMBER))["runs"] == 1
    explained = await explanation(db, METRIC, scope, SEPTEMBER, Page())
    assert explained["last_event_at"] == "2026-10-01T12:00:00Z"
