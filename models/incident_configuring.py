"""How an organisation's incidents are read, as its admins say: settings, and what channels are of.

Each function writes in the caller's transaction and orders that all incidents are read anew. Who
calls it has checked the patterns (`models.patterns.checked`), and writes the audit log.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from models.incident_changes import ReadAgain
from models.incident_reading import ChannelPlace, Reading
from models.incidents import IncidentSettings
from models.queue import queue

LISTS = (
    *("channels", "start_patterns", "resolve_patterns", "start_reactions", "resolve_reactions"),
    *("alert_bots", "labels"),
)
DOCUMENTS = ("windows", "severities")
KEPT = ("window_hours", *DOCUMENTS, *LISTS)
KEEP = text(f"""
    insert into incident_settings (organization_id, {", ".join(KEPT)})
    values (:organization_id, {", ".join(f":{name}" for name in KEPT)})
        on conflict (organization_id)
        do update set {", ".join(f"{name} = excluded.{name}" for name in KEPT)}
""").bindparams(*(bindparam(name, type_=JSONB) for name in DOCUMENTS))  # noqa: S608
FORGET = text("delete from incident_channels where organization_id = :organization_id")
PLACE = text("""
    insert into incident_channels
           (organization_id, channel, environment, repository_id, service, severity)
    values (:organization_id, :channel, :environment, :repository_id, :service, :severity)
""")


async def keep_settings(
    db: AsyncConnection, organization_id: str, told: Mapping[str, Any]
) -> IncidentSettings:
    """Keep how incidents are read; what is as by default is kept as nothing, and so stays so.

    `told` has columns of `IncidentSettings`; those that it has not become the default.
    """
    usual = Reading()
    kept: dict[str, Any] = {
        name: [] if list(told.get(name) or ()) == list(getattr(usual, name)) else told.get(name, [])
        for name in LISTS
    }
    kept["window_hours"] = told.get("window_hours", usual.window_hours)
    kept["windows"] = dict(told.get("windows") or {})
    kept["severities"] = {
        name: list(words)
        for name, words in (told.get("severities") or {}).items()
        if words and list(words) != list(usual.severities.get(name, ()))
    }
    await db.execute(KEEP, kept | {"organization_id": organization_id})
    await queue(db, [ReadAgain(organization_id)], organization_id)
    return IncidentSettings(organization_id=organization_id, **kept)


async def keep_places(
    db: AsyncConnection, organization_id: str, places: Sequence[ChannelPlace]
) -> None:
    """Keep what channels are about, in the place of what was kept before."""
    await db.execute(FORGET, {"organization_id": organization_id})
    names = ("channel", "environment", "repository_id", "service", "severity")
    rows = [
        {name: getattr(place, name) for name in names} | {"organization_id": organization_id}
        for place in places
    ]
    if rows:
        await db.execute(PLACE, rows)
    await queue(db, [ReadAgain(organization_id)], organization_id)
