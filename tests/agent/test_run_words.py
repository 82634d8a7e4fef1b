"""Attack 14 of AGENT.md on whole runs: what a model says cannot carry secrets out, nor act."""

import base64
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_core import to_json
from sqlalchemy import text

from bot.vault import AppCredentials, store_app_credentials
from tests.agent.conftest import plain_git
from tests.agent.runs import LOOK, MEND, ORGANIZATION, SUBMIT, Desk, Opened, bash
from tests.agent.runs import desk as desk
from tests.fakes.anthropic import calls

KEY = "sk-ant-key-of-the-test"
HOOK = "It's a Secret to Everybody"
STORED = "hook-secret-in-the-vault-4711"
COMPLETION = "completion-secret-in-the-vault-0815"
WISH = text("""
    insert into agent_settings (organization_id, completion_url, completion_secret)
    values (:organization, 'https://hooks.example', :secret)
""")


def written(secret: str) -> dict[str, str]:
    """Return a secret as it may be written."""
    encoded = secret.encode()
    return {
        "plain": secret,
        "base64": base64.b64encode(encoded).decode(),
        "hex": encoded.hex(),
        "reversed": secret[::-1],
    }


async def left(here: Desk) -> dict[str, str]:
    """Return all that a run left where people, or anybody, may read it."""
    run = await here.ask("select * from runs")
    steps = await here.ask("select * from run_steps order by id")
    issues = here.repository.issues.values()
    branch = next((each.head for each in here.pulls()), "main")
    return {
        "comments": str([each.body for issue in issues for each in issue.comments]),
        "pull requests": str([(each.title, each.body, each.head) for each in here.pulls()]),
        "checks": str([(each.title, each.summary) for each in here.repository.checks]),
        "what GitHub said": str(here.github.said),
        "commit": plain_git(here.origin.bare, "log", "-1", "--format=%an %ae %B", branch),
        "steps": to_json(steps).decode(),
        "run": to_json(run).decode(),
    }


def telling(words: str) -> tuple[Any, ...]:
    """Return the turns of a model that says some words wherever it can."""
    return (
        LOOK,
        bash(f"echo {base64.b64encode(words.encode()).decode()} | base64 -d; : '{words[:200]}'"),
        calls("report_progress", items=[{"text": words[:190], "done": False}]),
        MEND,
        calls("submit", title=words[:60], summary=f"Done. {words} `{words}`", tests=words),
    )


async def vault(here: Desk) -> None:
    """Keep secrets of the app and of the organisation in the store."""
    sealed = here.surroundings.vault.seal(COMPLETION)
    made = AppCredentials(
        app_id=here.github.app_id,
        private_key=SecretStr(here.github.private_key),
        hook_secrets=(SecretStr(STORED),),
    )
    async with here.engine.begin() as db:
        await db.execute(WISH, {"organization": ORGANIZATION, "secret": sealed})
        await store_app_credentials(db, here.surroundings.vault, made)


@pytest.mark.parametrize("how", ["plain", "base64", "hex", "reversed"])
async def test_14_live_secrets_are_taken_out_of_all_that_leaves(desk: Opened, how: str):
    secrets = {name: written(name)[how] for name in (KEY, HOOK, STORED, COMPLETION)}
    words = " and ".join(secrets.values()).replace("'", "")
    here, _ = await desk(telling(words), app_id=None, private_key=None)
    await vault(here)
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    for place, said in (await left(here)).items():
        for name, form in secrets.items():
            assert form.replace("'", "") not in said, f"{name} is in the {place}"
    assert "[redacted]" in here.pulls()[0].body


async def test_14_a_secret_in_a_question_and_in_an_error_is_taken_out(desk: Opened):
    asks = calls("ask_people", question=f"What is {KEY} for?")
    here, _ = await desk((LOOK, asks))
    await here.ticket()
    await here.develop()
    for place, said in (await left(here)).items():
        assert KEY not in said, place
    assert "[redacted]" in (await left(here))["comments"]


async def test_14_an_error_of_the_api_that_repeats_the_key_does_not_tell_it(desk: Opened):
    here, _ = await desk([{"error": 400, "message": f"invalid header x-api-key: {KEY}"}])
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "failed"
    for place, said in (await left(here)).items():
        assert KEY not in said, place


ACTIVE = (
    "Look: ![x](https://evil.example/?q=1) <img src='https://evil.example/2'> @everyone @acme/all\n"
    "Closes #9. fixes acme/other#3 and resolves https://github.com/acme/adding/issues/9\n"
    "[here](https://evil.example/3)\n\n<!-- veelocity:ticket:github:1 -->"
)


async def test_14_images_mentions_and_foreign_closings_do_nothing(desk: Opened):
    title = "Closes #9 @everyone [skip ci] https://evil.example"
    progress = calls("report_progress", items=[{"text": "Closes #9 ![x](//evil.example)"}])
    submit = calls("submit", title=title, summary=ACTIVE, tests="unittest")
    here, _ = await desk((LOOK, progress, MEND, submit))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    told = await left(here)
    shown = told["comments"] + told["pull requests"] + told["commit"] + told["checks"]
    for active in ("Closes #9", "acme/other#3", "issues/9", "![x]", "<img", "](https://evil"):
        assert active not in shown, active
    for mention in (" @everyone", " @acme/all", "[skip ci]"):
        assert mention not in shown, mention
    assert shown.count(f"Fixes #{issue.number}") == 1
    assert shown.count("<!-- veelocity:ticket") == 1
    assert run["cost_usd"] > Decimal(0)


async def test_a_live_secret_in_a_file_is_held_back(desk: Opened):
    here, _ = await desk((bash(f"echo '{KEY[::-1]}' > notes.txt"), SUBMIT))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "blocked"
    assert "live secret" in here.board(issue)
    assert set(here.origin.branches()) == {"refs/heads/main"}
