"""The screens, one module each."""

from starlette.routing import BaseRoute


def routes() -> list[BaseRoute]:
    """Return the routes of every screen, of the static files and of the switch of the theme."""
    from bot.web import sign_in
    from bot.web.pages import assets, deliveries, delivery, explain, setup, theme

    modules = (assets, theme, sign_in, delivery, explain, deliveries, setup)
    return [route for module in modules for route in module.routes()]
