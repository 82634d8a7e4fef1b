"""Who we are to GitHub: the app's JWT, which githubkit signs, and installations' tokens.

githubkit reads `expires_at` in one format only, so that tokens are fetched and kept here.
<https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app>
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from bot.clients.asking import GitHubError
from bot.clients.spending import Spending
from bot.vault import AppCredentials

if TYPE_CHECKING:
    from githubkit.auth.app import AppAuth

MARGIN = timedelta(minutes=2)
UNSAID = timedelta(minutes=10)


@dataclass(frozen=True)
class Token:
    """An installation's token."""

    value: SecretStr
    expires_at: datetime

    @property
    def fresh(self) -> bool:
        """Whether it outlasts any request made with it."""
        return datetime.now(UTC) + MARGIN < self.expires_at


@dataclass
class Memory:
    """What is known of accounts from one `GitHub` to the next.

    Tokens, used-up limits, slugs, and what was spent of limits to read history.
    """

    tokens: dict[str, Token] = field(default_factory=dict)
    limits: dict[str, datetime] = field(default_factory=dict)
    slugs: dict[str, str] = field(default_factory=dict)
    spendings: dict[str, Spending] = field(default_factory=dict)


def app_auth(credentials: AppCredentials, api_url: str) -> "AppAuth":
    """Return githubkit's authentication as the app, with a cache of its own.

    Its usual cache is the process's: a replaced private key would go unused for minutes.
    """
    from githubkit import AppAuthStrategy, GitHub
    from githubkit.cache import MemCacheStrategy

    strategy = AppAuthStrategy(credentials.app_id, credentials.private_key.get_secret_value())
    kit = GitHub(strategy, base_url=api_url, cache_strategy=MemCacheStrategy(), http_cache=False)
    auth: AppAuth = strategy.get_auth_flow(kit)  # type: ignore[assignment]
    return auth


async def app_header(auth: "AppAuth") -> str:
    """Return the app's Authorization; raise `GitHubError` when its private key is not readable."""
    from jwt import PyJWTError

    try:
        return f"Bearer {await auth.aget_jwt()}"
    except (PyJWTError, ValueError, TypeError) as error:
        why = f"The app's private key is not a readable PEM ({type(error).__name__})."
        raise GitHubError(401, why) from None


def account_of(credentials: AppCredentials, api_url: str, installation_id: int | None) -> str:
    """Name an account, so that another key or server never shares its tokens."""
    pem = credentials.private_key.get_secret_value()
    key = hashlib.sha256(pem.encode()).hexdigest()[:16]
    return f"{api_url}|{credentials.app_id}|{key}|{installation_id or 'app'}"


def read_token(body: Any) -> Token:
    """Read GitHub's answer; raise `GitHubError` when there is no token in it."""
    value = body.get("token") if isinstance(body, dict) else None
    if not isinstance(value, str) or not value:
        raise GitHubError(502, "GitHub's answer holds no installation token.")
    return Token(SecretStr(value), expiry(body.get("expires_at")))


def expiry(said: Any) -> datetime:
    """Read a time with or without fractions, `Z`, offset or zone; unreadable: ten minutes hence."""
    try:
        time = datetime.fromisoformat(said)
    except (TypeError, ValueError):
        return datetime.now(UTC) + UNSAID
    return time if time.tzinfo else time.replace(tzinfo=UTC)
