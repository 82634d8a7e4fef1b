"""A workspace of acme's in Slack, with people of each role, strangers, and another organisation."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.chat.commands import answer
from bot.clients.slack import SlackSecret
from bot.settings import Settings
from bot.surroundings import Surroundings
from bot.web.accounts import create_user
from models import Connection, Organization, Repository
from models.chat import keep_connection_secret
from models.store import remember
from tests.chat.block_kit import faults, words
from tests.fakes.slack import FakeSlack, fake_slack
from tests.rig import Rig, rig_of

AT = datetime(2026, 9, 16, 12, tzinfo=UTC)
ACME, OTHER = "github:1", "github:2"
PEOPLE = {
    "viewer": "UVIEWER",
    "manager": "UMANAGER",
    "admin": "UADMIN",
    "foreigner": "UFOREIGNER",
    "nobody": "UNOBODY",
}


@dataclass
class Chat:
    """The rig, its Slack, and a way to say something as somebody."""

    rig: Rig
    slack: FakeSlack
    users: dict[str, str] = field(default_factory=dict)

    @property
    def surroundings(self) -> Surroundings:
        """What commands and jobs use."""
        return self.rig.surroundings

    async def said(
        self, who: str, line: str, *, channel: str = "C1", team: str = "T1", at: datetime = AT
    ) -> dict[str, Any]:
        """Return the answer to `/veelocity <line>`; Slack must be able to take it."""
        form = {"team_id": team, "user_id": PEOPLE.get(who, who), "channel_id": channel}
        told = await answer(self.surroundings, {**form, "text": line}, at)
        assert not faults(told), faults(told)
        return told

    async def words(self, who: str, line: str, **more: Any) -> str:
        """Return what the answer to a command says."""
        return words(await self.said(who, line, **more))

    async def do(self, statement: str, **bound: Any) -> None:
        """Change the store by hand."""
        async with self.surroundings.engine.begin() as db:
            await db.execute(text(statement), bound)

    async def keep(self, *rows: Any) -> None:
        """Keep rows of any table."""
        async with self.surroundings.engine.begin() as db:
            for row in rows:
                table = type(row)
                await db.execute(
                    table.__table__.insert().values(  # type: ignore[attr-defined]
                        {c.name: v for c in table.__table__.c  # type: ignore[attr-defined]
                         if (v := getattr(row, c.name)) is not None}
                    )
                )  # fmt: skip


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with fake_slack() as state:
        state.channel("C1", "general", is_member=True)
        state.channel("C2", "incidents", is_member=True)
        state.channel("C9", "secret", is_private=True)
        for who, slack_user in PEOPLE.items():
            state.user(slack_user, who.capitalize(), f"{who}@example.org")
        yield state


@pytest.fixture
async def chat(
    slack: FakeSlack, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Chat]:
    told = settings.model_copy(
        update={
            "slack_api_url": slack.url,
            "slack_signing_secret": SecretStr("shh"),
            "base_url": "https://veelocity.example",
        }
    )
    async with rig_of(told) as rig:
        opened = Chat(rig, slack)
        await founded(opened)
        yield opened


async def founded(chat: Chat) -> None:
    """Let there be two organisations, their people, a repository, and acme's workspace."""
    surroundings = chat.surroundings
    async with surroundings.engine.begin() as db:
        await remember(db, [
            Organization(id=ACME, login="acme", changed_at=AT, account_id=1),
            Organization(id=OTHER, login="other", changed_at=AT, account_id=2),
            Repository(id="github:10", organization_id=ACME, full_name="acme/api",
                       owner_login="acme", changed_at=AT),
            Repository(id="github:11", organization_id=ACME, full_name="acme/web",
                       owner_login="acme", changed_at=AT),
            Repository(id="github:20", organization_id=OTHER, full_name="other/secret",
                       owner_login="other", changed_at=AT),
            Connection(id="slack:team:T1", organization_id=ACME, source="slack",
                       external_id="T1", account_login="Acme", state="active", changed_at=AT),
        ])  # fmt: skip
        secret = SlackSecret(access_token=chat.slack.token, bot_user_id="U0BOT", app_id="A0APP")
        sealed = surroundings.vault.seal(secret.model_dump_json())
        await keep_connection_secret(db, "slack:team:T1", sealed)
        for role in ("viewer", "manager", "admin"):
            user = await create_user(
                db, f"{role}@example.org", organization="acme", role=role, name=role.capitalize()
            )
            chat.users[role] = user.id
        user = await create_user(db, "foreigner@example.org", organization="other", role="viewer")
        chat.users["foreigner"] = user.id
        await db.execute(text("update memberships set role = 'admin' where user_id = :id"),
                         {"id": user.id})  # fmt: skip
