"""Settings: what the environment may say, and how it is told what is wrong."""

from pathlib import Path

import pytest

from bot.settings import (
    ADDRESS,
    SECRETS_IN_FILES,
    Settings,
    environment,
    load,
    running_here,
)
from models.errors import Refused


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from an environment that says nothing."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


def refused() -> str:
    with pytest.raises(Refused) as refusal:
        load()
    return str(refusal.value)


def test_without_an_environment_everything_has_a_default() -> None:
    settings = load()
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.veelocity_home == Path(".veelocity")
    assert settings.database_url is None
    assert settings.secret_keys == settings.webhook_secrets == ()
    assert not settings.secure


def test_every_fault_is_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = {
        "DATABASE_URL": "mysql://somewhere",
        "REDIS_URL": "http://somewhere",
        "PORT": "99999",
        "BASE_URL": "veelocity.example",
        "LOG_LEVEL": "LOUD",
        "DATABASE_POOL_SIZE": "1",
        "APP_ID": "7",
        "SECRET_KEY_FILE": str(tmp_path / "none"),
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    said = refused()
    named = {line.split(":")[0].strip() for line in said.splitlines()[1:]}
    assert named == {*wrong} - {"APP_ID"} | {"PRIVATE_KEY_PATH"}
    assert "APP_ID is set, so PRIVATE_KEY or PRIVATE_KEY_PATH is needed as well" in said
    assert "mysql" not in said


@pytest.mark.parametrize("name", SECRETS_IN_FILES)
def test_a_secret_may_come_from_a_file(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secrets = {"DATABASE_URL": "postgresql://u:p@h/d", "REDIS_URL": "redis://h"}
    secret = secrets.get(name, "from a file")
    (tmp_path / "secret").write_text(f"{secret}\n")
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv(name, "redis://the-file-wins")
    assert getattr(load(), name.lower()).get_secret_value() == secret


def test_a_file_that_is_no_text_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "secret"))
    assert "SECRET_KEY_FILE: not a text" in refused()


def test_secrets_are_not_in_a_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS_IN_FILES:
        scheme = {"DATABASE_URL": "postgresql://", "REDIS_URL": "redis://"}.get(name, "")
        monkeypatch.setenv(name, f"{scheme}hush")
    settings = load()
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings.model_dump())


def test_a_key_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATE_KEY_PATH", "/nowhere/key.pem")
    assert "PRIVATE_KEY_PATH: there is no file /nowhere/key.pem" in refused()


def test_the_key_may_be_a_file_or_a_line_with_escaped_newlines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("APP_ID", "7")
    monkeypatch.setenv("PRIVATE_KEY", "one\\ntwo")
    assert load().private_key_pem == "one\ntwo"
    (tmp_path / "key.pem").write_text("three\nfour")
    monkeypatch.setenv("PRIVATE_KEY_PATH", str(tmp_path / "key.pem"))
    assert load().private_key_pem == "three\nfour"


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("PORT", "")
    assert load().port == 8000


def test_keys_and_secrets_have_an_order() -> None:
    settings = load(secret_key="new,old", webhook_secret="now", webhook_secret_previous="before")
    assert settings.secret_keys == ("new", "old")
    assert settings.webhook_secrets == ("now", "before")
    assert load(webhook_secret_previous="before").webhook_secrets == ("before",)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104 - read, not bound
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("veelocity.internal", "http://veelocity.internal:8000"),
    ],
)
def test_the_address_is_one_that_can_be_opened(host: str, address: str) -> None:
    assert load(host=host).local_url == load(host=host).public_url == address


def test_the_public_address_is_the_one_that_was_given() -> None:
    settings = load(base_url="https://veelocity.example/", trusted_proxies="10.0.0.1, 10.0.0.2")
    assert settings.public_url == "https://veelocity.example"
    assert settings.secure
    assert settings.trusted_proxies == ("10.0.0.1", "10.0.0.2")


def test_what_runs_in_a_home_is_found_there(tmp_path: Path) -> None:
    settings = load(veelocity_home=tmp_path)
    assert running_here(settings).public_url == "http://127.0.0.1:8000"
    (tmp_path / ADDRESS).write_text("http://127.0.0.1:4321")
    assert running_here(settings).public_url == "http://127.0.0.1:4321"
    elsewhere = load(veelocity_home=tmp_path, database_url="postgresql://h/d")
    assert running_here(elsewhere).public_url == "http://127.0.0.1:8000"


def test_a_child_process_reads_what_was_decided(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("stale")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("PRIVATE_KEY_PATH", str(tmp_path / "secret"))
    decided = load(
        database_url="postgresql://h/d",
        secret_key="fresh",
        log_level="ERROR",
        private_key_path=None,
        app_id=7,
        private_key="one\\ntwo",
        pull=True,
    )
    for name, value in environment(decided).items():
        monkeypatch.setenv(name, value)
    child = load()
    assert child.secret_keys == ("fresh",)
    assert child.private_key_pem == "one\ntwo"
    assert (child.log_level, child.app_id, child.pull) == ("ERROR", 7, True)
