"""The JSON API under /api/v1: one module a resource, registered by `endpoints.endpoint`."""

from starlette.routing import BaseRoute, Route

from bot.web.api import (
    auth,
    connectors,
    deliveries,
    endpoints,
    health,
    metrics,
    openapi,
    organizations,
    probes,
    services,
)

RESOURCES = (
    auth,
    connectors,
    deliveries,
    health,
    metrics,
    openapi,
    organizations,
    services,
)
"""The modules whose import registers endpoints."""


def routes() -> list[BaseRoute]:
    """Return the routes of the API, its docs page at /api/docs, and the probes."""
    registered = [endpoints.route(made) for made in endpoints.ENDPOINTS]
    return [*registered, Route("/api/docs", openapi.docs), *probes.routes()]
