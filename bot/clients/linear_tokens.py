"""Linear's tokens: consents, renewal before they end, and the line of an organisation.

<https://linear.app/developers/oauth-2-0-authentication>. An access token lasts a day; renewing it
replaces the refresh token, so only one worker at a time does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, SecretStr, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.clients.linear import (
    Linear,
    LinearError,
    LinearSecret,
    RateLimited,
    body_of,
    limited_until,
    linear_as,
    posted,
    web_client,
)
from bot.settings import Settings
from bot.vault import Vault
from models.chat import keep_connection_secret
from models.errors import Refused
from models.linear_connections import linear_connection, lock_secret, sealed_secret

PUBLIC_API = "https://api.linear.app"
PUBLIC_CONSENT = "https://linear.app/oauth/authorize"
SCOPES = ("read", "write")
EARLY = timedelta(minutes=5)
UNREADABLE = "The stored secret of Linear is not readable: connect Linear again."
ENDED = "Linear does not renew the OAuth token any more: connect Linear again."


class Granted(BaseModel):
    """Linear's answer with tokens. `scope` is a list in some answers, a text in others."""

    access_token: SecretStr
    refresh_token: SecretStr | None = None
    expires_in: int | None = None
    scope: str | list[str] = ""

    @property
    def secret(self) -> LinearSecret:
        """What is kept of it."""
        scope = self.scope if isinstance(self.scope, list) else self.scope.replace(",", " ").split()
        return LinearSecret(
            access_token=self.access_token, refresh_token=self.refresh_token, scopes=scope
        )

    @property
    def expires_at(self) -> datetime | None:
        """When the access token ends; None where it does not."""
        if self.expires_in is None:
            return None
        return datetime.now(UTC) + timedelta(seconds=min(max(self.expires_in, 0), 10**9))


def consent_url(settings: Settings, state: str, redirect_uri: str) -> str:
    """Return where a person agrees that we may read and write their workspace, as an app."""
    api = settings.linear_api_url
    address = PUBLIC_CONSENT if api == PUBLIC_API else f"{api}/oauth/authorize"
    asked = {
        "client_id": settings.linear_client_id or "",
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": ",".join(SCOPES),
        "state": state,
        "actor": "app",
        "prompt": "consent",
    }
    return f"{address}?{urlencode(asked)}"


async def exchanged(settings: Settings, code: str, redirect_uri: str) -> Granted:
    """Exchange the code of a consent for tokens."""
    asked = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    return await granted(settings, asked)


async def granted(settings: Settings, asked: dict[str, str]) -> Granted:
    """Ask for tokens as the OAuth application; raise `LinearError` where Linear gives none."""
    secret = settings.linear_client_secret
    login = {
        "client_id": settings.linear_client_id or "",
        "client_secret": secret.get_secret_value() if secret else "",
    }
    async with web_client(settings.linear_api_url) as client:
        response = await posted(client, "an OAuth token", "/oauth/token", data=asked | login)
    if response.status_code == 429:
        raise RateLimited(limited_until(response.headers))
    told = body_of(response)
    if response.status_code >= 300:
        raise not_granted(response.status_code, told)
    try:
        return Granted.model_validate(told)
    except ValidationError:
        raise LinearError("", "Linear's answer holds no OAuth token.", passing=True) from None


def not_granted(status: int, told: dict[str, Any]) -> LinearError:
    """Say why Linear gave no token."""
    code = str(told.get("error") or "")[:100]
    why = str(told.get("error_description") or code or status)[:300]
    return LinearError(code, f"Linear gave no OAuth token: {why}", passing=status >= 500)


@dataclass(frozen=True)
class Keyring:
    """Where the secret of one connection is kept, and how it is renewed."""

    engine: AsyncEngine
    settings: Settings
    vault: Vault
    connection_id: str

    async def current(self, refused: LinearSecret | None = None) -> LinearSecret:
        """Return a secret that is good, and is not the one that Linear has just refused."""
        async with self.engine.connect() as db:
            secret, expires_at = await self.stored(db)
        if self.good(secret, expires_at, refused):
            return secret
        async with self.engine.begin() as db:
            await lock_secret(db, self.connection_id)
            secret, expires_at = await self.stored(db)
            if self.good(secret, expires_at, refused):
                return secret
            return await self.renewed(db, secret)

    async def stored(self, db: AsyncConnection) -> tuple[LinearSecret, datetime | None]:
        """Read the secret; an API key that only the settings hold is theirs to change."""
        sealed = await sealed_secret(db, self.connection_id)
        if sealed is None:
            raise Refused(UNREADABLE)
        try:
            secret = LinearSecret.model_validate_json(self.vault.open(sealed.ciphertext))
        except ValidationError:
            raise Refused(UNREADABLE) from None
        if secret.api_key is None and secret.access_token is None:
            secret = LinearSecret(api_key=self.settings.linear_api_key)
        return secret, sealed.expires_at

    def good(
        self, secret: LinearSecret, expires_at: datetime | None, refused: LinearSecret | None
    ) -> bool:
        """Tell whether a secret may be used: it lasts a while, and was not refused."""
        if refused is not None and refused.header == secret.header:
            return False
        return expires_at is None or expires_at - datetime.now(UTC) > EARLY

    async def renewed(self, db: AsyncConnection, secret: LinearSecret) -> LinearSecret:
        """Renew a token and keep it, in the caller's transaction."""
        if secret.refresh_token is None:
            raise LinearError("AUTHENTICATION_ERROR", ENDED)
        asked = {
            "grant_type": "refresh_token",
            "refresh_token": secret.refresh_token.get_secret_value(),
        }
        try:
            told = await granted(self.settings, asked)
        except LinearError as error:
            if error.code == "invalid_grant":
                raise LinearError("AUTHENTICATION_ERROR", ENDED) from None
            raise
        made = told.secret
        made.refresh_token = made.refresh_token or secret.refresh_token
        made.scopes = made.scopes or secret.scopes
        sealed = self.vault.seal(made.model_dump_json(exclude_none=True))
        await keep_connection_secret(db, self.connection_id, sealed, told.expires_at)
        return made


@asynccontextmanager
async def linear_for(
    engine: AsyncEngine, settings: Settings, vault: Vault, organization_id: str
) -> AsyncIterator[Linear | None]:
    """Open a line to an organisation's workspace; None where none is connected.

    Raises `Refused` where the secret cannot be opened, `LinearError` where it is not renewed.
    """
    async with engine.connect() as db:
        found = await linear_connection(db, organization_id)
        sealed = await sealed_secret(db, found["id"]) if found else None
    if found is None or found["state"] != "active" or sealed is None:
        yield None
        return
    keyring = Keyring(engine, settings, vault, str(found["id"]))
    secret = await keyring.current()
    async with linear_as(settings.linear_api_url, secret, keyring.current) as linear:
        yield linear
