"""Everything an organisation has, as NDJSON: a header, then a line `{"table": …, "row": …}` a row.

What is exported is written down here table by table, and so is what is left out and why: a table
that is in neither fails a test. Secrets are in no column that is named here.
"""

import zlib
from collections.abc import AsyncGenerator, Mapping
from functools import cache
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from models.errors import Refused

FORMAT = 1
FETCHED, BODIES_FETCHED = 500, 4

SNAPSHOT = text("set transaction isolation level repeatable read, read only")
CALLED = text("""
    select id, login from organizations where id = :name or lower(login) = lower(:name)
     order by id like 'login:%', id limit 1
""")
ALL = text("""
    select id, login from organizations o where id not like 'login:%' or not exists (
        select from organizations told
         where lower(told.login) = lower(o.login) and told.id not like 'login:%')
     order by lower(login)
""")

# An organisation that a person named before GitHub told of it is the same one.
OWN = "organization_id in (:organization_id, 'login:' || lower(:login))"
OF_RUNS = f"run_id in (select id from runs where {OWN})"  # noqa: S608 - of constants only
MEMBERS = f"select user_id from memberships where {OWN}"  # noqa: S608
OF_INCIDENTS = f"incident_id in (select id from incidents where {OWN})"  # noqa: S608
OF_BUDGETS = f"""
    id in (select 'ticket:' || id from tickets where {OWN})
    or left(id, -11) in (select 'repository:' || id from repositories where {OWN})
    or left(id, -11) = 'organization:' || :organization_id
"""  # noqa: S608
OF_SLACK = f"""
    user_id in ({MEMBERS}) and team_id in
        (select external_id from connections where source = 'slack' and {OWN})
"""  # noqa: S608

OWNED = """
    agent_settings audit_log badges builds check_runs check_suites commits comparisons
    connection_repositories connections contributors deliveries deployed_services
    deployment_changes deployment_rules deployment_statuses deployments failed_deployments
    identities identity_merges incident_channels incident_deployments
    incident_links incident_places incident_reports incident_settings incident_updates incidents
    issue_comments issue_pull_requests issue_times issues job_annotations linear_attachments
    linear_comments linear_cycles linear_issues linear_labels linear_mappings linear_projects
    linear_teams linear_tickets memberships missed_news notices organization_settings
    post_mortems privacy_settings prompts pull_request_commits pull_request_heads
    pull_request_times pull_request_turns pull_requests push_commits pushes refs releases
    remedies repositories repository_names review_comments reviews runs service_deployments
    services slack_channel_states slack_channels slack_messages slack_reactions subscriptions
    sync_logs team_members team_repositories teams tickets usage workflow_files workflow_jobs
    workflow_platforms workflow_runs workflows
"""

EXPORTED: Mapping[str, str] = {
    **dict.fromkeys(OWNED.split(), OWN),
    "budgets": OF_BUDGETS,
    "incident_corrections": OF_INCIDENTS,
    "organizations": "id in (:organization_id, 'login:' || lower(:login))",
    "run_messages": OF_RUNS,
    "run_steps": OF_RUNS,
    "slack_members": OF_SLACK,
    "users": f"id in ({MEMBERS})",
}
"""Every table that is exported, and which of its rows are an organisation's."""

LEFT_OUT: Mapping[str, str] = {
    "connect_states": "one-time tokens of people who are connecting a source",
    "connection_secrets": "secrets of Linear and Slack",
    "credentials": "secrets of the GitHub App, which belong to the installation",
    "delivery_cursors": "how far GitHub's own log was read, of all organisations together",
    "etags": "what GitHub's answers were called, so that they need not be sent again",
    "jobs": "work that waits; its arguments may hold addresses that let their holder answer",
    "refresh_tokens": "tokens that sign in",
    "sessions": "tokens that sign in",
    "sign_in_links": "tokens that sign in",
    "sync_slots": "when the next sync is due",
}
"""Every table that is not exported, and why."""

NEVER: Mapping[str, tuple[str, ...]] = {
    "agent_settings": ("completion_url", "completion_secret"),
    "badges": ("token_hash",),
    "deliveries": ("headers", "body", "next_try_at", "leased_until"),
    "runs": ("next_try_at", "leased_until", "heartbeat_at"),
    "users": ("password_hash", "operator"),
}
"""Columns of exported tables that are left out: secrets, and marks of work under way."""

BOOKKEEPING = ("rank", "digest")
"""Columns of every table of facts that only tell which of two rows is newer."""


async def organization_to_export(db: AsyncConnection, name: str | None) -> tuple[str, str]:
    """Return an organisation's id and login, by either; without a name, the only one there is.

    Refused where there is none of that name, or several to choose from.
    """
    if name is not None:
        row = (await db.execute(CALLED, {"name": name})).first()
        if row is None:
            raise Refused(f"No organisation is called {name!r}.")
        return row.id, row.login
    rows = (await db.execute(ALL)).all()
    if not rows:
        raise Refused("There is no organisation yet.")
    if len(rows) > 1:
        raise Refused(f"Say which organisation: {', '.join(row.login for row in rows)}.")
    return rows[0].id, rows[0].login


def exported_columns(table: str) -> tuple[str, ...]:
    """Return the columns of a table that are exported, in their order."""
    known = SQLModel.metadata.tables[table].columns
    fact = "rank" in known
    out = (*NEVER.get(table, ()), *(BOOKKEEPING if fact else ()))
    return tuple(column.name for column in known if column.name not in out)


@cache
def rows_of_table(table: str, more: str = "") -> TextClause:
    """Return the question for a table's rows as JSON, by their key; `more`: columns beside it."""
    keys = [column.name for column in SQLModel.metadata.tables[table].primary_key]
    columns = ", ".join(exported_columns(table))
    row = f"select row_to_json(told_row)::text from (select {columns}) told_row"  # noqa: S608
    where = f"{EXPORTED[table]} order by {', '.join(keys)}"
    return text(f"select ({row}) as row{more} from {table} where {where}")  # noqa: S608


async def exported(
    db: AsyncConnection, organization: tuple[str, str], head: Mapping[str, Any], *, bodies: bool
) -> AsyncGenerator[tuple[str, str]]:
    """Yield the lines of an export, each with the name of its table ("" for the header).

    All of it is of one moment, and no more than a few hundred rows are held at a time. The
    connection must not be in a transaction. `head`: what the header says besides the format and
    whose it is. `bodies`: what each delivery said, too.
    """
    organization_id, login = organization
    yield "", header(organization_id, login, head)
    async with db.begin():
        await db.execute(SNAPSHOT)
        for table in sorted(EXPORTED):
            with_body = bodies and table == "deliveries"
            question = rows_of_table(table, ", body" if with_body else "")
            bound = bound_to(question, organization)
            held = BODIES_FETCHED if with_body else FETCHED
            streaming = {"stream_results": True, "max_row_buffer": held}
            # Not as a context: SQLAlchemy's swallows that a generator is closed.
            rows = await db.stream(question, bound, execution_options=streaming)
            try:
                async for row in rows:
                    told = with_said(row.row, row.body) if with_body else row.row
                    yield table, f'{{"table":"{table}","row":{told}}}\n'
            finally:
                await rows.close()


def bound_to(question: TextClause, organization: tuple[str, str]) -> dict[str, str]:
    """Return what a question is bound to, of an organisation's id and login."""
    told = dict(zip(("organization_id", "login"), organization, strict=True))
    return {name: told[name] for name in question.compile().params}


def header(organization_id: str, login: str, head: Mapping[str, Any]) -> str:
    """Return the first line: what this is, of whom and of when."""
    whose = {"id": organization_id, "login": login}
    told = {"export": "veelocity", "format": FORMAT, "organization": whose, **head}
    return to_json(told).decode() + "\n"


def with_said(row: str, body: bytes) -> str:
    """Return a delivery's row with what it said: as JSON where it is that, else as text."""
    return f'{row[:-1]},"body":{said(zlib.decompress(body) if body else b"")}}}'


def said(body: bytes) -> str:
    """Return a body on one line of JSON."""
    try:
        return to_json(from_json(body, allow_inf_nan=False)).decode()
    except ValueError:
        return to_json(body.decode("utf-8", "replace")).decode()
