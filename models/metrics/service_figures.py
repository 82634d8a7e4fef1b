"""The five metrics of every service over the last thirty days, for a monitoring system."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics import deployments, lead_time, stability
from models.metrics.core import Scope, Window, ask, measured_in
from models.metrics.explanation import Metric

DAYS = 30
MOST = 1000

SERVICES = text("""
    select s.id, s.organization_id, o.login as organization, s.full_name as repository, s.service,
           s.environment_class as environment
      from deployed_services s join organizations o on o.id = s.organization_id
     where s.environment_class = 'production'
     order by o.login, s.full_name, s.service, s.id limit :most
""")
BY_SERVICE = """
select service_id, count(*) as rows, avg(value) as mean,
       percentile_cont(0.5) within group (order by value) as median
from rows where counted group by service_id
"""
METRICS: Mapping[str, Metric] = {
    "deployments_per_day": deployments.METRIC,
    "change_lead_time_seconds": lead_time.METRIC,
    "change_failure_rate": stability.FAILURES,
    "failed_deployment_recovery_seconds": stability.RECOVERIES,
    "rework_rate": stability.REWORK,
}


@dataclass(frozen=True)
class ServiceFigure:
    """One metric of one service: its value, of `count`. Without data there is none.

    `metric`: a name of `METRICS`. Values are per day, seconds (medians), or shares of one.
    """

    organization: str
    repository: str
    service: str
    environment: str
    metric: str
    value: float
    count: int


async def service_figures(db: AsyncConnection, now: datetime) -> list[ServiceFigure]:
    """The metrics of each production service with data, of at most a thousand services by name.

    All services of an organisation are asked for at once, by the SELECT of each metric.
    """
    services = (await db.execute(SERVICES, {"most": MOST})).all()
    figures: list[ServiceFigure] = []
    for organization_id in dict.fromkeys(one.organization_id for one in services):
        own = {one.id: one for one in services if one.organization_id == organization_id}
        time_zone, _ = await measured_in(db, organization_id)
        window = Window.last(DAYS, now, time_zone)
        for name, metric in METRICS.items():
            rows = metric.rows(Scope(organization_id), window.start, window.end)
            for row in await ask(db, rows, BY_SERVICE):
                if row.service_id in own:
                    value = value_of(name, row, window.elapsed_days(now))
                    figures.append(figure_of(own[row.service_id], name, value, row.rows))
    return figures


def value_of(name: str, row: Row[Any], days: int) -> float:
    """Return a metric's value of what Postgres says of a service's counted rows."""
    if name == "deployments_per_day":
        return float(row.rows / days)
    return float(row.median if name.endswith("_seconds") else row.mean)


def figure_of(service: Row[Any], metric: str, value: float, count: int) -> ServiceFigure:
    """Return a figure with the names of its service."""
    return ServiceFigure(
        organization=service.organization,
        repository=service.repository,
        service=service.service,
        environment=service.environment,
        metric=metric,
        value=value,
        count=count,
    )
