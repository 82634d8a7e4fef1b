"""Tickets and runs of the agent in the tables, written by the functions that the app uses."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models import budgets, runs, tickets
from models.budgets import Limit, Spender, Spent
from models.pull_requests import PullRequest
from models.runs import RunState
from models.store import remember
from models.tickets import TicketStatus
from tests.browser.seeds import ORGANIZATION

API, MOBILE = "github:10", "github:11"
HOSTILE = '<img src=x onerror="alert(1)"> [click](javascript:alert(1))'
TITLES = (
    (API, "The export loses the last row", "bug", "high"),
    (API, "Retry failed webhooks with a growing pause", "feature", "medium"),
    (API, HOSTILE, "bug", "medium"),
    (API, "Say in the log which tenant a request is for", "chore", "low"),
    (MOBILE, "Dark theme for the settings", "feature", "critical"),
    (MOBILE, "Crash when the token has expired", "bug", "medium"),
)
OUTPUT = "\n".join(f"tests/test_export.py::test_row_{number} PASSED" for number in range(60))
CHECKLIST = [
    {"text": "Read how rows are exported", "done": True},
    {"text": "Write a test that fails", "done": True},
    {"text": "Mend the loop over pages", "done": False},
    {"text": HOSTILE, "done": False},
]
EVIDENCE: Mapping[str, Any] = {
    "verdict": "passed",
    "command": "python3 -m pytest",
    "base": {"code": 1, "timed_out": False, "seconds": 3.1, "failures": ["test_last"], "ran": 41},
    "result": {"code": 0, "timed_out": False, "seconds": 3.4, "failures": [], "ran": 42},
    "new_failures": [],
    "fixed": ["tests/test_export.py::test_last"],
    "notes": [],
}
CHANGES = {
    "tree": "a" * 40,
    "base": "b" * 40,
    "files": [
        {"path": "app/export.py", "status": "M", "added": 9, "deleted": 4},
        {"path": "tests/test_export.py", "status": "A", "added": 22, "deleted": 0},
    ],
    "weakened": [],
}


async def put(
    db: AsyncConnection, number: int, repository: str, title: str, type: str, priority: str
) -> str:
    """Keep a ticket; its id is `github:9` and its number."""
    name = "api" if repository == API else "mobile"
    return await tickets.put_ticket(
        db,
        {
            "id": f"github:9{number}",
            "organization_id": ORGANIZATION,
            "repository_id": repository,
            "number": number,
            "title": title,
            "body": "It is broken.",
            "url": f"https://github.com/acme/{name}/issues/{number}",
            "type": type,
            "priority": priority,
            "source": "label",
            "author_login": "grace",
            "requested_by_id": "github:501",
            "requested_by_login": "ada",
            "requested_at": datetime.now(UTC) - timedelta(hours=3 * number),
        },
    )


async def queue(db: AsyncConnection) -> None:
    """Let some tickets wait in two repositories."""
    for number, (repository, title, type, priority) in enumerate(TITLES, start=41):
        await put(db, number, repository, title, type, priority)


async def at_work(db: AsyncConnection, number: int = 31) -> int:
    """Let a run develop a ticket, with steps, calls and a checklist; return its id."""
    ticket_id = await put(db, number, API, "Exports are empty on Sundays", "bug", "high")
    run_id = await runs.put_run(db, ticket_id, requested_by_login="ada")
    assert run_id is not None
    await runs.claim_run(db)
    await tickets.set_status(db, ticket_id, TicketStatus.IN_PROGRESS)
    await runs.keep(
        db,
        run_id,
        model="claude-sonnet-5-5",
        provider="anthropic",
        prompt_name="default",
        budget_usd=Decimal(3),
        branch=f"claude/{number}-exports-are-empty-on-sundays",
        base_sha="b" * 40,
    )
    await runs.move(db, run_id, RunState.DEVELOPING)
    await runs.note(db, run_id, "tool", "ls -la", detail="app\ntests\n", ok=True, seconds=0.02)
    told = f"{OUTPUT}\n[exit status 1]"
    await runs.note(db, run_id, "tool", "python3 -m pytest", detail=told, ok=False, seconds=3.4)
    await runs.note(db, run_id, "tool", HOSTILE, detail=HOSTILE, ok=True, seconds=0.1)
    await runs.keep(db, run_id, checklist=CHECKLIST)
    await called(db, run_id, ticket_id, 3, Decimal("0.0412"))
    return run_id


async def called(
    db: AsyncConnection,
    run_id: int,
    ticket_id: str,
    times: int,
    usd: Decimal,
    repository: str = API,
) -> None:
    """Let a run have called a model, within the budgets of today."""
    day = datetime.now(UTC).date()
    limits = [
        Limit(f"ticket:{ticket_id}", "the ticket", Decimal(3)),
        Limit(f"repository:{repository}:{day}", "the repository's day", Decimal(20)),
        Limit(f"organization:{ORGANIZATION}:{day}", "the organisation's day", Decimal(50)),
    ]
    spender = Spender(run_id, ticket_id, repository, ORGANIZATION)
    for _ in range(times):
        taken = await budgets.reserve(
            db, spender, limits, Decimal("0.6"), "anthropic", "claude-sonnet-5-5"
        )
        assert taken.usage_id is not None
        await budgets.settle(db, taken.usage_id, Spent(usd, 12, 810, 22_400, 1_900, seconds=6.2))


async def over(
    db: AsyncConnection, number: int, state: RunState = RunState.DONE, **told: Any
) -> int:
    """Let a run of a ticket have ended; return its id."""
    ticket_id = await put(db, number, API, f"Ticket number {number}", "bug", "medium")
    run_id = await runs.put_run(db, ticket_id, requested_by_login="ada")
    assert run_id is not None
    began = datetime.now(UTC) - timedelta(hours=2 * (50 - number))
    columns: dict[str, Any] = {
        "model": "claude-sonnet-5-5",
        "provider": "anthropic",
        "prompt_name": "default",
        "outcome": {"kind": "submitted"},
        "summary": "The last page was left out of the loop.\n\n" + HOSTILE,
        **told,
    }
    if state is RunState.DONE:
        columns |= {"verdict": "passed", "evidence": dict(EVIDENCE), "changes": CHANGES}
        columns |= {"pull_request_number": 100 + number, "head_sha": "c" * 40}
        await remember(db, [pull_request(100 + number, began, "agent")])
    await runs.keep(db, run_id, **columns)
    await called(db, run_id, ticket_id, 2, Decimal("0.21"))
    for each in (RunState.DEVELOPING, RunState.VALIDATING, state):
        await runs.move(db, run_id, each, told.get("error"))
    await runs.keep(
        db, run_id, started_at=began, finished_at=began + timedelta(minutes=7), created_at=began
    )
    await say(db, run_id)
    await tickets.set_status(db, ticket_id, TicketStatus.IN_REVIEW, anyway=True)
    return run_id


async def say(db: AsyncConnection, run_id: int) -> None:
    """Let a few messages have been said in a run."""
    call = {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "ls"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": OUTPUT}
    said = (
        ("system", [{"type": "text", "text": "You develop tickets."}]),
        ("user", [{"type": "text", "text": HOSTILE}]),
        ("assistant", [{"type": "text", "text": "I look around."}, call]),
        ("user", [result]),
    )
    for position, (role, content) in enumerate(said):
        await runs.say(db, run_id, position, {"role": role, "content": content})


def pull_request(number: int, opened: datetime, cohort: str) -> PullRequest:
    """Return a pull request that was merged two hours after it was opened."""
    return PullRequest(
        id=f"github:pr{number}",
        organization_id=ORGANIZATION,
        repository_id=API,
        changed_at=opened + timedelta(hours=2),
        number=number,
        title="Mend it",
        url=f"https://github.com/acme/api/pull/{number}",
        state="closed",
        cohort=cohort,
        base_ref="main",
        head_ref=f"claude/{number}",
        head_sha="c" * 40,
        opened_at=opened,
        merged_at=opened + timedelta(hours=2),
    )


async def planned(db: AsyncConnection, number: int = 36) -> int:
    """Let a plan wait for approval; return its run's id."""
    ticket_id = await put(db, number, MOBILE, "Offline mode", "feature", "low")
    run_id = await runs.put_run(db, ticket_id, kind="plan", requested_by_login="grace")
    assert run_id is not None
    await runs.move(db, run_id, RunState.PLANNING)
    plan = "1. Keep the last answer on disk\n2. Show it with its age\n\n" + HOSTILE
    await runs.keep(db, run_id, plan=plan, model="claude-sonnet-5-5")
    await runs.move(db, run_id, RunState.WAITING_APPROVAL)
    return run_id


async def uproot(db: AsyncConnection) -> None:
    """Take everything out again that `plant` writes."""
    for table in ("tickets", "runs", "run_steps", "run_messages", "usage", "budgets"):
        await db.execute(text(f"delete from {table}"))  # noqa: S608 - names above
    await db.execute(text("delete from pull_requests where id like 'github:pr%'"))


async def plant(db: AsyncConnection) -> dict[str, int]:
    """Write a whole scene; return the ids of its runs by what they are."""
    await uproot(db)
    await queue(db)
    for number in range(20, 24):
        await remember(
            db, [pull_request(number, datetime.now(UTC) - timedelta(days=number - 18), "people")]
        )
    done = await over(db, 21)
    blocked = "Nothing was pushed: `.github/workflows/ci.yml` (protected)."
    faults = {"error": blocked}
    return {
        "done": done,
        "blocked": await over(db, 22, RunState.BLOCKED, **faults),
        "over_budget": await over(db, 23, RunState.OVER_BUDGET, limits=["the ticket"]),
        "draft": await over(db, 24, RunState.DRAFT, limits=["turns"]),
        "planned": await planned(db),
        "working": await at_work(db),
    }
