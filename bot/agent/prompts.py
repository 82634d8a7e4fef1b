"""Which prompt template a run is told: the repository's own, the organisation's, or ours."""

import hashlib

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.agent import template as templates
from bot.agent.context import Instructions
from models.errors import Refused
from models.prompts import newest_prompt


async def template_for(
    db: AsyncConnection, organization_id: str, told: Instructions
) -> tuple[int | None, str, str]:
    """Return the id of the organisation's prompt (None: another is used), its name and its text.

    Names are `repository@<hash of the file>`, `organisation v3` or `default v1`.
    """
    if told.template is not None:
        sha = hashlib.sha256(told.template.encode()).hexdigest()
        return None, f"repository@{sha[:8]}", told.template
    kept = await newest_prompt(db, organization_id)
    if kept is not None and not templates.faults(kept["body"]):
        return int(kept["id"]), f"organisation v{kept['version']}", str(kept["body"])
    return None, default_name(), templates.default()


def default_name() -> str:
    """Return the name and version of the template that Veelocity brings."""
    named = templates.head(templates.default())
    return f"{named['name']} v{named['version']}"


def checked(body: str) -> str:
    """Return a template that can be used; raise `Refused` saying all that is wrong with it."""
    if said := templates.faults(body):
        raise Refused("This template cannot be used. " + " ".join(said))
    return body
