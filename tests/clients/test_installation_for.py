import subprocess
import sys

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.clients.github import AppCredentials, installation_for
from bot.settings import Settings
from bot.vault import Vault, store_app_credentials
from tests.fakes.github import fake_github


async def test_the_stored_app_asks_for_an_installation(engine: AsyncEngine) -> None:
    vault = Vault(["key"])
    with fake_github() as fake:
        fake.repository("acme/api").line("a", "b")
        settings = Settings(github_api_url=fake.url)
        app = AppCredentials(app_id=fake.app_id, private_key=SecretStr(fake.private_key))
        async with engine.begin() as db:
            await store_app_credentials(db, vault, app)
        for _ in range(2):
            async with installation_for(engine, settings, vault, "42") as github:
                assert github is not None
                assert (await github.compare("acme/api", "a", "b")).shas == ("b",)
        assert len(fake.asked("access_tokens")) == 1


@pytest.mark.parametrize("installation_id", [None, 42])
async def test_nobody_is_asked_without_an_app(
    engine: AsyncEngine, installation_id: int | None
) -> None:
    vault = Vault(["key"])
    async with installation_for(engine, Settings(), vault, installation_id) as github:
        assert github is None


def test_the_web_process_does_not_load_what_it_does_not_use() -> None:
    script = (
        "import sys, bot.web.pages.setup\n"
        "print(sorted({'httpx', 'githubkit', 'githubkit_schemas', 'jwt'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert b"githubkit" not in told.stdout
    assert b"httpx" not in told.stdout
