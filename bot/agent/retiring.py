"""Warns, when a worker starts, of models that will not be there for long."""

import structlog

from bot.agent.model import ModelError, models_offered, retirement
from bot.settings import Settings

log = structlog.get_logger()


async def warn_of_retiring_models(settings: Settings) -> None:
    """Ask which models are offered, and log those of the allow-list that end; never raises.

    The demo's model is scripted, so there is nothing to ask.
    """
    if settings.anthropic_api_key is None or settings.sample_data:
        return
    try:
        offers = await models_offered(settings)
    except ModelError as error:
        log.warning("models_not_listed", why=str(error))
        return
    for model in settings.allowed_models:
        if day := retirement(model, offers):
            log.warning("model_retires", model=model, on=day.isoformat())
