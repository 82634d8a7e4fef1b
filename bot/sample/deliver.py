"""Send one signed delivery to the running app: `python -m bot.sample.deliver deployment_status`."""

import sys
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

from bot.sample.replay import signed
from bot.sample.staging import Stage
from bot.sample.story import story
from bot.sample.world import Delivery
from bot.settings import load, running_here
from models.errors import Refused

USAGE = "Usage: python -m bot.sample.deliver deployment_status [ADDRESS]"
NO_DEMO = "There is no demo in {home}: start `make demo` first, in this folder."
NOBODY = "Nobody answers at {address}: is `make demo` running? ({error})"
TAKEN = """\
Delivered, signed: a successful deployment of {repository} to {environment} ({sha}).
{address} answered {status}: {said}.
What it decided: {decisions}"""


def deployment_status(deliveries: tuple[Delivery, ...]) -> Delivery:
    """Return one more successful production deployment, of a commit that never ran before."""
    last = next(
        delivery
        for delivery in reversed(deliveries)
        if delivery.event == "deployment_status"
        and delivery.payload["deployment_status"]["state"] == "success"
        and delivery.payload["deployment"]["environment"] == "production"
    )
    now, number = datetime.now(UTC).replace(microsecond=0), time.time_ns() // 1000
    at = now.isoformat().replace("+00:00", "Z")
    fresh: dict[str, Any] = {"created_at": at, "updated_at": at}
    payload = dict(last.payload)
    payload["deployment"] = {
        **payload["deployment"],
        **fresh,
        "id": number,
        "sha": uuid4().hex + uuid4().hex[:8],
    }
    payload["deployment_status"] = {**payload["deployment_status"], **fresh, "id": number + 1}
    return Delivery("deployment_status", str(uuid4()), payload, now)


def main() -> None:
    """Sign it with the secret of VEELOCITY_HOME, send it, and say what the answer was."""
    if sys.argv[1:2] != ["deployment_status"] or len(sys.argv) > 3:
        sys.stderr.write(USAGE + "\n")
        sys.exit(2)
    try:
        code, words = deliver(*sys.argv[2:])
    except Refused as refusal:
        code, words = 1, str(refusal)
    (sys.stderr if code else sys.stdout).write(words + "\n")
    sys.exit(code)


def deliver(address: str | None = None) -> tuple[int, str]:
    """Send one delivery; return the exit code and what to say."""
    settings = running_here(load())
    stage = Stage(settings.veelocity_home)
    if not stage.there:
        return 1, NO_DEMO.format(home=settings.veelocity_home)
    kept = stage.home / "webhook_secret"
    secret = next(iter(settings.webhook_secrets), "") or kept.read_text().strip()
    noted = stage.note()
    delivery = deployment_status(story(noted.seed, noted.until).deliveries)
    headers, body = signed(delivery, secret)
    to = (address or settings.public_url).rstrip("/")
    try:
        answer = httpx.post(f"{to}/webhooks/github", headers=headers, content=body)
    except httpx.TransportError as error:
        return 3, NOBODY.format(address=to, error=error)
    return said(delivery, to, answer)


def said(delivery: Delivery, address: str, answer: httpx.Response) -> tuple[int, str]:
    """Put an answer into words; an answer that is no receipt is a failure."""
    if not answer.is_success or "json" not in answer.headers.get("content-type", ""):
        return 3, f"{address} answered {answer.status_code}: {answer.text[:300]}"
    deployment, receipt = delivery.payload["deployment"], answer.json()
    return 0, TAKEN.format(
        repository=delivery.payload["repository"]["full_name"],
        environment=deployment["environment"],
        sha=deployment["sha"][:7],
        address=address,
        status=answer.status_code,
        said=f"{receipt['status']}, delivery {receipt['delivery_id']}",
        decisions=receipt["decisions"],
    )


if __name__ == "__main__":
    main()
