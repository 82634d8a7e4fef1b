"""Questions about issues of Linear that the agent develops, and what Linear was told of them."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

LOCK = text("select pg_advisory_xact_lock(hashtextextended('linear_ticket:' || :issue, 0))")
ISSUE = text("""
    select state_type, deleted, labels from linear_issues
     where id = :issue and organization_id = :organization
""")
EMAIL = text("select email from identities where id = :identity and not bot")
FIND = text("""
    select linear_issue_id, repository_id, issue_id, issue_number from linear_tickets
     where linear_issue_id = :issue
""")
KEEP = text("""
    insert into linear_tickets
           (linear_issue_id, organization_id, repository_id, issue_id, issue_number)
    values (:linear, :organization, :repository, :issue, :number)
        on conflict (linear_issue_id) do update
       set repository_id = excluded.repository_id, issue_id = excluded.issue_id,
           issue_number = excluded.issue_number
""")

# What Linear is told: where the ticket's pull request was merged, that, else the ticket's status.
OUTCOMES = """
    select t.linear_issue_id, t.organization_id, t.told, k.number, k.url as issue_url, k.status,
           r.full_name as repository, p.number as pull_request, p.url as pull_request_url,
           case when p.merged_at is not null then 'merged:' || p.number
                when k.status = 'in_review' then 'in_review:' || k.pull_request_number
                else k.status end as outcome
      from linear_tickets t
      join tickets k on k.id = t.issue_id
      join repositories r on r.id = k.repository_id
      left join pull_requests p
        on p.repository_id = k.repository_id and p.number = k.pull_request_number
"""
OUTCOME = text(f"{OUTCOMES} where t.linear_issue_id = :issue")
DUE = text(f"""
    select linear_issue_id, organization_id from ({OUTCOMES}) o
     where o.outcome is not null and o.told is distinct from o.outcome
       and exists (select from connections c
                    where c.organization_id = o.organization_id and c.source = 'linear'
                      and c.state = 'active')
       and not exists (select from jobs j where j.key = 'tell_linear:' || o.linear_issue_id
                          and j.status in ('waiting', 'running', 'parked'))
     limit 100
""")  # noqa: S608 - constants only
TOLD = text("update linear_tickets set told = :outcome where linear_issue_id = :issue")


async def lock(db: AsyncConnection, linear_issue_id: str) -> None:
    """Let one worker at a time make an issue of Linear's; freed when the transaction ends."""
    await db.execute(LOCK, {"issue": linear_issue_id})


async def linear_issue(
    db: AsyncConnection, organization_id: str, linear_issue_id: str
) -> RowMapping | None:
    """Return an issue's state and labels as last described; None where it never was."""
    bound = {"issue": linear_issue_id, "organization": organization_id}
    return (await db.execute(ISSUE, bound)).mappings().first()


async def email_of(db: AsyncConnection, organization_id: str, account: str) -> str | None:
    """Return the e-mail of an account as Linear told it; None where it did not."""
    bound = {"identity": f"{organization_id}/{account}"}
    email: str | None = await db.scalar(EMAIL, bound)
    return email


async def linear_ticket(db: AsyncConnection, linear_issue_id: str) -> RowMapping | None:
    """Return which issue on GitHub stands for an issue of Linear; None where none does."""
    return (await db.execute(FIND, {"issue": linear_issue_id})).mappings().first()


async def keep_linear_ticket(
    db: AsyncConnection,
    linear_issue_id: str,
    organization_id: str,
    repository_id: str,
    issue_id: str,
    number: int,
) -> None:
    """Keep which issue on GitHub stands for an issue of Linear."""
    await db.execute(
        KEEP,
        {
            "linear": linear_issue_id,
            "organization": organization_id,
            "repository": repository_id,
            "issue": issue_id,
            "number": number,
        },
    )


async def outcome_of(db: AsyncConnection, linear_issue_id: str) -> RowMapping | None:
    """Return how the ticket of an issue stands now, and what Linear was told last."""
    return (await db.execute(OUTCOME, {"issue": linear_issue_id})).mappings().first()


async def due_outcomes(db: AsyncConnection) -> Sequence[RowMapping]:
    """Return the issues whose ticket stands otherwise than Linear was told; 100 at most."""
    return (await db.execute(DUE)).mappings().all()


async def was_told(db: AsyncConnection, linear_issue_id: str, outcome: str) -> None:
    """Keep what Linear was told."""
    await db.execute(TOLD, {"issue": linear_issue_id, "outcome": outcome})
