"""The schema of the store: bringing it up to date, and telling whether it is."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def configuration(url: str = "") -> Config:
    """Return alembic's configuration for a database, without any file of settings."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return config


def migrate(url: str) -> None:
    """Bring the schema up to date; does nothing where it is. Not to be called in an event loop."""
    command.upgrade(configuration(url), "head")


def newest_revision() -> str | None:
    """Return the revision that this code was written for."""
    return ScriptDirectory.from_config(configuration()).get_current_head()


async def current_revision(db: AsyncConnection) -> str | None:
    """Return the revision of the schema, None before the first migration."""
    known = await db.execute(text("select to_regclass('alembic_version') is not null"))
    if not known.scalar():
        return None
    return (await db.execute(text("select version_num from alembic_version"))).scalar()


def print_sql() -> None:
    """Print the SQL that makes the schema from nothing."""
    command.upgrade(configuration(), "head", sql=True)
