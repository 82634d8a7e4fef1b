"""What Prometheus reads of us, gathered over all processes.

<https://prometheus.io/docs/instrumenting/exposition_formats/>. Each process keeps its own numbers
and leaves a copy in Redis every few seconds, so that /metrics of any web process tells of them all,
told apart by the label `process`. Without Redis it tells of itself. Queue depths are asked of
Postgres when they are read, and the metrics of services once a minute at most.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from models.metrics.service_figures import ServiceFigure, service_figures
from models.runs import ENDED

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARE_SECONDS = 5
KEPT_SECONDS = 30
FIGURES_SECONDS = 60.0
KEY = "veelocity:metrics:"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300)
RUN_BUCKETS = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
USD = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 50)
PROVIDERS = ("anthropic", "openai", "google")
MOST_MODELS = 20
EVENTS = frozenset(
    name
    for line in """
    branch_protection_configuration branch_protection_rule bypass_request_push check_run check_suite
    code_scanning_alert commit_comment create custom_property custom_property_values delete
    dependabot_alert deploy_key deployment deployment_protection_rule deployment_review
    deployment_status discussion discussion_comment fork github_app_authorization gollum
    installation installation_repositories installation_target issue_comment issue_dependencies
    issues label marketplace_purchase member membership merge_group meta milestone org_block
    organization package page_build personal_access_token_request ping project project_card
    project_column projects_v2 projects_v2_item projects_v2_status_update public pull_request
    pull_request_review pull_request_review_comment pull_request_review_thread push
    registry_package release repository repository_advisory repository_dispatch repository_import
    repository_ruleset repository_vulnerability_alert secret_scanning_alert
    secret_scanning_alert_location secret_scanning_scan security_advisory security_and_analysis
    sponsorship star status sub_issues team team_add watch workflow_dispatch workflow_job
    workflow_run
""".splitlines()
    for name in line.split()
)
"""The names GitHub documents; anything else is counted as `other`, so that nobody can make us
keep a number for each name they think of."""

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
DELIVERIES = Counter(
    "veelocity_deliveries_total",
    "Deliveries by what became of them",
    ["source", "event", "outcome"],
    registry=REGISTRY,
)
RECOVERED = Counter(
    "veelocity_deliveries_recovered_total",
    "Deliveries taken from a source's own log: recovered because they were missed, or pulled",
    ["source", "via"],
    registry=REGISTRY,
)
SYNC_SECONDS = Histogram(
    "veelocity_sync_seconds",
    "How long synchronisations took",
    ["source", "outcome"],
    registry=REGISTRY,
    buckets=RUN_BUCKETS,
)
SYNC_ITEMS = Counter(
    "veelocity_sync_items_total",
    "Things that synchronisations read",
    ["source"],
    registry=REGISTRY,
)
SYNC_ERRORS = Counter(
    "veelocity_sync_errors_total",
    "Synchronisations that a source refused",
    ["source"],
    registry=REGISTRY,
)
SYNC_MISSED = Counter(
    "veelocity_sync_missed_total",
    "Things that webhooks should have told and synchronisations found",
    ["source"],
    registry=REGISTRY,
)
SETTLE_SECONDS = Histogram(
    "veelocity_delivery_settle_seconds",
    "From a delivery's acceptance to its settling",
    registry=REGISTRY,
    buckets=SECONDS,
)
ANSWERS = Counter(
    "veelocity_webhook_answers_total",
    "Answers given to webhooks",
    ["source", "status"],
    registry=REGISTRY,
)
JOB_SECONDS = Histogram(
    "veelocity_job_seconds",
    "How long jobs took",
    ["name", "outcome"],
    registry=REGISTRY,
    buckets=SECONDS,
)
HTTP_SECONDS = Histogram(
    "veelocity_http_request_seconds",
    "How long requests took, webhooks apart",
    ["method", "route", "status"],
    registry=REGISTRY,
    buckets=SECONDS,
)
RUNS = Counter(
    "veelocity_agent_runs_total",
    "Runs of the agent by how they ended",
    ["outcome"],
    registry=REGISTRY,
)
RUN_SECONDS = Histogram(
    "veelocity_agent_run_seconds",
    "How long runs of the agent took",
    ["outcome"],
    registry=REGISTRY,
    buckets=RUN_BUCKETS,
)
RUN_COST = Histogram(
    "veelocity_agent_run_cost_usd",
    "What runs of the agent cost in US dollars",
    ["outcome"],
    registry=REGISTRY,
    buckets=USD,
)
CALLS = Counter(
    "veelocity_agent_calls_total",
    "Calls of models",
    ["provider", "model"],
    registry=REGISTRY,
)
COST = Counter(
    "veelocity_agent_cost_usd_total",
    "What calls of models cost in US dollars",
    ["provider", "model"],
    registry=REGISTRY,
)
TOKENS = Counter(
    "veelocity_agent_tokens_total",
    "Tokens of calls of models: input, output, cache_read, cache_write",
    ["provider", "model", "kind"],
    registry=REGISTRY,
)
CONNECTIONS = Gauge(
    "veelocity_database_connections", "Connections to Postgres in use", registry=REGISTRY
)


def delivered(source: str, event: str, outcome: str, waited_seconds: float | None = None) -> None:
    """Count a delivery that was decided, and how long it had waited where that is known."""
    DELIVERIES.labels(source, event if event in EVENTS else "other", str(outcome)).inc()
    if waited_seconds is not None:
        SETTLE_SECONDS.observe(waited_seconds)


def recovered(source: str, via: str, count: int) -> None:
    """Count deliveries that were taken from a source's own log."""
    RECOVERED.labels(source, via).inc(count)


def synced(source: str, outcome: str, seconds: float) -> None:
    """Count a synchronisation that ended (`outcome`: done or failed), and how long it took."""
    SYNC_SECONDS.labels(source, outcome).observe(seconds)
    SYNC_ERRORS.labels(source).inc(outcome == "failed")


def synced_page(source: str, items: int, missed: int) -> None:
    """Count what a page of a synchronisation told."""
    SYNC_ITEMS.labels(source).inc(items)
    SYNC_MISSED.labels(source).inc(missed)


def answered(source: str, status: int) -> None:
    """Count an answer to a webhook."""
    answers(source, status).inc()


@cache
def answers(source: str, status: int) -> Counter:
    """Return the counter of one kind of answer."""
    return ANSWERS.labels(source, str(status))


def worked(name: str, outcome: str, seconds: float) -> None:
    """Count a job that was tried, and how long that took."""
    JOB_SECONDS.labels(name, outcome).observe(seconds)


def ran(outcome: str, seconds: float, cost_usd: Decimal | float) -> None:
    """Count a run of the agent that ended (`outcome`: its last state), how long and how dear."""
    kind = str(outcome) if outcome in ENDED else "other"
    RUNS.labels(kind).inc()
    RUN_SECONDS.labels(kind).observe(seconds)
    RUN_COST.labels(kind).observe(float(cost_usd))


def called(provider: str, model: str, usage: Any, cost_usd: Decimal | float) -> None:
    """Count a call of a model, its tokens (`bot.agent.conversation.Usage`) and its price."""
    whose = (provider if provider in PROVIDERS else "other", known_model(model))
    CALLS.labels(*whose).inc()
    COST.labels(*whose).inc(float(cost_usd))
    for kind in ("input", "output", "cache_read", "cache_write"):
        TOKENS.labels(*whose, kind).inc(getattr(usage, f"{kind}_tokens"))


MODELS: set[str] = set()


def known_model(model: str) -> str:
    """Return a model's name, or `other` once there are too many: organisations name their own."""
    if model not in MODELS and len(MODELS) >= MOST_MODELS:
        return "other"
    MODELS.add(model)
    return model


def process_name(kind: str) -> str:
    """Name this process: its kind, machine and number."""
    return f"{kind}-{socket.gethostname()}-{os.getpid()}"


async def watch(engine: AsyncEngine, redis: Any = None, *, kind: str = "worker") -> None:
    """Leave a copy of this process's numbers in Redis every few seconds, until cancelled."""
    while True:
        CONNECTIONS.set(connections(engine))
        if redis is not None:
            with contextlib.suppress(RedisError, OSError):
                await share(redis, kind)
        await asyncio.sleep(SHARE_SECONDS)


def connections(engine: AsyncEngine) -> int:
    """Count the connections in use; pools that do not count say 0."""
    counted: Any = getattr(engine.pool, "checkedout", None)
    return int(counted()) if counted else 0


async def share(redis: Any, kind: str) -> None:
    """Leave a copy of this process's numbers in Redis."""
    await redis.set(KEY + process_name(kind), generate_latest(REGISTRY), ex=KEPT_SECONDS)


async def shared(redis: Any) -> dict[str, str]:
    """Return the numbers every process left, by its name; none while Redis is away."""
    try:
        keys = [key async for key in redis.scan_iter(match=KEY + "*", count=1000)]
        texts = await redis.mget(keys) if keys else []
    except (RedisError, OSError):
        return {}
    return {
        decoded(key).removeprefix(KEY): decoded(told)
        for key, told in zip(keys, texts, strict=True)
        if told is not None
    }


def decoded(value: bytes | str) -> str:
    """Return what Redis holds as text, whichever way its client was opened."""
    return value.decode() if isinstance(value, bytes) else value


class Gathered(Collector):
    """Families of metrics made beforehand, as prometheus_client collects them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = list(families)

    def collect(self) -> Iterator[Metric]:
        """Return the families."""
        return iter(self.families)


def merged(texts: dict[str, str]) -> list[Metric]:
    """Bring the numbers of many processes under one head each, with the label `process`."""
    families: dict[str, Metric] = {}
    for process, told in sorted(texts.items()):
        for family in text_string_to_metric_families(told):
            into = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            for sample in family.samples:
                into.add_sample(sample.name, {**sample.labels, "process": process}, sample.value)
    return list(families.values())


DEPTHS = text("""
    select 'deliveries' as queue, status, count(*) as depth,
           extract(epoch from now() - min(received_at)) as age
      from deliveries where status in ('received', 'failed', 'parked') group by status
    union all
    select 'jobs', status, count(*), extract(epoch from now() - min(created_at))
      from jobs where status in ('waiting', 'running', 'parked') group by status
""")


async def queue_depths(engine: AsyncEngine) -> list[Metric]:
    """Ask Postgres how much waits, and since when; nothing while it is away."""
    depth = GaugeMetricFamily("veelocity_queue_depth", "Rows that wait", labels=["queue", "status"])
    age = GaugeMetricFamily(
        "veelocity_queue_age_seconds", "Age of the oldest of them", labels=["queue", "status"]
    )
    try:
        async with engine.connect() as db:
            for row in await db.execute(DEPTHS):
                depth.add_metric([row.queue, row.status], row.depth)
                age.add_metric([row.queue, row.status], float(row.age or 0))
    except (SQLAlchemyError, OSError):
        return []
    return [depth, age]


AT_WORK = text("""
    select 'tickets' as table, status as state, count(*) as count from tickets
     where status in ('open', 'in_progress', 'in_review') group by status
    union all
    select 'runs', state, count(*) from runs where state <> all(:ended) group by state
""")


async def at_work(engine: AsyncEngine) -> list[Metric]:
    """Ask Postgres how many tickets and runs there are that have not ended; nothing while away."""
    gauges = {
        "tickets": GaugeMetricFamily(
            "veelocity_agent_tickets", "Tickets that are not over", labels=["status"]
        ),
        "runs": GaugeMetricFamily(
            "veelocity_agent_running", "Runs that have not ended", labels=["state"]
        ),
    }
    try:
        async with engine.connect() as db:
            for row in (await db.execute(AT_WORK, {"ended": list(ENDED)})).mappings():
                gauges[row["table"]].add_metric([row["state"]], row["count"])
    except (SQLAlchemyError, OSError):
        return []
    return list(gauges.values())


SERVICE_LABELS = ("organization", "repository", "service", "environment")
SERVICE_GAUGES = {
    "deployments_per_day": "Deployments per elapsed day",
    "change_lead_time_seconds": "Median change lead time",
    "change_failure_rate": "Share of the deployments of new code that failed",
    "failed_deployment_recovery_seconds": "Median failed deployment recovery time",
    "rework_rate": "Share of the deployments that took something back or mended it",
}


@dataclass
class Kept:
    """The gauges of services as they were last asked for, and when."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    until: float = 0.0
    families: list[Metric] = field(default_factory=list)


KEPT: dict[str, Kept] = {}


async def services(engine: AsyncEngine) -> list[Metric]:
    """Return DORA's five metrics of each service; asked of Postgres once a minute at most.

    While Postgres is away there are none: an old number would look like a new one.
    """
    kept = KEPT.setdefault(str(engine.url), Kept())
    async with kept.lock:
        if time.monotonic() >= kept.until:
            try:
                async with engine.connect() as db:
                    kept.families = families(await service_figures(db, datetime.now(UTC)))
                kept.until = time.monotonic() + FIGURES_SECONDS
            except (SQLAlchemyError, OSError):
                kept.families = []
        return kept.families


def families(figures: Iterable[ServiceFigure]) -> list[Metric]:
    """Return figures as gauges, and how many rows each is of; no label names a person."""
    gauges = {
        name: GaugeMetricFamily(
            f"veelocity_dora_{name}", f"{says}, of the last 30 days", labels=SERVICE_LABELS
        )
        for name, says in SERVICE_GAUGES.items()
    }
    samples = GaugeMetricFamily(
        "veelocity_dora_samples", "What each is counted of", labels=(*SERVICE_LABELS, "metric")
    )
    for one in figures:
        whose = [one.organization, one.repository, one.service, one.environment]
        gauges[one.metric].add_metric(whose, one.value)
        samples.add_metric([*whose, one.metric], one.count)
    return [*gauges.values(), samples]


async def exposition(engine: AsyncEngine, redis: Any) -> bytes:
    """Return all numbers of all processes as Prometheus reads them."""
    texts = await shared(redis)
    mine = process_name("web")
    texts[mine] = generate_latest(REGISTRY).decode()
    registry = CollectorRegistry()
    asked = [*await queue_depths(engine), *await at_work(engine), *await services(engine)]
    registry.register(Gathered([*merged(texts), *asked]))
    return generate_latest(registry)
