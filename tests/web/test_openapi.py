"""Whatever is sent, the API answers as its own description says, and never with a 500."""

import asyncio
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import redis
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bot.settings import Settings
from bot.web.api.openapi import described
from models.store import engine as opened
from tests.web.conftest import World, world_of

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    for operation in (
        found.ok() for found in schemathesis.openapi.from_dict(described()).get_all_operations()
    )
}


class Asked:
    """The application, and a loop to ask it in from a test that has none."""

    def __init__(self, runner: asyncio.Runner, world: World, who: Any) -> None:
        self.runner, self.world, self.who = runner, world, who

    def answer(self, case: schemathesis.Case) -> Any:
        """Send a case, without waiting for anybody's patience."""
        told = case.as_transport_kwargs(base_url=self.world.app.state.settings.public_url)
        told.pop("files", None)
        sent = {name: told[name] for name in ("method", "url", "params", "json") if name in told}
        if "data" in told:
            sent["content"] = told["data"]
        headers = {**told.get("headers", {}), **self.who.headers}
        return self.runner.run(self.who.request(**sent, headers=headers))


@pytest.fixture
def asked(settings: Settings, clean: None, clean_redis: str) -> Iterator[Asked]:
    with asyncio.Runner() as runner:
        engine = opened(settings.postgres_url)
        opening = world_of(settings, engine)
        world = runner.run(opening.__aenter__())
        yield Asked(runner, world, runner.run(world.program("admin")))
        runner.run(opening.__aexit__(None, None, None))
        runner.run(engine.dispose())


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_answers_are_as_described(
    asked: Asked, clean_redis: str, operation: str, mode: GenerationMode
) -> None:
    @hypothesis.given(case=OPERATIONS[operation].as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=10,
        phases=[hypothesis.Phase.generate],
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def check(case: schemathesis.Case) -> None:
        with redis.Redis.from_url(clean_redis) as counters:
            counters.flushdb()
        case.validate_response(asked.answer(case), checks=CHECKS)

    try:
        check()
    except hypothesis.errors.Unsatisfiable:
        assert operation == "GET /api/v1/health", "only this takes nothing that could be wrong"
