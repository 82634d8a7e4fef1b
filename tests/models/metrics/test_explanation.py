import csv
import json
from datetime import UTC, date, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from models.errors import Refused
from models.metrics import deployments, lead_time
from models.metrics.core import Scope, Window, measured_in
from models.metrics.csv import cell, csv_lines, line
from models.metrics.dora import (
    change_lead_time_explanation,
    deployment_frequency_by_repository,
    deployment_frequency_explanation,
    dora,
    latest_deployments,
)
from models.metrics.explanation import Page
from tests.models.metrics.rows import change, deployment, found, keep

SEPTEMBER = Window(date(2026, 9, 1), date(2026, 9, 30), "Europe/Berlin")
NOW = datetime(2026, 9, 10, 12, tzinfo=UTC)
ACME = Scope("acme")


@pytest.mark.store
async def test_the_body_is_that_of_the_api(db: AsyncConnection):
    await found(db)
    old, d1, d2 = (deployment(f"{day} 12:00") for day in ("08-30", "09-01", "09-04"))
    await keep(db, [old, d1, d2], [change(old, "08-30 10:00"), change(d1, "09-01 11:00")])
    body = await dora(db, Scope("acme", "acme/api"), SEPTEMBER, NOW, 2024)
    assert json.loads(json.dumps(body)) == body
    assert body["scope"] == {
        "organization": "acme",
        "repository": "acme/api",
        "team": None,
        "environment": "production",
        "service": None,
        "cohorts": ["people", "agent"],
    }
    frequency = body["deployment_frequency"]
    assert (frequency["count"], frequency["per_day"], frequency["per_week"]) == (2, 0.2, 1.4)
    assert frequency["median_days_between"] == 3
    assert frequency["previous"] == {"per_day": 1 / 30, "count": 1}
    assert (frequency["level"], body["change_lead_time"]["level"]) == ("high", "elite")
    assert body["change_lead_time"]["previous"] == {"median_seconds": 7200, "count": 1}


@pytest.mark.store
async def test_without_data_values_are_null_and_say_why(db: AsyncConnection):
    body = await dora(db, ACME, SEPTEMBER, NOW)
    frequency, lead = body["deployment_frequency"], body["change_lead_time"]
    assert (frequency["per_day"], frequency["per_week"], frequency["count"]) == (None, None, 0)
    assert frequency["reason"] == (
        "no deployment to production finished from 2026-09-01 to 2026-09-30"
    )
    assert frequency["attempt_success_rate"] is frequency["median_days_between"] is None
    assert (lead["median_seconds"], lead["mean_seconds"], lead["level"]) == (None, None, None)
    explained = await deployment_frequency_explanation(db, ACME, SEPTEMBER)
    assert explained["next_step"] == deployments.METRIC.connect
    assert explained["last_event_at"] is None


@pytest.mark.store
async def test_an_empty_period_names_the_last_event(db: AsyncConnection):
    await keep(db, [deployment("08-03 12:00")], [])
    explained = await deployment_frequency_explanation(db, ACME, SEPTEMBER)
    assert explained["last_event_at"] == "2026-08-03T12:00:00Z"
    assert explained["next_step"] == (
        "The last one was on 2026-08-03: choose a period that holds it."
    )


@pytest.mark.store
async def test_failures_alone_are_a_rate_of_zero_but_no_deployments(db: AsyncConnection):
    await keep(db, [deployment("09-03 12:00", None)], [])
    frequency = (await dora(db, ACME, SEPTEMBER, NOW))["deployment_frequency"]
    assert (frequency["attempt_success_rate"], frequency["per_day"]) == (0, None)
    explained = await deployment_frequency_explanation(db, ACME, SEPTEMBER)
    assert explained["next_step"] == "None of the rows of this period counts: each says why."


@pytest.mark.store
async def test_each_row_says_what_it_is_and_why_it_was_left_out(db: AsyncConnection):
    await found(db)
    d1 = deployment("09-03 12:00")
    kept = change(d1, "09-03 11:00", pull_request_number=7, title="Ship it")
    bot, agent = change(d1, "09-03 11:00", cohort="bots"), change(d1, "09-03 11:00", cohort="agent")
    await keep(db, [d1], [kept, bot, agent])
    explained = await change_lead_time_explanation(
        db, Scope("acme", cohorts=("people",)), SEPTEMBER
    )
    assert (explained["counted"], len(explained["rows"])) == (1, 3)
    assert explained["excluded"] == [
        {"reason": "made by a bot: bots are left out of lead time", "count": 1},
        {"reason": "made by the agent: the filter leaves its changes out", "count": 1},
    ]
    row = next(row for row in explained["rows"] if row["counted"])
    assert (row["what"], row["value"], row["at"], row["url"]) == (
        "acme/api#7 Ship it",
        3600,
        "2026-09-03T12:00:00Z",
        kept["url"],
    )
    assert row["environment"] == row["service"] == "production"
    json.dumps(explained)


@pytest.mark.store
async def test_pages_hold_every_row_once_also_of_one_second(db: AsyncConnection):
    await keep(db, [deployment("09-03 12:00") for _ in range(7)], [])
    seen, cursor = [], None
    while True:
        page = await deployment_frequency_explanation(db, ACME, SEPTEMBER, Page(3, cursor))
        seen += [row["id"] for row in page["rows"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7


@pytest.mark.store
@pytest.mark.parametrize("cursor", ["", "x", "%%%", "MjAyNiB4", "ü"])
async def test_a_cursor_of_somebody_else_is_refused(db: AsyncConnection, cursor: str):
    with pytest.raises(Refused, match="this cursor was not given by us"):
        await deployment_frequency_explanation(db, ACME, SEPTEMBER, Page(3, cursor))


@pytest.mark.store
async def test_latest_deployments_are_newest_first_with_what_they_brought(db: AsyncConnection):
    await found(db)
    d1, d2 = deployment("09-03 12:00"), deployment("09-04 12:00", None)
    await keep(db, [d1, d2], [change(d1, "09-03 11:00"), change(d1, "09-03 11:00")])
    latest = await latest_deployments(db, ACME, SEPTEMBER)
    assert [(row["id"], row["changes"], row["reason"]) for row in latest] == [
        (d2["id"], 0, "it never succeeded"),
        (d1["id"], 2, None),
    ]
    parts = await deployment_frequency_by_repository(db, ACME, SEPTEMBER, NOW)
    assert [(part["repository"], part["count"], part["failed"]) for part in parts] == [
        ("acme/api", 1, 1)
    ]


@pytest.mark.store
async def test_an_organisation_chooses_its_zone_and_edition(db: AsyncConnection):
    assert await measured_in(db, "acme") == ("UTC", 2024)
    await found(db, "Asia/Tokyo")
    assert await measured_in(db, "acme") == ("Asia/Tokyo", 2024)


@pytest.mark.store
async def test_csv_holds_every_row_and_disarms_formulas(db: AsyncConnection):
    await found(db)
    d1 = deployment("09-03 12:00", ref="=cmd|' /C calc'!A0")
    title = '+1, "quoted"\nand more'
    await keep(db, [d1], [change(d1, "09-03 13:00", title=title)])
    lines = [text async for text in csv_lines(db, deployments.METRIC, ACME, SEPTEMBER)]
    (row,) = csv.DictReader(lines)
    assert (row["ref"], row["counted"], row["at"]) == (
        "'=cmd|' /C calc'!A0",
        "true",
        "2026-09-03T12:00:00Z",
    )
    lines = [text async for text in csv_lines(db, lead_time.METRIC, ACME, SEPTEMBER)]
    (row,) = csv.DictReader("".join(lines).splitlines(keepends=True))
    assert (row["title"], row["value"], row["pickup_seconds"]) == (f"'{title}", "-3600.0", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_that_starts_like_a_formula_is_disarmed(start: str):
    assert cell(f"{start}1") == f"'{start}1"


def test_numbers_are_no_formulas():
    assert line([-1.5, None, True, "a,b"]) == '-1.5,,true,"a,b"\r\n'
