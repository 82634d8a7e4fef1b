"""How alembic reaches the database: by `bot migrate`, by tests, or not at all (`--sql`)."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import models  # noqa: F401 - fills the metadata

OFFLINE_URL = "postgresql+psycopg://"


def run(connection: Connection) -> None:
    """Migrate over an open connection, one migrator at a time."""
    context.configure(connection=connection, target_metadata=SQLModel.metadata)
    with context.begin_transaction():
        connection.exec_driver_sql("select pg_advisory_xact_lock(812073)")
        connection.exec_driver_sql("set local lock_timeout = '10s'")
        context.run_migrations()


async def connect(url: str) -> None:
    """Open the database that the caller named and migrate it."""
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as db:
        await db.run_sync(run)
        await db.commit()
    await engine.dispose()


if context.is_offline_mode():
    context.configure(url=OFFLINE_URL, target_metadata=SQLModel.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(connect(context.config.attributes["url"]))
