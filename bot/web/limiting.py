"""How often one may ask: counted in Redis, and in this process alone while Redis is away."""

import asyncio
import hashlib
import ipaddress
import math
import time
from typing import Any

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.types import Scope

from bot.settings import Settings
from bot.web.problems import Problem

SIGN_IN_BY_ADDRESS = parse("10 per 5 minutes")
SIGN_IN_BY_EMAIL = parse("5 per 15 minutes")
API_BY_TOKEN = parse("600 per minute")
API_BY_ADDRESS = parse("600 per minute")
PATIENCE_SECONDS = 0.5
PAUSE_SECONDS = 5.0

log = structlog.get_logger()


class Limiter:
    """The open counters of one process. `redis` None: count in this process only."""

    def __init__(self, redis: Any) -> None:
        self.memory = MovingWindowRateLimiter(MemoryStorage())
        self.shared = MovingWindowRateLimiter(counted_in(redis)) if redis is not None else None
        self.away_until = 0.0

    async def wait(self, limit: RateLimitItem, *key: str) -> int:
        """Count one request; return 0, or after how many seconds the next one is allowed."""
        if self.shared and time.monotonic() >= self.away_until:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await counted(self.shared, limit, key)
            except (RedisError, OSError, TimeoutError) as error:
                self.away_until = time.monotonic() + PAUSE_SECONDS
                log.warning("limits are counted by this process alone", error=str(error))
        return await counted(self.memory, limit, key)


def counted_in(redis: Any) -> RedisStorage:
    """Return counters kept through the connections of a Redis client."""
    return RedisStorage(
        "redis://unused:0",
        implementation="redispy",
        key_prefix="limits",
        connection_pool=redis.connection_pool,
    )


async def counted(
    limiter: MovingWindowRateLimiter, limit: RateLimitItem, key: tuple[str, ...]
) -> int:
    """Count one request with one counter; return 0, or the seconds until one is free."""
    if await limiter.hit(limit, *key):
        return 0
    stats = await limiter.get_window_stats(limit, *key)
    return max(1, math.ceil(stats.reset_time - time.time()))


def limiter(request: Request) -> Limiter:
    """Return the counters of the application, opened at the first question."""
    state = request.app.state
    if not hasattr(state, "limiter"):
        shared = state.redis if state.settings.redis_address else None
        state.limiter = Limiter(shared)
    found: Limiter = state.limiter
    return found


async def limit_sign_in(request: Request, email: str) -> None:
    """Count an attempt to sign in, for known and unknown people alike; `Problem` 429 beyond.

    Ten in five minutes for an address, five in fifteen minutes for an e-mail address.
    """
    who = hashlib.sha256(email.strip().lower().encode("utf-8", "replace")).hexdigest()
    counters = limiter(request)
    waits = (
        await counters.wait(SIGN_IN_BY_ADDRESS, "sign-in", client_address(request)),
        await counters.wait(SIGN_IN_BY_EMAIL, "sign-in-email", who),
    )
    refuse_beyond(max(waits), "Too many attempts to sign in")


async def limit_api(request: Request) -> None:
    """Count a request to the API, by address and by token; raise `Problem` 429 beyond 600/min."""
    counters = limiter(request)
    wait = await counters.wait(API_BY_ADDRESS, "api", client_address(request))
    credential = request.headers.get("authorization") or request.headers.get("cookie")
    if credential:
        who = hashlib.sha256(credential.encode()).hexdigest()
        wait = max(wait, await counters.wait(API_BY_TOKEN, "api-token", who))
    refuse_beyond(wait, "Too many requests")


def refuse_beyond(wait: int, title: str) -> None:
    """Raise `Problem` 429 where somebody has to wait."""
    if wait:
        raise Problem(
            429, title, f"Try again in {wait} seconds.", headers={"retry-after": str(wait)}
        )


def client_address(request: Request) -> str:
    """Return the address a request came from, as `Security` found it."""
    return str(getattr(request.state, "client_address", "") or "unknown")


def address_of(scope: Scope, settings: Settings) -> str:
    """Return the address of the client of a connection.

    A proxy's word (X-Forwarded-For) counts only where the proxy is one of ours, and then the last
    address in it that is not one of ours.
    """
    peer = scope["client"][0] if scope.get("client") else ""
    if not trusted(peer, settings.trusted_proxies):
        return peer
    told = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = [hop.strip() for hop in b",".join(told).decode("latin-1").split(",") if hop.strip()]
    for hop in reversed(hops):
        if not trusted(hop, settings.trusted_proxies):
            return hop if is_address(hop) else peer
    return peer


def trusted(peer: str, proxies: tuple[str, ...]) -> bool:
    """Say whether an address is one of our proxies, or inside one of our networks."""
    if peer in proxies:
        return True
    return is_address(peer) and any(
        ipaddress.ip_address(peer) in ipaddress.ip_network(proxy, strict=False)
        for proxy in proxies
        if is_network(proxy)
    )


def is_address(value: str) -> bool:
    """Say whether a text is an IP address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def is_network(value: str) -> bool:
    """Say whether a text is a network such as 10.0.0.0/8."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return True
