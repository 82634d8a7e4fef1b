"""`connect`: ties an account in Slack to a person here, who says so on a page of ours."""

from secrets import token_urlsafe

from bot.chat.asking import Call, Said, commands
from bot.chat.blocks import link, section
from models import chat_members
from models.chat_members import LINK_MINUTES, Begun

PAGE = "/connect/slack/member"
OPEN = "{link} while you are signed in. The link works once, within {minutes} minutes."
YOURS = "It is for you alone: whoever opens it decides whose rights your commands have."
LABEL = "Tie this account to yours in Veelocity"


@commands.on("connect", role=None)
async def connect(call: Call) -> Said:
    """Tie your account in Slack to your account here, by a link that only you see."""
    token = token_urlsafe(32)
    begun = Begun(call.organization_id, call.account.team_id, call.account.user_id)
    async with call.surroundings.engine.begin() as db:
        await chat_members.begin(db, token, begun)
    there = link(f"{call.url}{PAGE}?token={token}", LABEL)
    words = OPEN.format(link=there, minutes=LINK_MINUTES)
    return Said([section(words, YOURS)], LABEL, private=True)
