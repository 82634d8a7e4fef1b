"""What the work of the worker may use."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from bot.settings import Settings
from bot.vault import Vault


@dataclass(frozen=True)
class Surroundings:
    """What a job or a run may use: settings, store, Redis (to tell open pages), the vault."""

    settings: Settings
    engine: AsyncEngine
    redis: Any
    vault: Vault
