"""The application with its screens, and how they are read."""

from bot.web.pages import (
    agent,
    agent_actions,
    assets,
    delivery,
    explain,
    incident_actions,
    incidents,
    run,
    settings,
)
from tests.web.conftest import World


def with_screens(world: World) -> World:
    """Let an application answer screens as the web process does."""
    agents = (agent, agent_actions, run)
    modules = (assets, *agents, delivery, explain, incidents, incident_actions, settings)
    world.app.router.routes += [route for module in modules for route in module.routes()]
    return world


async def planted(world: World) -> dict[str, int]:
    """Write a scene of tickets and runs; return its runs by what they are."""
    from tests.browser import agent_seeds

    async with world.engine.begin() as db:
        return await agent_seeds.plant(db)
