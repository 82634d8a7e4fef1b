"""What people say a workflow builds for: the answer, and the order to count its builds anew."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.errors import Refused

CHOICES = ("ios", "android", "mobile", "none")

OWN = text("""
    select w.repository_id, w.name from workflows w
     where w.id = :workflow and w.organization_id = :organization
    union all
    select b.repository_id, b.workflow from builds b
     where b.workflow_id = :workflow and b.organization_id = :organization
     limit 1
""")
SAY = text("""
    insert into workflow_platforms (workflow_id, organization_id, platform, by)
    values (:workflow, :organization, :platform, :by)
    on conflict (workflow_id) do update
       set platform = excluded.platform, by = excluded.by, at = now()
     where workflow_platforms.organization_id = excluded.organization_id
""")
UNSAY = text("""
    delete from workflow_platforms where workflow_id = :workflow and organization_id = :organization
""")


async def choose_platform(
    db: AsyncConnection, organization_id: str, workflow_id: str, platform: str | None, by: str
) -> tuple[str, str]:
    """Keep what somebody says a workflow builds for; None: its name and file decide again.

    Returns the workflow's repository and its name. Refused for another word, and for a workflow
    that is not the organisation's.
    """
    if platform is not None and platform not in CHOICES:
        raise Refused(f"A workflow builds for {', '.join(CHOICES)}, not for {platform[:40]!r}.")
    bound = {"workflow": workflow_id, "organization": organization_id}
    found = (await db.execute(OWN, bound)).first()
    if found is None:
        raise Refused("There is no such workflow in this organisation.")
    if platform is None:
        await db.execute(UNSAY, bound)
    else:
        await db.execute(SAY, {**bound, "platform": platform, "by": by})
    return found.repository_id, found.name
