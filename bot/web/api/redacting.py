"""Takes live secrets out of what the API tells of runs, however deep in it they are."""

from collections.abc import Callable
from functools import cache
from typing import Any

from bot.settings import Settings


def redacted(settings: Settings, told: Any) -> Any:
    """Return a body in which no secret of this Veelocity can be read, nor an encoding of one."""
    return through(told, redaction(settings))


@cache
def redaction(settings: Settings) -> Callable[[str], str]:
    """Return what blacks out the secrets of the settings. Reading patterns takes long, so once."""
    from bot.agent.redact import Redactor, secrets_of

    return Redactor(secrets_of(settings)).redact


def through(told: Any, change: Callable[[str], str]) -> Any:
    """Return a body with every text in it changed; its keys stay."""
    if isinstance(told, str):
        return change(told)
    if isinstance(told, dict):
        return {name: through(value, change) for name, value in told.items()}
    if isinstance(told, list | tuple):
        return [through(value, change) for value in told]
    return told
