"""What the demo keeps in its folder: when its story ends, its stand-in's port, the app's key."""

import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, SecretStr

from bot.sample.repositories import APP_ID
from bot.sample.shipping import origins
from bot.settings import Settings
from bot.vault import kept_secret

SEED = 7
NOTE = "sample.json"
KEY = "sample_key.pem"
MODEL_KEY = "sample"


class Note(BaseModel):
    """`until`: the last moment of the story that is told, so that every start tells the same one.

    `ends`: until when it goes on without the app, None where it was not away.
    """

    seed: int
    until: datetime
    port: int
    told: bool = False
    ends: datetime | None = None

    @property
    def away(self) -> timedelta:
        """How long the story goes on while nobody listens."""
        return max((self.ends or self.until) - self.until, timedelta())


@dataclass(frozen=True)
class Stage:
    """The demo's folder."""

    home: Path

    @property
    def there(self) -> bool:
        """Whether a demo was ever started in this folder."""
        return (self.home / NOTE).exists()

    def note(self) -> Note:
        """Return what was noted; on the first start, that the story ends now."""
        path = self.home / NOTE
        if path.exists():
            return Note.model_validate_json(path.read_bytes())
        return self.begin(timedelta())

    def begin(self, away: timedelta) -> Note:
        """Note that the story is told until now, or until the app went away so long ago."""
        until = datetime.now(UTC).replace(microsecond=0) - away
        noted = Note(seed=SEED, until=until, port=0)
        self.keep(noted)
        return noted

    def go_on(self, port: int) -> None:
        """Note that the app is back, at a port: whole hours have passed in the story meanwhile."""
        noted = self.note()
        hours = (datetime.now(UTC) - noted.until) // timedelta(hours=1)
        ends = noted.until + hours * timedelta(hours=1)
        self.keep(noted.model_copy(update={"port": port, "ends": ends}))

    def keep(self, noted: Note) -> None:
        """Write a note down."""
        (self.home / NOTE).write_text(noted.model_dump_json())

    def secret(self, name: str) -> SecretStr:
        """Return a secret that the demo's sources sign with, made on the first start."""
        return kept_secret(self.home / name, SecretStr(""))

    def key(self) -> str:
        """Return the sample app's private key, made on the first start and never used elsewhere."""
        path = self.home / KEY
        if not path.exists():
            made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            path.touch(mode=0o600)
            path.write_bytes(
                made.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.TraditionalOpenSSL,
                    serialization.NoEncryption(),
                )
            )
        return path.read_text()


def staged(settings: Settings, home: Path) -> Settings:
    """Return settings that speak to the stand-in for GitHub's API, as the sample's app."""
    stage = Stage(home)
    stage.go_on(loopback_port())
    return as_sample(settings, stage)


def as_sample(settings: Settings, stage: Stage) -> Settings:
    """Return settings of the sample's app, with the stand-ins at the port that was noted.

    The model is scripted, git's repositories are folders of the demo.
    """
    there = f"http://127.0.0.1:{stage.note().port}"
    return settings.model_copy(
        update={
            "slack_signing_secret": stage.secret("slack_signing_secret"),
            "linear_webhook_secret": stage.secret("linear_webhook_secret"),
            "git_url": origins(stage.home.absolute()).as_uri(),
            "anthropic_api_key": SecretStr(MODEL_KEY),
            "anthropic_base_url": f"{there}/anthropic",
            "claude_provider": "anthropic",
            "sample_data": True,
            "app_id": APP_ID,
            "private_key": SecretStr(stage.key()),
            "private_key_path": None,
            "github_api_url": there,
        }
    )


def loopback_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
