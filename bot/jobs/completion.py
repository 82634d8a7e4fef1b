"""Tell an organisation's own service that a run has ended, signed, and again until it hears."""

import asyncio
import hashlib
import hmac
from typing import Any

import structlog
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.agent import ending
from bot.clients.outward import checked_host, leads_here
from bot.jobs import Surroundings, job
from models import runs
from models.errors import Refused
from models.prompts import agent_settings
from models.queue import ClaimedJob
from models.tickets import ticket

log = structlog.get_logger()

TIMEOUT_SECONDS = 10.0
LONGEST_SECONDS = 30.0
SIGNATURE = "X-Veelocity-Signature-256"
TOLD = (
    "id",
    "ticket_id",
    "repository_id",
    "kind",
    "state",
    "verdict",
    "model",
    "prompt_name",
    "turns",
    "cost_usd",
    "summary",
    "error",
    "branch",
    "head_sha",
    "pull_request_number",
    "created_at",
    "started_at",
    "finished_at",
)


@job
async def tell_completion(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Send a run's outcome to the organisation's completion URL, if it has one.

    The body is JSON, signed like GitHub's deliveries: HMAC-SHA256 over the raw bytes. Anything but
    a 2xx answer is tried again, then parked.
    """
    async with surroundings.engine.connect() as db:
        wishes = await agent_settings(db, str(claimed.organization_id))
        body = await told(db, int(claimed.arguments["run"]))
    if not wishes.completion_url or body is None:
        return
    secret = surroundings.vault.open(wishes.completion_secret) if wishes.completion_secret else ""
    here = leads_here(surroundings.settings.public_url)
    await send(wishes.completion_url, body, secret, loopback=here)


@job
async def show_end(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Say on the tracking comment how a run ended that no worker held."""
    await ending.show(surroundings, int(claimed.arguments["run"]))


async def told(db: AsyncConnection, run_id: int) -> bytes | None:
    """Return the body: the run, and the ticket it was for; None where they are gone."""
    row = await runs.run(db, run_id)
    asked = await ticket(db, row["ticket_id"]) if row else None
    if row is None or asked is None:
        return None
    kept: dict[str, Any] = {name: row[name] for name in TOLD}
    issue = {name: asked[name] for name in ("number", "title", "url", "status")}
    return to_json({"event": "run.ended", "run": kept, "ticket": issue})


async def send(url: str, body: bytes, secret: str, *, loopback: bool = False) -> None:
    """Post a signed body; raise `Refused` where it is not taken. Redirects are not followed.

    The host is looked up once and that very address is spoken to, so that a name cannot lead into
    our own network on a second look.
    """
    import httpx

    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", SIGNATURE: signature}
    address, *_ = await checked_host(url, loopback=loopback)
    named = httpx.URL(url)
    headers["host"] = named.netloc.decode()
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            asked = client.build_request(
                "POST",
                named.copy_with(host=address),
                content=body,
                headers=headers,
                extensions={"sni_hostname": named.host},
            )
            async with asyncio.timeout(LONGEST_SECONDS):
                answer = await client.send(asked, stream=True)  # its words are not read
                await answer.aclose()
    except (httpx.RequestError, TimeoutError) as error:
        raise Refused(f"{url} could not be reached: {type(error).__name__}") from None
    if not answer.is_success:
        raise Refused(f"{url} answered {answer.status_code}")
