from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.settings import Settings
from bot.vault import AppCredentials, Vault, app_credentials, store_app_credentials
from models.errors import Refused

APP = AppCredentials(
    app_id=7,
    private_key=SecretStr("-----BEGIN RSA PRIVATE KEY-----"),
    hook_secrets=(SecretStr("hook-now"), SecretStr("hook-before")),
    client_id="Iv1.7",
    client_secret=SecretStr("client-secret"),
    slug="veelocity",
    html_url="https://github.com/apps/veelocity",
)


def told(**options: Any) -> Settings:
    """Return settings of which the environment says nothing else."""
    return Settings(**({"secret_key": "key"} | options))


def test_what_is_sealed_opens_again() -> None:
    vault = Vault(["key"])
    sealed = vault.seal("grüße")
    assert "grüße" not in sealed
    assert vault.open(sealed) == "grüße"
    assert vault.seal("grüße") != sealed


def test_a_former_key_still_opens_and_the_newest_seals() -> None:
    former = Vault(["old"]).seal("secret")
    both = Vault(["new", "old"])
    assert both.open(former) == "secret"
    assert Vault(["new"]).open(both.seal("secret")) == "secret"


def test_a_rotated_secret_needs_the_former_key_no_more() -> None:
    rotated = Vault(["new", "old"]).rotate(Vault(["old"]).seal("secret"))
    assert Vault(["new"]).open(rotated) == "secret"
    with pytest.raises(Refused):
        Vault(["old"]).open(rotated)


@pytest.mark.parametrize(
    "ciphertext",
    [Vault(["old"]).seal("secret"), "", "no token", "é"],
    ids=["of another key", "empty", "no token", "not ASCII"],
)
def test_a_wrong_key_is_refused_in_words(ciphertext: str) -> None:
    vault = Vault(["new"])
    for use in (vault.open, vault.rotate):
        with pytest.raises(Refused, match="cannot be opened with SECRET_KEY"):
            use(ciphertext)


def test_a_changed_ciphertext_is_refused() -> None:
    vault = Vault(["key"])
    sealed = vault.seal("secret")
    with pytest.raises(Refused):
        vault.open(sealed[:-6] + ("AAAA==" if not sealed.endswith("AAAA==") else "BBBB=="))


def test_a_vault_without_a_key_is_refused() -> None:
    with pytest.raises(Refused, match="SECRET_KEY is missing"):
        Vault([])


def test_credentials_do_not_show_their_secrets() -> None:
    shown = repr(APP) + str(APP) + str(APP.model_dump())
    assert not any(secret in shown for secret in ("PRIVATE", "hook-now", "client-secret"))
    assert APP.webhook_secrets == ("hook-now", "hook-before")


async def test_credentials_are_kept_as_ciphertext_only(db: AsyncConnection) -> None:
    vault = Vault(["key"])
    assert await app_credentials(db, told(), vault) is None
    await store_app_credentials(db, vault, APP)
    rows = (await db.execute(text("select * from credentials"))).mappings().all()
    assert [row["name"] for row in rows] == ["github_app"]
    everything = str([dict(row) for row in rows])
    assert not any(word in everything for word in ("PRIVATE", "hook", "client-secret", "Iv1"))
    assert await app_credentials(db, told(), vault) == APP


async def test_a_new_app_takes_the_place_of_the_former(db: AsyncConnection) -> None:
    vault = Vault(["key"])
    await store_app_credentials(db, vault, APP)
    await store_app_credentials(db, vault, APP.model_copy(update={"app_id": 8}))
    found = await app_credentials(db, told(), vault)
    assert found is not None
    assert found.app_id == 8


async def test_credentials_sealed_with_a_lost_key_are_refused(db: AsyncConnection) -> None:
    await store_app_credentials(db, Vault(["old"]), APP)
    with pytest.raises(Refused, match="set the app up again at /setup"):
        await app_credentials(db, told(), Vault(["new"]))


async def test_unreadable_credentials_are_refused_without_being_shown(db: AsyncConnection) -> None:
    vault = Vault(["key"])
    await store_app_credentials(db, vault, APP)
    await db.execute(
        text("update credentials set ciphertext = :c"), {"c": vault.seal('{"pem": "hook-now"}')}
    )
    with pytest.raises(Refused, match="not readable") as refusal:
        await app_credentials(db, told(), vault)
    assert "hook-now" not in str(refusal.value)


async def test_settings_win_over_the_table(db: AsyncConnection) -> None:
    vault = Vault(["key"])
    await store_app_credentials(db, vault, APP)
    settings = told(
        app_id=5, private_key="-----BEGIN\\nKEY", webhook_secret="w1", webhook_secret_previous="w0"
    )
    found = await app_credentials(db, settings, vault)
    assert found is not None
    assert (found.app_id, found.webhook_secrets) == (5, ("w1", "w0"))
    assert found.private_key.get_secret_value() == "-----BEGIN\nKEY"


async def test_a_webhook_secret_in_settings_counts_beside_the_stored(db: AsyncConnection) -> None:
    vault = Vault(["key"])
    await store_app_credentials(db, vault, APP)
    found = await app_credentials(db, told(webhook_secret="w1"), vault)
    assert found is not None
    assert (found.app_id, found.webhook_secrets) == (7, ("hook-now", "hook-before", "w1"))
