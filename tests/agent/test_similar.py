"""Which finished tickets are like another, and how a model is told of them."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.agent.similar import Similar, similar_tickets
from tests.agent_rows import AT, PLACE, add_pull_request, add_run, add_ticket

pytestmark = pytest.mark.store

ASKED = {
    "id": "github:1",
    "repository_id": PLACE["repository_id"],
    "title": "Upload of large photos fails",
    "body": "Uploading a photo larger than 10 MB answers 413.",
}


async def similar(engine: AsyncEngine, **changed: Any) -> list[Similar]:
    async with engine.connect() as db:
        return await similar_tickets(db, {**ASKED, **changed})


async def finished(engine: AsyncEngine, ticket_id: str, title: str, **told: Any) -> None:
    row = {"body": "", "status": "closed", "closed_at": AT, **told}
    await add_ticket(engine, ticket_id, title=title, **row)


async def test_tickets_that_share_words_are_found_merged_ones_first(engine: AsyncEngine) -> None:
    await finished(engine, "github:2", "Photos: large upload fails", number=2, status="failed")
    await finished(engine, "github:3", "Photo uploads time out", number=3, pull_request_number=30)
    await finished(engine, "github:4", "Change the colour of the menu", number=4)
    await add_pull_request(engine, 30, merged_at=AT, state="closed")
    files = [{"path": "app/upload.py", "status": "M"}]
    for summary in ("An earlier try", "Raised the **limit**"):
        await add_run(
            engine, "github:3", state="done", finished_at=AT, summary=summary,
            changes={"files": files},
        )  # fmt: skip
    assert await similar(engine) == [
        Similar(
            3, "Photo uploads time out", "merged as pull request #30", "Raised the **limit**",
            ("app/upload.py",),
        ),
        Similar(2, "Photos: large upload fails", "ended without a pull request", "", ()),
    ]  # fmt: skip


async def test_the_three_most_similar_are_told(engine: AsyncEngine) -> None:
    for number in range(2, 12):
        words = "photo " * (number % 5) + "upload"
        await finished(engine, f"github:{number}", f"Large {words}", number=number)
    assert len(await similar(engine)) == 3


@pytest.mark.parametrize(
    "told",
    [
        {"status": "open"},
        {"status": "in_progress"},
        {"repository_id": "github:11"},
        {"title": "Something else", "body": "entirely"},
        {"title": "One upload is no photograph", "body": "of a camera"},
    ],
)
async def test_others_are_not_found(engine: AsyncEngine, told: dict[str, Any]) -> None:
    row = {"title": "Upload of large photos", **told}
    await finished(engine, "github:2", row.pop("title"), **row)
    assert await similar(engine) == []


async def test_a_ticket_is_not_like_itself(engine: AsyncEngine) -> None:
    await finished(engine, "github:1", ASKED["title"])
    assert await similar(engine) == []


@pytest.mark.parametrize("words", ["", "the of and", "' | ! & <-> :* \\ \"", "%s :x {y}", "💥" * 9])
async def test_odd_words_find_nothing_and_break_nothing(engine: AsyncEngine, words: str) -> None:
    await finished(engine, "github:2", "Upload of large photos fails")
    assert await similar(engine, title=words, body=words) == []


async def test_words_of_a_query_are_only_words(engine: AsyncEngine) -> None:
    await finished(engine, "github:2", "O'Brien's upload fails")
    found = await similar(engine, title="o'brien's & upload ! | 'x'", body="")
    assert [each.title for each in found] == ["O'Brien's upload fails"]


async def test_a_very_long_ticket_is_like_others_as_well(engine: AsyncEngine) -> None:
    await finished(engine, "github:2", "Upload of large photos fails")
    body = " ".join(f"word{number}" for number in range(5000))
    assert len(await similar(engine, body=body)) == 1


def test_similar_tickets_are_told_in_few_plain_lines() -> None:
    told = Similar(
        3, "Old\u200b\nticket", "finished", "Did <!-- x --> it.\n\n- well " + "very " * 500,
        tuple(f"file{number}.py" for number in range(30)),
    ).words  # fmt: skip
    first, summary, named = told.split("\n")
    assert first == "- #3 Old ticket: finished."
    assert summary.startswith("  Did it. - well very")
    assert len(summary) < 700
    assert named.endswith("file11.py, …")
