"""The JSON API under /api/v1: one module a resource, registered by `endpoints.endpoint`."""

from starlette.routing import BaseRoute, Route

from bot.web.api import (
    actions,
    agent,
    agent_metrics,
    auth,
    backfills,
    badges,
    builds,
    connectors,
    deliveries,
    development,
    endpoints,
    export,
    health,
    incident_settings,
    incidents,
    linear,
    linear_lists,
    metrics,
    openapi,
    organizations,
    people,
    probes,
    prompts,
    queues,
    reporting,
    rules,
    runs,
    services,
    slack,
    stability,
    syncs,
    tickets,
)

RESOURCES = (
    actions,
    agent,
    agent_metrics,
    auth,
    backfills,
    badges,
    builds,
    connectors,
    deliveries,
    development,
    export,
    health,
    incident_settings,
    incidents,
    linear,
    linear_lists,
    metrics,
    openapi,
    organizations,
    people,
    prompts,
    queues,
    reporting,
    rules,
    runs,
    services,
    slack,
    stability,
    syncs,
    tickets,
)
"""The modules whose import registers endpoints."""


def routes() -> list[BaseRoute]:
    """Return the routes of the API, what describes it, and the probes."""
    registered = [endpoints.route(made) for made in endpoints.ENDPOINTS]
    docs = [Route("/api/docs", openapi.docs), Route(agent.SCHEMA_PATH, agent.schema)]
    return [*registered, *docs, *probes.routes()]
