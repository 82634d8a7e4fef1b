"""The only reader of the environment: every setting, its default, and what is wrong with it."""

import os
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from models.errors import Refused

SECRETS_IN_FILES = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "PRIVATE_KEY",
    "WEBHOOK_SECRET",
    "WEBHOOK_SECRET_PREVIOUS",
    "GITHUB_CLIENT_SECRET",
    "LINEAR_WEBHOOK_SECRET",
    "LINEAR_API_KEY",
    "LINEAR_CLIENT_SECRET",
    "SLACK_SIGNING_SECRET",
    "SLACK_BOT_TOKEN",
    "SLACK_CLIENT_SECRET",
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
)
ADDRESS = "address"
ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


class Settings(BaseSettings):
    """What the environment says. Secrets may come from a file named by `<NAME>_FILE`."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, frozen=True)

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    veelocity_home: Path = Path(".veelocity")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    base_url: str = ""
    secret_key: SecretStr = SecretStr("")
    app_id: int | None = None
    private_key: SecretStr | None = None
    private_key_path: Annotated[Path | None, Field(validate_default=True)] = None
    webhook_secret: SecretStr = SecretStr("")
    webhook_secret_previous: SecretStr = SecretStr("")
    github_client_id: str | None = None
    github_client_secret: SecretStr | None = None
    pull: bool = False
    github_api_url: str = "https://api.github.com"
    github_url: str = "https://github.com"
    git_url: str = ""
    linear_webhook_secret: SecretStr = SecretStr("")
    linear_api_key: SecretStr | None = None
    linear_client_id: str | None = None
    linear_client_secret: SecretStr | None = None
    linear_api_url: str = "https://api.linear.app"
    slack_signing_secret: SecretStr = SecretStr("")
    slack_bot_token: SecretStr | None = None
    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    slack_api_url: str = "https://slack.com"
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str = ""
    claude_provider: Literal["anthropic", "bedrock", "vertex"] = "anthropic"
    claude_model: str = "claude-sonnet-5-5"
    claude_fallback_model: str = "claude-opus-5-5"
    claude_max_tokens: Annotated[int, Field(ge=1024, le=128_000)] = 16_000
    claude_timeout: Annotated[float, Field(gt=0, le=3600)] = 600.0
    claude_tries: Annotated[int, Field(ge=1, le=100)] = 8
    claude_silent_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    openai_api_key: SecretStr | None = None
    openai_base_url: str = ""
    gemini_api_key: SecretStr | None = None
    gemini_base_url: str = ""
    agent_label: Annotated[str, Field(min_length=1, max_length=50)] = "claude"
    agent_models: Annotated[tuple[str, ...], NoDecode] = ()
    agent_concurrency: Annotated[int, Field(ge=0, le=32)] = 2
    agent_turns: Annotated[int, Field(ge=1, le=500)] = 80
    agent_tokens: Annotated[int, Field(ge=10_000)] = 4_000_000
    agent_seconds: Annotated[float, Field(ge=10, le=6 * 3600)] = 1800.0
    ticket_budget_usd: Annotated[Decimal, Field(ge=0)] = Decimal(3)
    repository_day_budget_usd: Annotated[Decimal, Field(ge=0)] = Decimal(20)
    organisation_day_budget_usd: Annotated[Decimal, Field(ge=0)] = Decimal(50)
    sandbox: Literal["bubblewrap", "container"] = "bubblewrap"
    sandbox_image: str = ""
    log_format: Literal["json", "console", ""] = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    sample_data: bool = False
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    database_pool_size: Annotated[int, Field(ge=2, le=100)] = 8

    @field_validator("trusted_proxies", "agent_models", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """Read a comma-separated list."""
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("git_url")
    @classmethod
    def git_address(cls, value: str) -> str:
        """Refuse a place that git is not allowed to speak to; drop the slash at its end."""
        if value and not value.startswith(("https://", "http://", "file:///")):
            raise ValueError("must begin with https://, http:// or file:///")
        return value.rstrip("/")

    @field_validator(
        "github_api_url",
        "github_url",
        "base_url",
        "anthropic_base_url",
        "openai_base_url",
        "gemini_base_url",
        "linear_api_url",
        "slack_api_url",
    )
    @classmethod
    def web_address(cls, value: str) -> str:
        """Refuse anything that is not a web address; drop the slash at its end."""
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def postgres(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse other databases: the store is Postgres."""
        if value and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql:// (Postgres 15 or newer)")
        return value

    @field_validator("redis_url")
    @classmethod
    def redis(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse what the Redis client could not open."""
        if value and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @field_validator("private_key_path")
    @classmethod
    def key_is_there(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        """Refuse a file that is not there, and an app id without its key: it cannot sign."""
        if value and not value.is_file():
            raise ValueError(f"there is no file {value}")
        if info.data.get("app_id") and not (value or info.data.get("private_key", True)):
            raise ValueError("APP_ID is set, so PRIVATE_KEY or PRIVATE_KEY_PATH is needed as well")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then the environment; no other file is looked for."""
        return init_settings, env_settings

    @property
    def postgres_url(self) -> str:
        """The database's address as SQLAlchemy and psycopg take it."""
        assert self.database_url is not None  # noqa: S101 - the CLI fills it in before use
        return self.database_url.get_secret_value().replace("postgres://", "postgresql://", 1)

    @property
    def redis_address(self) -> str | None:
        """The address of Redis; None means an in-process stand-in."""
        return self.redis_url.get_secret_value() if self.redis_url else None

    @property
    def public_url(self) -> str:
        """The address people and GitHub reach us at."""
        return self.base_url or self.local_url

    @property
    def local_url(self) -> str:
        """The address this machine reaches the web process at."""
        host = ANYWHERE.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def git_origin(self) -> str:
        """The address below which `owner/name.git` is cloned from and pushed to."""
        return self.git_url or self.github_url

    @property
    def allowed_models(self) -> tuple[str, ...]:
        """The models that a ticket may ask for; the first is the default."""
        named = (self.claude_model, *self.agent_models, self.claude_fallback_model)
        return tuple(dict.fromkeys(named))

    @property
    def secure(self) -> bool:
        """Whether people reach us by https, so that cookies may insist on it."""
        return self.public_url.startswith("https://")

    @cached_property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys that sign and encrypt, newest first."""
        return tuple(key for key in self.secret_key.get_secret_value().split(",") if key)

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The current and the previous webhook secret, without the empty ones."""
        both = (
            self.webhook_secret.get_secret_value(),
            self.webhook_secret_previous.get_secret_value(),
        )
        return tuple(secret for secret in both if secret)

    @property
    def private_key_pem(self) -> str | None:
        """The app's private key; a newline written as backslash and n is understood."""
        if self.private_key_path:
            return self.private_key_path.read_text()
        return (
            self.private_key.get_secret_value().replace("\\n", "\n") if self.private_key else None
        )


def load(**overrides: Any) -> Settings:
    """Read the settings; raise `Refused` naming every fault at once."""
    faults, from_files = [], {}
    for name in SECRETS_IN_FILES:
        path = os.environ.get(f"{name}_FILE")
        if not path:
            continue
        try:
            from_files[name.lower()] = Path(path).read_text().strip()
        except OSError as error:
            faults.append(f"{name}_FILE: {error.strerror}: {path}")
        except UnicodeDecodeError:
            faults.append(f"{name}_FILE: not a text: {path}")
    try:
        settings = Settings(**(from_files | overrides))
    except ValidationError as error:
        faults += [fault(detail) for detail in error.errors(include_url=False, include_input=False)]
    if faults:
        raise Refused("These settings are wrong:\n" + "\n".join(f"  {line}" for line in faults))
    return settings


def fault(detail: Any) -> str:
    """Say one fault with the name of its variable."""
    name = "_".join(str(part) for part in detail["loc"]).upper()
    said = detail["msg"].removeprefix("Value error, ")
    return f"{name}: {said}" if name else said


def running_here(settings: Settings) -> Settings:
    """Return settings with the address of the `demo` or `dev` that runs in VEELOCITY_HOME."""
    path = settings.veelocity_home / ADDRESS
    if settings.base_url or settings.database_url or not path.is_file():
        return settings
    return settings.model_copy(update={"base_url": path.read_text().strip()})


def secret(value: SecretStr | None) -> str:
    """Return a secret's text; empty where there is none."""
    return value.get_secret_value() if value else ""


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment for a child process: ours, with what was decided since written in."""
    decided = {
        "DATABASE_URL": settings.postgres_url,
        "REDIS_URL": settings.redis_address or "",
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "WEBHOOK_SECRET": settings.webhook_secret.get_secret_value(),
        "SLACK_SIGNING_SECRET": settings.slack_signing_secret.get_secret_value(),
        "LINEAR_WEBHOOK_SECRET": settings.linear_webhook_secret.get_secret_value(),
        "HOST": settings.host,
        "PORT": str(settings.port),
        "GITHUB_API_URL": settings.github_api_url,
        "PULL": "1" if settings.pull else "",
        "SAMPLE_DATA": "1" if settings.sample_data else "",
        "APP_ID": str(settings.app_id or ""),
        "PRIVATE_KEY": settings.private_key_pem or "",
        "PRIVATE_KEY_PATH": "",
        "VEELOCITY_HOME": str(settings.veelocity_home),
        "LOG_LEVEL": settings.log_level,
        "GIT_URL": settings.git_url,
        "ANTHROPIC_API_KEY": secret(settings.anthropic_api_key),
        "ANTHROPIC_BASE_URL": settings.anthropic_base_url,
    }
    from_files = {f"{name}_FILE": "" for name in SECRETS_IN_FILES if name in decided}
    return {**os.environ, **from_files, **decided}
