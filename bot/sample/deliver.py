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
from bot.settings import load

USAGE = "usage: python -m bot.sample.deliver deployment_status [ADDRESS]"


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
    """Sign it with the secret of VEELOCITY_HOME and print the answer."""
    if len(sys.argv) < 2 or sys.argv[1] != "deployment_status":
        sys.exit(USAGE)
    settings = load()
    home = settings.veelocity_home
    secret = next(iter(settings.webhook_secrets), "") or (home / "webhook_secret").read_text()
    noted = Stage(home).note()
    delivery = deployment_status(story(noted.seed, noted.until).deliveries)
    headers, body = signed(delivery, secret.strip())
    address = sys.argv[2] if len(sys.argv) > 2 else settings.public_url
    answer = httpx.post(f"{address}/webhooks/github", headers=headers, content=body)
    sys.stdout.write(f"{answer.status_code} {answer.text}\n")


if __name__ == "__main__":
    main()
