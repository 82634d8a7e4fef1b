"""A worker that kills itself, as the kernel would, before or after a state of a run.

`python -m tests.agent.dying STATE before|after`; its settings come from the environment.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from bot.agent import run
from bot.settings import load
from bot.surroundings import Surroundings
from bot.vault import Vault
from models.store import engine


def dying(state: str, when: str) -> None:
    """Have the process end, without a word, around what is done in a state."""
    whole = run.ORDER[state]

    async def ended(place: Any) -> Any:
        if when == "after":
            await whole(place)
        os.kill(os.getpid(), signal.SIGKILL)

    run.ORDER[state] = ended


async def main() -> None:
    """Carry the run that is due as far as it goes."""
    from redis.asyncio import from_url

    settings = load()
    opened = engine(settings.postgres_url, pool_size=2, name="dying")
    redis = from_url(settings.redis_address)  # type: ignore[no-untyped-call]
    await run.develop_one(Surroundings(settings, opened, redis, Vault(settings.secret_keys)))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        dying(*sys.argv[1:])
    asyncio.run(main())
