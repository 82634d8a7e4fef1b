"""Secrets at rest: sealed by Fernet (https://github.com/fernet/spec), so that tables hold none."""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_serializer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.settings import Settings
from models.errors import Refused

PURPOSE = b"veelocity: secrets at rest"
GITHUB_APP = "github_app"


class Vault:
    """Seals and opens secrets; `keys` are those of SECRET_KEY, newest first.

    The newest seals, all of them open, so that a key can be replaced without losing a secret.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise Refused("SECRET_KEY is missing: without it no secret can be kept.")
        self._fernet = MultiFernet([Fernet(derived(key)) for key in keys])

    def seal(self, secret: str) -> str:
        """Encrypt a text."""
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, ciphertext: str) -> str:
        """Decrypt a text; raise `Refused` when none of the keys fits."""
        try:
            return self._fernet.decrypt(ciphertext.encode()).decode()
        except InvalidToken:
            raise misfit() from None

    def rotate(self, ciphertext: str) -> str:
        """Encrypt anew with the newest key, so that older keys can go; raise `Refused` as open."""
        try:
            return self._fernet.rotate(ciphertext.encode()).decode()
        except InvalidToken:
            raise misfit() from None


def kept_secret(path: Path, given: SecretStr) -> SecretStr:
    """Return a secret that was given, or one that is made once and kept for its owner's eyes."""
    if given.get_secret_value():
        return given
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return SecretStr(path.read_text().strip())


def derived(key: str) -> bytes:
    """Return the Fernet key of one part of SECRET_KEY, which signs other things as well."""
    made = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(key.encode())
    return urlsafe_b64encode(made)


def misfit() -> Refused:
    """Say what to do about a secret that cannot be opened."""
    return Refused(
        "A stored secret cannot be opened with SECRET_KEY. Was the key changed? Put the former "
        "key behind the new one, after a comma, or set the app up again at /setup."
    )


class AppCredentials(BaseModel):
    """Who we are to GitHub. `private_key` is PEM; `hook_secrets` the current and the previous.

    `slug` and `html_url` are None where only settings were given.
    """

    model_config = ConfigDict(frozen=True)

    app_id: int
    private_key: SecretStr
    hook_secrets: tuple[SecretStr, ...] = ()
    client_id: str | None = None
    client_secret: SecretStr | None = None
    slug: str | None = None
    html_url: str | None = None

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets themselves, that sign deliveries, without the empty ones."""
        told = (secret.get_secret_value() for secret in self.hook_secrets)
        return tuple(secret for secret in told if secret)

    @field_serializer("private_key", "hook_secrets", "client_secret", when_used="json")
    def reveal(self, value: SecretStr | tuple[SecretStr, ...] | None) -> str | list[str] | None:
        """Write the secrets themselves: JSON is made only to be sealed."""
        if isinstance(value, tuple):
            return [secret.get_secret_value() for secret in value]
        return value.get_secret_value() if value else None


def settings_credentials(settings: Settings) -> AppCredentials | None:
    """Return the app that the environment describes; None when it names none."""
    pem = settings.private_key_pem
    if not settings.app_id or not pem:
        return None
    return AppCredentials(
        app_id=settings.app_id,
        private_key=SecretStr(pem),
        hook_secrets=tuple(SecretStr(secret) for secret in settings.webhook_secrets),
        client_id=settings.github_client_id,
        client_secret=settings.github_client_secret,
    )


async def app_credentials(
    db: AsyncConnection, settings: Settings, vault: Vault
) -> AppCredentials | None:
    """Return the app's credentials: from settings, else from the table; None before /setup.

    The app that /setup made signs with a secret of GitHub's own; WEBHOOK_SECRET is accepted beside
    it. Raises `Refused` when no key opens what is stored.
    """
    if told := settings_credentials(settings):
        return told
    stored = await stored_app_credentials(db, vault)
    if stored is None or not settings.webhook_secrets:
        return stored
    told_secrets = tuple(SecretStr(secret) for secret in settings.webhook_secrets)
    return stored.model_copy(update={"hook_secrets": stored.hook_secrets + told_secrets})


async def stored_app_credentials(db: AsyncConnection, vault: Vault) -> AppCredentials | None:
    """Return what /setup stored; None before."""
    sealed = await db.scalar(
        text("select ciphertext from credentials where name = :name"), {"name": GITHUB_APP}
    )
    if sealed is None:
        return None
    try:
        return AppCredentials.model_validate_json(vault.open(sealed))
    except ValidationError:
        raise Refused("The stored GitHub App is not readable: set it up at /setup.") from None


async def store_app_credentials(
    db: AsyncConnection, vault: Vault, credentials: AppCredentials
) -> None:
    """Keep the app's credentials, encrypted, in the place of those that were kept before."""
    await db.execute(
        text(
            "insert into credentials (name, ciphertext) values (:name, :ciphertext) "
            "on conflict (name) do update set ciphertext = excluded.ciphertext, stored_at = now()"
        ),
        {"name": GITHUB_APP, "ciphertext": vault.seal(credentials.model_dump_json())},
    )
