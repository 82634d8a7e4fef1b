"""Send one signed delivery to the running app: `python -m bot.sample.deliver deployment_status`."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from bot.sample import talk
from bot.sample.people import PEOPLE
from bot.sample.signing import PATHS, signed
from bot.sample.staging import Stage
from bot.sample.story import story
from bot.sample.world import Delivery
from bot.settings import Settings, load, running_here
from models.errors import Refused

NO_DEMO = "There is no demo in {home}: start `make demo` first, in this folder."
NOBODY = "Nobody answers at {address}: is `make demo` running? ({error})"
NO_INCIDENT = "There is no incident to resolve: send `incident` first."
DEPLOYED = "a successful deployment of {repository} to {environment} ({sha})"
OPENED = 'a message in #incidents of Slack: "{words}"'
RESOLVED = "a \N{WHITE HEAVY CHECK MARK} on the latest message in #incidents of Slack"
TAKEN = """\
Delivered, signed: {what}.
{address} answered {status}: {said}.
What it decided: {decisions}"""
LATEST = "sample_incident"
WORDS = "SEV2: errors in production of {name} since the last deployment"


def deployment_status(stage: Stage) -> tuple[Delivery, str]:
    """Return one more successful production deployment, of a commit that never ran before."""
    last = latest_deployment(stage)
    now, number = datetime.now(UTC).replace(microsecond=0), time.time_ns() // 1000
    at = now.isoformat().replace("+00:00", "Z")
    fresh: dict[str, Any] = {"created_at": at, "updated_at": at}
    payload = dict(last.payload)
    sha = uuid4().hex + uuid4().hex[:8]
    deployment = {**payload["deployment"], **fresh, "id": number, "sha": sha}
    payload["deployment"] = deployment
    payload["deployment_status"] = {**payload["deployment_status"], **fresh, "id": number + 1}
    what = DEPLOYED.format(
        repository=payload["repository"]["full_name"],
        environment=deployment["environment"],
        sha=sha[:7],
    )
    return Delivery("deployment_status", str(uuid4()), payload, now), what


def latest_deployment(stage: Stage) -> Delivery:
    """Return the story's last success in production."""
    noted = stage.note()
    return next(
        delivery
        for delivery in reversed(story(noted.seed, noted.until).deliveries)
        if delivery.event == "deployment_status"
        and delivery.payload["deployment_status"]["state"] == "success"
        and delivery.payload["deployment"]["environment"] == "production"
    )


def incident(stage: Stage) -> tuple[Delivery, str]:
    """Return a message in Slack that says what was deployed last is broken."""
    words = WORDS.format(name=latest_deployment(stage).payload["repository"]["name"])
    ts = f"{time.time():.6f}"
    (stage.home / LATEST).write_text(ts)
    event = {"type": "message", "user": talk.account(PEOPLE[0]), "text": words, "ts": ts}
    event |= {"channel": talk.INCIDENTS, "channel_type": "channel", "event_ts": ts}
    return of_slack(event), OPENED.format(words=words)


def resolve(stage: Stage) -> tuple[Delivery, str]:
    """Return the reaction that ends the incident that was sent last."""
    latest: Path = stage.home / LATEST
    if not latest.exists():
        raise Refused(NO_INCIDENT)
    item = {"type": "message", "channel": talk.INCIDENTS, "ts": latest.read_text()}
    event = {"type": "reaction_added", "user": talk.account(PEOPLE[1]), "item": item}
    event |= {"reaction": "white_check_mark", "event_ts": f"{time.time():.6f}"}
    return of_slack(event), RESOLVED


def of_slack(event: dict[str, Any]) -> Delivery:
    """Put an event of now into its envelope."""
    event_id, now = f"Ev{uuid4().hex[:12].upper()}", datetime.now(UTC)
    return Delivery(event["type"], event_id, talk.envelope(event, event_id, now), now, "slack")


DELIVERIES: dict[str, Callable[[Stage], tuple[Delivery, str]]] = {
    made.__name__: made for made in (deployment_status, incident, resolve)
}
USAGE = f"Usage: python -m bot.sample.deliver {' | '.join(DELIVERIES)} [ADDRESS]"


def main() -> None:
    """Sign it with the secret of VEELOCITY_HOME, send it, and say what the answer was."""
    if not sys.argv[1:] or sys.argv[1] not in DELIVERIES or len(sys.argv) > 3:
        sys.stderr.write(USAGE + "\n")
        sys.exit(2)
    try:
        code, words = deliver(*sys.argv[1:])
    except Refused as refusal:
        code, words = 1, str(refusal)
    (sys.stderr if code else sys.stdout).write(words + "\n")
    sys.exit(code)


def deliver(name: str, address: str | None = None) -> tuple[int, str]:
    """Send one delivery; return the exit code and what to say."""
    settings = running_here(load())
    stage = Stage(settings.veelocity_home)
    if not stage.there:
        return 1, NO_DEMO.format(home=settings.veelocity_home)
    delivery, what = DELIVERIES[name](stage)
    headers, body = signed(delivery, secret_of(settings, stage, delivery.source))
    to = (address or settings.public_url).rstrip("/")
    try:
        answer = httpx.post(to + PATHS[delivery.source], headers=headers, content=body)
    except httpx.TransportError as error:
        return 3, NOBODY.format(address=to, error=error)
    return said(what, to, answer)


def secret_of(settings: Settings, stage: Stage, source: str) -> str:
    """Return what a source of the demo signs with."""
    if source == "slack":
        return stage.secret("slack_signing_secret").get_secret_value()
    kept = stage.home / "webhook_secret"
    return next(iter(settings.webhook_secrets), "") or kept.read_text().strip()


def said(what: str, address: str, answer: httpx.Response) -> tuple[int, str]:
    """Put an answer into words; an answer that is no receipt is a failure."""
    if not answer.is_success or "json" not in answer.headers.get("content-type", ""):
        return 3, f"{address} answered {answer.status_code}: {answer.text[:300]}"
    receipt = answer.json()
    return 0, TAKEN.format(
        what=what,
        address=address,
        status=answer.status_code,
        said=f"{receipt['status']}, delivery {receipt['delivery_id']}",
        decisions=receipt["decisions"],
    )


if __name__ == "__main__":
    main()
