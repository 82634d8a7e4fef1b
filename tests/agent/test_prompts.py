"""Which prompt a run is told, and which prompts cannot be used."""

import hashlib
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.agent import template
from bot.agent.configuration import Configuration
from bot.agent.context import Instructions
from bot.agent.prompts import checked, default_name, template_for
from models.errors import Refused
from models.prompts import Prompt
from tests.agent_rows import add

TOLD = Instructions("c0ffee", "sha", Configuration(), (), "", None)
HERE = "github:1"


async def used(engine: AsyncEngine, told: Instructions = TOLD) -> tuple[int | None, str, str]:
    async with engine.connect() as db:
        return await template_for(db, HERE, told)


async def version(engine: AsyncEngine, number: int, body: str, **told: object) -> int | None:
    row = {"organization_id": HERE, "version": number, "body": body, **told}
    return await add(engine, Prompt, **row)


@pytest.mark.store
async def test_without_another_the_default_is_used(engine: AsyncEngine) -> None:
    await version(engine, 9, "Another organisation's", organization_id="github:2")
    assert await used(engine) == (None, "default v1", template.default())


@pytest.mark.store
async def test_the_newest_of_the_organisation_is_used(engine: AsyncEngine) -> None:
    await version(engine, 1, "First")
    second = await version(engine, 2, "Second")
    assert await used(engine) == (second, "organisation v2", "Second")


@pytest.mark.store
async def test_a_retired_newest_one_means_the_default(engine: AsyncEngine) -> None:
    await version(engine, 1, "First")
    await version(engine, 2, "Second", retired=True)
    assert (await used(engine))[:2] == (None, "default v1")


@pytest.mark.store
async def test_one_that_cannot_be_used_means_the_default(engine: AsyncEngine) -> None:
    await version(engine, 1, "{{ nothing }}")
    assert (await used(engine))[:2] == (None, "default v1")


@pytest.mark.store
async def test_the_repositorys_own_wins(engine: AsyncEngine) -> None:
    await version(engine, 1, "First")
    sha = hashlib.sha256(b"Its own").hexdigest()[:8]
    told = replace(TOLD, template="Its own")
    assert await used(engine, told) == (None, f"repository@{sha}", "Its own")


def test_a_template_that_cannot_be_used_is_refused_with_all_that_is_wrong() -> None:
    assert checked("Be brief. {{ rules }}") == "Be brief. {{ rules }}"
    with pytest.raises(Refused) as refusal:
        checked("{{ title }} {{body}} {{ 7*7 }} {{ rules }}\n<!-- part: launch -->\n")
    assert "{{ title }}, {{ body }}, {{ 7*7 }}" in str(refusal.value)
    assert "{{ protected }}" in str(refusal.value)
    assert "no kind of run named launch" in str(refusal.value)


def test_the_default_can_be_used_and_has_a_part_for_each_kind() -> None:
    assert checked(template.default())
    assert default_name() == "default v1"
    assert set(template.parts(template.default())) == {"", "plan", "review", "checks"}
    assert len(template.default()) < 8000


def test_a_template_without_a_part_has_the_defaults() -> None:
    said = template.filled("Be brief.", "plan", {"rules": "None."})
    assert said.startswith("Be brief.\n\n# This time: a plan only")
    own = "Be brief.\n<!-- part: plan -->\nPlan well.\n<!-- part: review -->\nListen."
    said = template.filled(own, "plan", {"rules": "None."})
    assert said == "Be brief.\n\nPlan well.\n\n# The repository's own rules\n\nNone.\n"


def test_the_head_is_not_said_to_the_model() -> None:
    said = template.filled(template.default(), "develop", {})
    assert said.startswith("You are a software developer.")
    assert "version: 1" not in said
    assert "<!--" not in said
