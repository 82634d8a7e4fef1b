"""Whether the API answers at all."""

from typing import Literal

from pydantic import BaseModel

from bot.web.api.endpoints import Call, endpoint


class Health(BaseModel):
    """Always `healthy`, from a process that can answer; `/readyz` says more."""

    status: Literal["healthy"]


@endpoint("GET", "/health", roles=None, answer=Health)
async def health(call: Call) -> Health:
    """Say that the process answers."""
    return Health(status="healthy")
