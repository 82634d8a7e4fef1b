"""The figure that a badge shows: what strangers may read of a metric of the last thirty days."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from models.badges import Shown
from models.metrics import deployments, lead_time, stability
from models.metrics.core import Rows, Scope, Window, measured_in
from models.metrics.privacy import enough_people, sight_of, too_few
from models.people import GITHUB_ACCOUNT

DAYS = 30

AUTHORS = f"""
select cohort, '{GITHUB_ACCOUNT}' || lower(author_login) as account, deployed_at as at
  from deployment_changes
 where organization_id = :organization_id and deployed_at >= :since and deployed_at < :until
   and environment_class = 'production'
   and (cast(:repository_id as text) is null or repository_id = :repository_id)
"""  # noqa: S608 - of constants only


@dataclass(frozen=True)
class Figure:
    """A metric's value: per day, seconds, or a share; None without data, or where `withheld`.

    `level`: elite, high, medium, low, a place in 2025's distribution, or None.
    """

    metric: str
    value: float | None
    level: str | None = None
    withheld: bool = False


async def figure_of(db: AsyncConnection, shown: Shown, now: datetime) -> Figure:
    """Return the figure of a badge.

    Badges are public. The lead time of fewer than five people's changes is withheld: it would tell
    how fast single people are. The others are of deployments, whoever made them.
    """
    time_zone, edition = await measured_in(db, shown.organization_id)
    window = Window.last(DAYS, now, time_zone)
    scope = Scope(shown.organization_id, repository_id=shown.repository_id)
    if shown.metric == "change_lead_time" and await few_authors(db, scope, window):
        return Figure(shown.metric, None, withheld=True)
    told = await asked(db, shown.metric, scope, window, (now, edition))
    value = next(told[name] for name in ("per_day", "median_seconds", "rate") if name in told)
    return Figure(shown.metric, value, told.get("level") or told.get("level_place"))


async def asked(
    db: AsyncConnection, metric: str, scope: Scope, window: Window, seen: tuple[datetime, int]
) -> Any:
    """Ask for one of the five metrics, seen at a time, by an edition of DORA's levels."""
    now, edition = seen
    if metric == "deployment_frequency":
        return await deployments.deployment_frequency(db, scope, window, now, edition)
    if metric == "change_lead_time":
        return await lead_time.change_lead_time(db, scope, window, edition)
    if metric == "change_failure_rate":
        return await stability.change_failure_rate(db, scope, window, edition)
    if metric == "failed_deployment_recovery_time":
        return await stability.failed_deployment_recovery_time(db, scope, window, now, edition)
    return await stability.rework_rate(db, scope, window)


async def few_authors(db: AsyncConnection, scope: Scope, window: Window) -> bool:
    """Say whether a lead time would be that of too few people to be shown to everybody."""
    bound = {
        "organization_id": scope.organization_id,
        "repository_id": scope.repository_id,
        "since": window.start,
        "until": window.end,
    }
    sight = await sight_of(db, scope.organization_id)
    return too_few(await enough_people(db, sight, Rows(AUTHORS, bound))) is not None
