"""The states in which the model works: planning and developing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import structlog

from bot import metrics
from bot.agent.budget import budgeted
from bot.agent.context import Asked, Said, compose
from bot.agent.conversation import Ask, Block, Limits, Message, Outcome, Task, ToolResult, Used
from bot.agent.loop import loop
from bot.agent.model import ModelError, ask_of
from bot.agent.place import Place, is_money
from bot.agent.prompts import template_for
from bot.agent.similar import similar_tickets
from bot.agent.tools import PLAN_TOOLS, TOOLS, Toolbox
from bot.clients.github_work import comments
from models import budgets, runs
from models.budgets import Spender, limits_of
from models.runs import RunState

log = structlog.get_logger()

LOST = (
    "Note: your working tree was lost with the machine it was on, so /repo is the base commit "
    "again. What you did before has to be done anew."
)


async def plan(place: Place) -> RunState:
    """Let the model look around and say what it would do; people approve it."""
    outcome = await converse(place)
    words = (outcome.submission or {}).get("summary") or outcome.words
    planned = await conversation_of(place)
    await place.keep(plan=place.redactor.redact(words), outcome={"planned": planned})
    return RunState.WAITING_APPROVAL if outcome.submission else ended_early(place, outcome)


async def develop(place: Place) -> RunState:
    """Let the model work until it submits or a limit is reached; what exists is kept."""
    outcome = await converse(place)
    submitted = outcome.submission or {}
    limits = [outcome.limit] if outcome.limit else []
    await place.keep(
        outcome={
            "kind": outcome.kind,
            "words": place.redactor.redact(outcome.words),
            "title": place.redactor.redact(str(submitted.get("title") or "")),
            "question": place.redactor.redact(outcome.words) if outcome.kind == "asked" else None,
        },
        summary=place.redactor.redact(str(submitted.get("summary") or outcome.words)),
        limits=list(dict.fromkeys([*place.run["limits"], *limits])),
    )
    return RunState.VALIDATING


def ended_early(place: Place, outcome: Outcome) -> RunState:
    """Return how a run ends that has no plan to show."""
    place.why = outcome.words
    over = outcome.limit is not None and is_money(outcome.limit)
    return RunState.OVER_BUDGET if over else RunState.FAILED


async def converse(place: Place) -> Outcome:
    """Talk with the model until it is done, going on where the store says that we were."""
    lost = not (place.space.own / "checked-out").exists()
    await place.space.checkout(place.run["base_sha"])
    transcript = await transcript_of(place, lost=lost)
    task = await transcript.task(place)
    async with ask_of(place.settings, task.model, on_wait=waiting(place)) as model:
        ask = budgeted(
            counting(place, model),
            place.surroundings.engine,
            spender_of(place),
            lambda: money_of(place),
            str(place.run["provider"]),
        )
        try:
            return await loop(ask, toolbox(place).execute, task, limits_of_run(place))
        except ModelError as error:
            return Outcome("failed", str(error))


def waiting(place: Place) -> Any:
    """Return what notes that a model is waited for."""

    async def told(why: str, seconds: float) -> None:
        await place.note("note", "waiting for the model", detail=f"{why} ({seconds:.0f} s)")

    return told


def counting(place: Place, ask: Ask) -> Ask:
    """Return an ask that counts every answer, and tells open pages of it."""

    async def asked(request: Any) -> Any:
        reply = await ask(request)
        metrics.called(str(place.run["provider"]), reply.model, reply.usage, reply.cost_usd)
        await place.tell()
        return reply

    return asked


def toolbox(place: Place) -> Toolbox:
    """Return the model's tools, over the sandbox of this run."""

    async def progress(items: Sequence[dict[str, Any]]) -> None:
        told = [{**each, "text": place.redactor.redact(str(each["text"]))} for each in items]
        await place.keep(checklist=told)

    async def step(block: Block, result: ToolResult) -> None:
        await place.note(
            "tool", named(block), detail=result.text, ok=not result.failed, seconds=result.seconds
        )

    return Toolbox(place.sandbox(), on_progress=progress, on_step=step)


def named(block: Block) -> str:
    """Say a tool call in one line."""
    told = block.get("input") or {}
    if block["name"] == "bash":
        return str(told.get("command") or "restart")[:500]
    if block["name"] == "str_replace_based_edit_tool":
        return f"{told.get('command')} {told.get('path')}"[:500]
    return str(block["name"])


def spender_of(place: Place) -> Spender:
    """Say whose calls these are."""
    return Spender(
        place.id, place.ticket["id"], place.run["repository_id"], place.run["organization_id"]
    )


def ticket_budget(place: Place) -> Decimal:
    """Return what a ticket may cost: what a command set, else the least that anybody set."""
    if place.ticket["budget_usd"] is not None:
        return Decimal(place.ticket["budget_usd"])
    wished = place.organization.ticket_budget_usd
    most = place.settings.ticket_budget_usd if wished is None else wished
    told = place.configuration.budget_usd
    return most if told is None else min(most, told)


def money_of(place: Place) -> tuple[budgets.Limit, ...]:
    """Return the budgets that a call must fit into, as they are set now."""
    wishes, settings = place.organization, place.settings
    repository = wishes.repository_day_budget_usd
    organization = wishes.organization_day_budget_usd
    return limits_of(
        spender_of(place),
        datetime.now(UTC).date(),
        ticket_budget(place),
        settings.repository_day_budget_usd if repository is None else repository,
        settings.organisation_day_budget_usd if organization is None else organization,
    )


def limits_of_run(place: Place) -> Limits:
    """Return what this run may use."""
    settings = place.settings
    return Limits(
        usd=ticket_budget(place),
        turns=settings.agent_turns,
        tokens=settings.agent_tokens,
        seconds=settings.agent_seconds,
    )


@dataclass
class Transcript:
    """What was said so far, and where the next message goes."""

    system: str
    messages: list[Message]
    position: int
    conversation: int
    resumed: bool

    async def task(self, place: Place) -> Task:
        """Return the loop's task; every message goes into the store before the next thing."""

        async def keep(message: Message) -> None:
            async with place.surroundings.engine.begin() as db:
                await runs.say(db, place.id, self.position, message, self.conversation)
            self.position += 1
            await place.tell()

        async def begin_again(message: Message) -> None:
            self.conversation += 1
            await keep(system_message(self.system))
            await keep(message)

        async def moved(model: str) -> None:
            await place.keep(model=model)

        settings = place.settings
        return Task(
            model=str(place.run["model"]),
            system=self.system,
            messages=self.messages,
            tools=PLAN_TOOLS if place.state == RunState.PLANNING else TOOLS,
            max_tokens=settings.claude_max_tokens,
            keep=keep,
            fallback=fallback_of(place),
            begin_again=begin_again,
            moved=moved,
            used=await used_so_far(place),
            resumed=self.resumed,
        )


def fallback_of(place: Place) -> str | None:
    """Return the model that is asked when the first one refuses: another of the same provider."""
    fallback = place.settings.claude_fallback_model
    same = place.run["provider"] == "anthropic" and fallback != place.run["model"]
    return fallback if same else None


def system_message(system: str) -> Message:
    """Return the system prompt as it is kept in the store, before the first message."""
    return {"role": "system", "content": [{"type": "text", "text": system}]}


async def used_so_far(place: Place) -> Used:
    """Return what the run has used, by the store."""
    await place.refresh()
    run = place.run
    counts = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    began = run["started_at"] or datetime.now(UTC)
    return Used(
        usd=Decimal(run["cost_usd"]),
        turns=run["turns"],
        tokens=sum(run[name] for name in counts),
        seconds=(datetime.now(UTC) - began).total_seconds(),
    )


async def transcript_of(place: Place, *, lost: bool) -> Transcript:
    """Return the conversation as the store has it, or begin one."""
    async with place.surroundings.engine.begin() as db:
        await budgets.assume(db, place.id)
        said = await runs.said(db, place.id)
        last = await runs.last_position(db, place.id)
    if said and not is_the_plans(place, said) and not lost:
        messages = [message_of(row) for row in said[1:]]
        system = str(said[0]["content"][0]["text"])
        return Transcript(system, messages, last + 1, said[0]["conversation"], resumed=True)
    conversation = said[0]["conversation"] + 1 if said else 0
    system, words = await composed(place)
    if lost and said:
        words = f"{words}\n\n{LOST}"
    first: Message = {"role": "user", "content": [{"type": "text", "text": words}]}
    begun = Transcript(system, [first], last + 1, conversation, resumed=False)
    async with place.surroundings.engine.begin() as db:
        for message in (system_message(system), first):
            await runs.say(db, place.id, begun.position, message, conversation)
            begun.position += 1
    return begun


async def conversation_of(place: Place) -> int:
    """Return the number of the conversation that was held last."""
    async with place.surroundings.engine.connect() as db:
        said = await runs.said(db, place.id)
    return int(said[0]["conversation"])


def is_the_plans(place: Place, said: Sequence[Any]) -> bool:
    """Tell whether a conversation was the plan's, which developing does not go on with."""
    planned = (place.run["outcome"] or {}).get("planned")
    return place.state == RunState.DEVELOPING and planned == said[0]["conversation"]


def message_of(row: Any) -> Message:
    """Return a stored message as the loop has it."""
    message: Message = {"role": row["role"], "content": row["content"]}
    if row["stop_reason"]:
        message["stop_reason"] = row["stop_reason"]
    return message


async def composed(place: Place) -> tuple[str, str]:
    """Return the system prompt and the first message of a run."""
    async with place.surroundings.engine.connect() as db:
        *_, template = await template_for(db, place.run["organization_id"], place.told)
        similar = (
            await similar_tickets(db, place.ticket) if place.organization.similar_tickets else []
        )
    listed = await comments(place.github, place.home.full_name, place.ticket["number"])
    asked = Asked(
        kind=place.run["kind"],
        number=place.ticket["number"],
        title=place.ticket["title"],
        body=place.ticket["body"],
        type=place.ticket["type"],
        priority=place.ticket["priority"],
        author=place.ticket["author_login"],
        requested_at=place.ticket["requested_at"],
        additional_context=place.ticket["additional_context"],
        comments=tuple(Said(each.author, each.at, each.body) for each in listed if not each.ours),
        request=place.run["request"],
        plan=place.run["plan"],
        similar=tuple(similar),
    )
    return await asyncio.to_thread(compose, template, asked, place.told)
