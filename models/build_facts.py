"""Questions asked while builds are derived from workflow runs, their jobs, and what people say."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.builds import Build
from models.store import columns

LOCK = text("select pg_advisory_xact_lock(hashtextextended('builds:' || :repository, 0))")

# What a run means depends on the other runs of its workflow on the same commit too.
TOUCHED = text("""
    with told as (
        select run_id from workflow_runs
         where repository_id = :repository and started_at >= :since
        union
        select run_id from workflow_jobs
         where repository_id = :repository and completed_at >= :since)
    select run_id from told
    union
    select o.run_id from told t
      join workflow_runs r on r.run_id = t.run_id and r.repository_id = :repository
      join workflow_runs o on o.repository_id = r.repository_id and o.head_sha = r.head_sha
       and o.workflow_id = r.workflow_id
     order by run_id
""")
OF_REPOSITORY = text("""
    select distinct run_id from workflow_runs where repository_id = :repository order by run_id
""")
OF_WORKFLOW = text("""
    select distinct run_id from workflow_runs
     where repository_id = :repository and workflow_id = :workflow order by run_id
""")

OF_FILE = text("""
    select distinct run_id from workflow_runs
     where repository_id = :repository and path = :path order by run_id
""")

LAST = """
    select distinct on (run_id) * from workflow_runs
     where run_id = any(:ids) and repository_id = :repository order by run_id, attempt desc
"""
BAD = "('failure', 'timed_out')"
FAILED_JOB = f"""
    select w.id, w.name, w.failed_step from workflow_jobs w
     where w.run_id = l.run_id and w.attempt = l.attempt and w.conclusion in {BAD}
     order by w.failed_step is null, w.completed_at, w.id limit 1
"""  # noqa: S608 - of constants only

# A file is as it was last read before a run, else as it was first read after it.
RUNS = text(f"""
    with last as ({LAST})
    select l.run_id, l.organization_id, l.repository_id, l.workflow_id, l.name, l.path,
           l.platform as named, f.platform as built, p.platform as chosen, l.event, l.branch,
           l.head_sha, l.attempt, l.conclusion, l.started_at, l.completed_at, l.actor_login, l.url,
           exists (select from workflow_runs e
                    where e.run_id = l.run_id and e.attempt < l.attempt
                      and e.conclusion in {BAD})
           or exists (select from workflow_runs o
                       where o.repository_id = l.repository_id and o.head_sha = l.head_sha
                         and o.workflow_id = l.workflow_id and o.run_id <> l.run_id
                         and o.conclusion in {BAD} and o.completed_at < l.completed_at)
           as failed_before,
           j.name as failed_job, j.failed_step,
           (select concat_ws(': ', a.path || coalesce(':' || a.line, ''), a.message)
              from job_annotations a where a.job_id = j.id order by a.id limit 1) as annotation
      from last l
      left join lateral ({FAILED_JOB}) j on true
      left join workflow_platforms p
        on p.workflow_id = l.workflow_id and p.organization_id = l.organization_id
      left join lateral (
           select v.platform from workflow_files v
            where v.repository_id = l.repository_id and v.path = l.path
            order by v.changed_at > l.started_at,
                     abs(extract(epoch from v.changed_at - l.started_at)), v.id limit 1) f on true
""")  # noqa: S608 - of constants only

# The newest run of each workflow of which neither words nor people say what it builds.
UNREAD = text(f"""
    with last as ({LAST}),
    newest as (
        select distinct on (path) * from last
         where path like '.github/workflows/%' and platform is null
           and not exists (select from workflow_platforms p where p.workflow_id = last.workflow_id)
         order by path, started_at desc, run_id),
    known as (
        select n.path, n.head_sha, n.started_at, n.organization_id, f.sha, f.changed_at,
               e.etag, e.stored_at,
               exists (select from pushes u
                         join push_commits m on m.push_id = u.id
                         join commits c on c.repository_id = m.repository_id and c.sha = m.sha
                        where u.repository_id = :repository and u.pushed_at > f.changed_at
                          and u.pushed_at <= n.started_at and n.path = any(c.paths)) as pushed,
               exists (select from commits c where c.repository_id = :repository
                          and c.sha = n.head_sha and c.paths_known) as told
          from newest n
          left join lateral (
               select v.sha, v.changed_at from workflow_files v
                where v.repository_id = :repository and v.path = n.path
                order by v.changed_at desc, v.id limit 1) f on true
          left join etags e on e.id = 'workflow_file:' || :repository || ':' || n.path)
    select path, head_sha, started_at, organization_id, sha, etag, pushed from known
     where stored_at is null or pushed
        or (not told and stored_at < cast(:now as timestamptz) - interval '1 day')
     order by path
""")  # noqa: S608 - of constants only

# Of each build only the job is asked that names its failure.
UNEXPLAINED = text(f"""
    select j.id as job_id, l.run_id, l.organization_id, l.completed_at
      from builds b
      join lateral (select b.id as run_id, b.attempts as attempt, b.organization_id,
                           b.completed_at) l on true
      join lateral ({FAILED_JOB}) j on true
     where b.id = any(:ids) and b.outcome in {BAD}
       and (b.branch = :default_branch or b.platform is not null)
       and b.completed_at > cast(:now as timestamptz) - interval '7 days'
       and not exists (select from etags e where e.id = 'annotations:' || j.id)
     order by b.completed_at desc, b.id limit :most
""")  # noqa: S608 - of constants only

KEEP_ETAG = text("""
    insert into etags (id, organization_id, etag) values (:id, :organization, :etag)
    on conflict (id) do update set etag = excluded.etag, stored_at = now()
""")


@cache
def writing() -> TextClause:
    """Return the statement that writes builds where they differ."""
    names = columns(Build)
    listed, excluded = ", ".join(names), ", ".join(f"excluded.{name}" for name in names)
    return text(
        f"insert into builds as b ({listed}) select {listed} "  # noqa: S608 - of our own names
        "from json_populate_recordset(null::builds, cast(:rows as json)) "
        f"on conflict (id) do update set ({listed}) = ({excluded}) "
        "where b is distinct from excluded returning b.id"
    )


async def lock(db: AsyncConnection, repository_id: str) -> None:
    """Let one worker at a time derive a repository's builds; freed when the transaction ends."""
    await db.execute(LOCK, {"repository": repository_id})


async def touched(
    db: AsyncConnection, repository_id: str, since: datetime | None, workflow_id: str | None = None
) -> list[str]:
    """Return the runs of which something was told of a time since then; None: all of them.

    `workflow_id`: all runs of one workflow, whenever they were.
    """
    bound = {"repository": repository_id}
    if workflow_id is not None:
        found = await db.scalars(OF_WORKFLOW, {**bound, "workflow": workflow_id})
    elif since is None:
        found = await db.scalars(OF_REPOSITORY, bound)
    else:
        found = await db.scalars(TOUCHED, {**bound, "since": since})
    return list(found.all())


async def of_file(db: AsyncConnection, repository_id: str, path: str) -> list[str]:
    """Return all runs of a workflow's file."""
    bound = {"repository": repository_id, "path": path}
    return list((await db.scalars(OF_FILE, bound)).all())


async def runs(db: AsyncConnection, repository_id: str, ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Return what is known of some runs, as `handlers.builds.Run` has it."""
    return (await db.execute(RUNS, {"repository": repository_id, "ids": list(ids)})).all()


async def write(db: AsyncConnection, builds: Iterable[Build]) -> list[str]:
    """Write builds; return those that changed."""
    said = [{name: getattr(build, name) for name in columns(Build)} for build in builds]
    return list((await db.scalars(writing(), {"rows": to_json(said).decode()})).all())


async def unread(
    db: AsyncConnection, repository_id: str, ids: Sequence[str], now: datetime
) -> Sequence[Row[Any]]:
    """Return the workflow files that must be read to know what some runs build.

    One is read anew after a push that touched it; where no push told what it touched, once a day.
    """
    bound = {"repository": repository_id, "ids": list(ids), "now": now}
    return (await db.execute(UNREAD, bound)).all()


async def unexplained(
    db: AsyncConnection, default_branch: str, ids: Sequence[str], now: datetime, most: int
) -> Sequence[Row[Any]]:
    """Return failed jobs of the last week whose annotations were not asked for yet.

    Of the default branch, and of builds of an app.
    """
    bound = {"default_branch": default_branch, "ids": list(ids), "now": now, "most": most}
    return (await db.execute(UNEXPLAINED, bound)).all()


async def keep_etag(db: AsyncConnection, key: str, organization_id: str, etag: str) -> None:
    """Note that something was asked of GitHub now, and what its answer was called."""
    await db.execute(KEEP_ETAG, {"id": key, "organization": organization_id, "etag": etag})
