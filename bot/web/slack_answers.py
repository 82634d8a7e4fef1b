"""Where Slack asks and waits: slash commands and buttons, answered within two seconds or later.

<https://docs.slack.dev/interactivity/handling-user-interaction>. Of a request neither Slack's
`token` nor its `response_url` is kept: who has that can speak in the channel for half an hour.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import structlog
from pydantic_core import to_json

from bot.clients.slack import SlackError, respond
from bot.surroundings import Surroundings
from bot.web.receiving import Answer, object_in
from bot.web.slack_webhooks import Desk, Headers, Told, named
from models.errors import Refused

log = structlog.get_logger()

PATIENCE_SECONDS = 2.0
LONGEST_SECONDS = 600.0
CAPABILITIES = ("token", "response_url", "response_urls", "trigger_id")
ON_IT = "On it: the answer follows here."
NOT_KEPT = "Veelocity's database is away, so nothing was done. Try again in a minute."
TWICE = "This was asked before, and is answered once."
SORRY = "Something went wrong, and it was written down. Try again, or tell your admin."

Reply = Mapping[str, Any]
Ask = Callable[[Surroundings, Mapping[str, Any]], Coroutine[Any, Any, Reply | None]]


def only_to_them(words: str) -> dict[str, Any]:
    """Return a message that only who asked can see."""
    return {"response_type": "ephemeral", "text": words}


@dataclass
class Answers:
    """What is being answered. `running`: what takes longer than Slack waits."""

    surroundings: Surroundings
    running: set[asyncio.Task[Any]] = field(default_factory=set)

    def started(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start work that outlives its request."""
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task

    async def within(
        self, asking: Coroutine[Any, Any, Reply | None], seconds: float, url: str
    ) -> tuple[bool, Reply]:
        """Return whether an answer came in time, and the answer; a late one goes to `url`."""
        task = self.started(safely(asking))
        done, _ = await asyncio.wait({task}, timeout=max(seconds, 0.1))
        if done:
            return True, task.result()
        self.started(self.later(task, url))
        return False, {}

    async def later(self, task: asyncio.Task[Reply], url: str) -> None:
        """Post an answer that came late."""
        reply = await task
        if not reply or not url:
            return
        try:
            await respond(url, reply, api_url=self.surroundings.settings.slack_api_url)
        except SlackError as error:
            log.warning("slack_answer_not_posted", says=str(error))

    async def close(self) -> None:
        """Let what still runs come to its end for a few seconds."""
        if self.running:
            await asyncio.wait(self.running, timeout=5)


async def safely(asking: Coroutine[Any, Any, Reply | None]) -> Reply:
    """Answer, whatever happens: a refusal is said to who asked, a bug is written down."""
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return await asking or {}
    except Refused as refusal:
        return only_to_them(str(refusal))
    except Exception:
        log.exception("slack_answer_failed")
        return only_to_them(SORRY)


@dataclass
class Commands:
    """`POST /webhooks/slack/commands`: `/veelocity …`; the body of the answer is the reply."""

    desk: Desk
    answers: Answers
    ask: Ask

    async def answer(self, headers: Headers, body: bytes) -> Answer:
        """Keep a command, then answer it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        form = read_form(body)
        if "command" not in form:
            return Answer(200, {})
        told = Told(named(form.get("trigger_id")) or digest_of(body), b"command", kept(form))
        receipt = await self.desk.keep(told, headers)
        if receipt is None or not receipt.new:
            return Answer(200, only_to_them(TWICE if receipt else NOT_KEPT))
        form.pop("token", None)
        asking = self.ask(self.answers.surroundings, form)
        in_time, reply = await self.answers.within(
            asking, deadline - time.monotonic(), form.get("response_url", "")
        )
        return Answer(200, dict(reply) if in_time else only_to_them(ON_IT))


@dataclass
class Interactions:
    """`POST /webhooks/slack/interactions`: a button was pressed, a form was sent."""

    desk: Desk
    answers: Answers
    ask: Ask

    async def answer(self, headers: Headers, body: bytes) -> Answer:
        """Keep an interaction, then act on it; messages are updated through its address."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        payload = object_in(read_form(body).get("payload", "").encode())
        if not payload:
            return Answer(400, {"title": "The form holds no JSON called payload"})
        trigger = named(payload.get("trigger_id")) or digest_of(body)
        receipt = await self.desk.keep(Told(trigger, b"interaction", kept(payload)), headers)
        if receipt is None or not receipt.new:
            return Answer(200 if receipt else 503, {} if receipt else {"title": NOT_KEPT})
        payload.pop("token", None)
        url = payload.get("response_url")
        _, reply = await self.answers.within(
            self.ask(self.answers.surroundings, payload),
            deadline - time.monotonic(),
            url if isinstance(url, str) else "",
        )
        return Answer(200, dict(reply))


def read_form(body: bytes) -> dict[str, str]:
    """Read what a form holds; of several values of a name the last."""
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), True, max_num_fields=100)
    except ValueError:
        return {}
    return dict(pairs)


def kept(told: Mapping[str, Any]) -> bytes:
    """Return what is kept of a command or interaction: JSON without what lets one act."""
    return to_json({name: value for name, value in told.items() if name not in CAPABILITIES})


def digest_of(body: bytes) -> bytes:
    """Name a request that has no id of its own."""
    return sha256(body).hexdigest().encode()
