"""`/veelocity …` in Slack, answered in Block Kit for who asked alone, unless it is shared.

Importing this registers every command.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bot.chat import connecting, desk, incidents, numbers, subscriptions
from bot.chat.asking import Account, Answers, Call, Said, admitted, commands, organization_of
from bot.chat.blocks import context, header, refusal, reply, said, section
from bot.clients.asking import GitHubError
from bot.surroundings import Surroundings
from handlers.slash import NAME, Asked
from models.errors import Refused

__all__ = ["COMMANDS", "answer"]

MODULES = [each.__name__ for each in (numbers, incidents, desk, subscriptions, connecting)]
ROLES = {None: "", "viewer": "", "manager": " _(managers)_", "admin": " _(admins)_"}
SHARED = "Only you see an answer; `--share` shows it to the whole channel."
WHOLE = "What {name} can do"


@commands.on("help", role=None)
async def help_all(call: Call) -> Said:
    """Say what there is to ask."""
    lines = [
        f"`{NAME} {said(each.usage)}`{ROLES[each.role]}\n{said(each.help, 500)}"
        for each in commands.all
    ]
    half = -(-len(lines) // 2)
    blocks = [section(*part) for part in (lines[:half], lines[half:])]
    title = WHOLE.format(name=NAME)
    return Said([header(title), *blocks, context(SHARED)], title, private=True)


COMMANDS = commands
COMMANDS.all.sort(key=lambda each: [*MODULES, __name__].index(each.does.__module__))


async def answer(
    surroundings: Surroundings, form: Mapping[str, str], now: datetime | None = None
) -> dict[str, Any]:
    """Answer a slash command; what is refused is told to who asked, and to nobody else.

    `form` is what Slack sent: `team_id`, `user_id`, `channel_id` and `text`.
    """
    asked = commands.read(form.get("text", ""))
    account = Account(form.get("team_id", ""), form.get("user_id", ""), form.get("channel_id", ""))
    try:
        organization_id = await organization_of(surroundings, account.team_id)
        call = Call(surroundings, organization_id, account, now or datetime.now(UTC), asked.words)
        told = await answered(call, asked)
    except (Refused, GitHubError) as error:
        return refusal(str(error))
    return reply(told.blocks, told.text, share=asked.share and not told.private)


async def answered(call: Call, asked: Asked[Answers]) -> Said:
    """Do what was asked for, if who asks may; what is unknown is named above the help."""
    if asked.command is None:
        told = await help_all(call)
        return replace(told, blocks=[section(said(asked.problem)), *told.blocks])
    if asked.command.role is None:
        return await asked.command.does(call)
    place = (call.surroundings, call.organization_id, call.account)
    asker = await admitted(*place, asked.command.role)
    return await asked.command.does(replace(call, asker=asker))
