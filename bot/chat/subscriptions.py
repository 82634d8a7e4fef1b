"""`subscribe …`: what a channel hears of by itself. Off until a manager says otherwise."""

import structlog

from bot.chat.asking import Call, Said, commands, sentence
from bot.clients.slack import slack_for
from handlers import slash
from models.errors import Refused
from models.subscribing import subscribe, unsubscribe
from models.users import audit

CADENCES = ("weekly", "daily")
DIGEST, ALERTS = "subscribe digest weekly|daily|off", "subscribe alerts on|off"
WHEN = {"weekly": "each Monday at 9:00", "daily": "each day at 9:00"}

CHOOSE = "`/veelocity {usage}`: choose one of them."
NOT_HERE = "Subscribe in a channel that the bot is in: this is none."
DIGEST_ON = "This channel gets a digest {when}, by the organisation's clock."
DIGEST_OFF = "This channel gets no digest."
ALERTS_ON = "This channel hears of incidents and of deployments that failed, from now on."
ALERTS_OFF = "This channel hears of no incidents."
INVITE = " We could not join it by ourselves: invite the bot with `/invite @Veelocity`."

log = structlog.get_logger()


@commands.on(DIGEST, role="manager")
async def subscribe_digest(call: Call) -> Said:
    """Have this channel get a digest each Monday, or each day, at 9:00; `off` ends it."""
    cadence = chosen(call, DIGEST, (*CADENCES, "off"))
    await kept(call, "digest", cadence, on=cadence != "off")
    if cadence == "off":
        return sentence(DIGEST_OFF)
    return sentence(DIGEST_ON.format(when=WHEN[cadence]) + await joined(call))


@commands.on(ALERTS, role="manager")
async def subscribe_alerts(call: Call) -> Said:
    """Have this channel hear of incidents and of deployments that failed, as they happen."""
    wanted = chosen(call, ALERTS, ("on", "off")) == "on"
    await kept(call, "alerts", "weekly", on=wanted)
    return sentence(ALERTS_ON + await joined(call) if wanted else ALERTS_OFF)


def chosen(call: Call, usage: str, choices: tuple[str, ...]) -> str:
    """Return the choice that was made; raise `Refused` for none, or outside a channel."""
    word = (slash.one(call.words, usage) or "").lower()
    if word not in choices:
        raise Refused(CHOOSE.format(usage=usage))
    if not call.account.channel_id.startswith(("C", "G")):
        raise Refused(NOT_HERE)
    return word


async def joined(call: Call) -> str:
    """Join the channel; return what somebody must do where we cannot by ourselves."""
    held = (call.surroundings.engine, call.surroundings.settings, call.surroundings.vault)
    try:
        async with slack_for(*held, call.organization_id, call.account.team_id) as slack:
            if slack is not None:
                await slack.join(call.account.channel_id)
                return ""
    except Refused as error:
        log.info("slack_not_joined", says=str(error))
    return INVITE


async def kept(call: Call, kind: str, cadence: str, *, on: bool) -> None:
    """Keep or end a subscription, and who did that."""
    place, who = call.place, {"user_id": call.by.user_id, "organization_id": call.organization_id}
    async with call.surroundings.engine.begin() as db:
        if on:
            await subscribe(db, place, kind, call.by.user_id, cadence)
        else:
            await unsubscribe(db, place, kind)
        detail = f"{kind} {cadence if on else 'off'} in {place.channel_key}"
        await audit(db, "subscribe_channel", detail=detail, **who)
