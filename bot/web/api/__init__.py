"""The JSON API under /api/v1: one module a resource, registered by `endpoints.endpoint`."""

from starlette.routing import BaseRoute, Route

from bot.web.api import (
    agent,
    agent_metrics,
    auth,
    connectors,
    deliveries,
    endpoints,
    health,
    metrics,
    openapi,
    organizations,
    probes,
    prompts,
    queues,
    runs,
    services,
    slack,
    stability,
    tickets,
)

RESOURCES = (
    agent,
    agent_metrics,
    auth,
    connectors,
    deliveries,
    health,
    metrics,
    openapi,
    organizations,
    prompts,
    queues,
    runs,
    services,
    slack,
    stability,
    tickets,
)
"""The modules whose import registers endpoints."""


def routes() -> list[BaseRoute]:
    """Return the routes of the API, what describes it, and the probes."""
    registered = [endpoints.route(made) for made in endpoints.ENDPOINTS]
    docs = [Route("/api/docs", openapi.docs), Route(agent.SCHEMA_PATH, agent.schema)]
    return [*registered, *docs, *probes.routes()]
