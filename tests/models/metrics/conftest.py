"""A database with the models' tables, until the suite's own fixture is there."""

import os
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import models  # noqa: F401 - registers the tables


@pytest.fixture
async def db() -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction that is rolled back."""
    if "DATABASE_URL" not in os.environ:
        pytest.skip("DATABASE_URL is not set")
    engine = create_async_engine(os.environ["DATABASE_URL"], poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
        yield connection
        await connection.rollback()
    await engine.dispose()
