"""The screens, one module each."""

from starlette.routing import BaseRoute


def routes() -> list[BaseRoute]:
    """Return the routes of every screen, of the static files and of the switch of the theme."""
    from bot.web import sign_in
    from bot.web.pages import (
        agent,
        agent_actions,
        assets,
        backfills,
        badges,
        builds,
        connect,
        connect_linear,
        connect_member,
        deliveries,
        delivery,
        explain,
        incident_actions,
        incidents,
        people,
        people_actions,
        pull_requests,
        rules,
        run,
        settings,
        setup,
        syncs,
        theme,
    )

    agents = (agent, agent_actions, run)
    modules = (
        assets,
        theme,
        sign_in,
        delivery,
        explain,
        pull_requests,
        builds,
        people_actions,
        people,
        incidents,
        incident_actions,
        *agents,
        deliveries,
        settings,
        backfills,
        badges,
        rules,
        syncs,
        setup,
        connect,
        connect_linear,
        connect_member,
    )
    return [route for module in modules for route in module.routes()]
